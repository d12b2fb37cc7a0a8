"""The studio page in a real browser, before a real gateway and a real Triton."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.needs_program("chromium")

PATIENCE = 120_000
"""Milliseconds to wait for a condition: a busy machine is slow, not wrong."""
MOST_BYTES = 300_000
QUIET_BROWSER = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
# Read from a copy: Chromium warns of canvases that are read again and again.
PIXELS = """(selector) => {
    const canvas = document.querySelector(selector);
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    return (...box) => new Uint32Array(copy.getImageData(...box).data.buffer);
}"""
WAVEFORM_IS_DRAWN = f"""() => {{
    const canvas = document.querySelector("#stage-view .waveform");
    const rows = new Set();
    ({PIXELS})("#stage-view .waveform")(0, 0, canvas.width, canvas.height).forEach(
        (pixel, index) => pixel && rows.add(Math.floor(index / canvas.width)));
    return rows.size > 5;
}}"""
SPECTROGRAM_IS_DRAWN = f"() => new Set(({PIXELS})('#stage-view .spectrogram')(40, 0, 60, 200)).size > 20"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET_BROWSER)
        yield browser
        browser.close()


class Studio:
    """The open page, and what a visitor does there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        refused = "the server responded with a status of" in message.text  # the browser's own line on any 4xx or 5xx
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(message.text)

    def ask(self, text: str, seconds: float, seed: str = "") -> None:
        self.page.fill("#field-text", text)
        self.page.fill("#field-duration", str(seconds))
        self.page.fill("#field-seed", seed)
        self.page.click("#generate")

    def wait_for_clip(self, state: str = "complete") -> None:
        self.page.wait_for_selector(f"#stage[data-state={state}]")

    def generate(self, text: str, seconds: float, seed: str = "") -> None:
        clips = self.page.locator("#clips .card").count()
        self.ask(text, seconds, seed)
        expect(self.page.locator("#clips .card")).to_have_count(clips + 1)
        self.wait_for_clip()

    def samples(self) -> list[float]:
        samples: list[float] = self.page.evaluate("[...studio.stage.clip.track.channel(0)]")
        return samples

    def analyze(self, name: str, content: bytes) -> None:
        self.page.click("#tab-analyze")
        self.page.set_input_files("#analysis-file", {"name": name, "mimeType": "audio/wav", "buffer": content})

    def player(self, member: str) -> Any:
        return self.page.evaluate(f"studio.player.{member}")

    def scrolls_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.fixture
def open_studio(browser: Browser, gateway: Any) -> Iterator[Any]:
    """Opens the page in a fresh session; whatever the page then complains of in the console fails the test."""
    opened: list[Studio] = []

    def open_one(url: str = gateway.url, *, script: str = "", **context: Any) -> Studio:
        page = browser.new_context(accept_downloads=True, **context).new_page()
        studio = Studio(page)
        if script:
            page.add_init_script(script)
        opened.append(studio)
        page.goto(url)
        return studio

    yield open_one
    for studio in opened:
        studio.page.context.close()
    assert [complaint for studio in opened for complaint in studio.complaints] == []


@pytest.fixture
def studio(open_studio: Any) -> Studio:
    studio: Studio = open_studio()
    return studio


def wav(seconds: float, sample_rate: int = 32_000) -> bytes:
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * 440 * time), sample_rate, format="WAV")
    return file.getvalue()


# Generating and hearing


def test_a_clip_is_drawn_and_heard_while_it_is_generated(studio: Studio) -> None:
    studio.ask("strings", 200)
    studio.page.wait_for_function(
        """() => studio.stage.clip?.state === "generating" && studio.player.state === "playing"
            && studio.player.position > 0 && studio.player.level > 1e-4"""
    )
    clock = studio.player("clock")
    studio.page.wait_for_function(WAVEFORM_IS_DRAWN)
    studio.page.wait_for_function(SPECTROGRAM_IS_DRAWN)
    studio.page.wait_for_function(f"() => studio.player.clock > {clock}")
    assert studio.player("track.complete") is False, "the clip was complete before it could be looked at"
    studio.page.click("#cancel")
    studio.wait_for_clip("stopped")
    expect(studio.page.locator("#clips .card")).to_contain_text("stopped")
    assert 0 < studio.player("track.seconds") < 200


def test_the_same_seed_gives_the_same_clip(studio: Studio) -> None:
    largest = str(2**63 - 1)  # more than a JavaScript number can hold
    studio.generate("piano", 1, largest)
    assert studio.page.inner_text("#seed") == largest
    first = studio.samples()
    studio.page.fill("#field-text", "something else")
    studio.page.click("text=Use again")
    assert studio.page.input_value("#field-seed") == largest
    studio.page.click("#generate")
    expect(studio.page.locator("#clips .card")).to_have_count(2)
    studio.wait_for_clip()
    assert studio.samples() == first
    assert len(first) == 32_000


def test_downloads_hold_the_clip(studio: Studio, tmp_path: Path) -> None:
    studio.generate("a drum loop", 1)
    heard = np.array(studio.samples())
    for name in ("Download WAV", "FLAC", "MP3"):
        with studio.page.expect_download() as download:
            studio.page.get_by_role("button", name=name, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        saved, rate = soundfile.read(path)
        assert rate == 32_000
        if name == "MP3":  # lossy, and padded to whole frames
            assert abs(len(saved) - len(heard)) < 4000
        else:  # 16 bits: FLAC is made again by the server, and is the same clip
            np.testing.assert_allclose(saved, heard, atol=1.5 / 32768)


def test_a_clip_is_continued(studio: Studio) -> None:
    studio.generate("calm piano", 1)
    studio.page.click("text=Continue")
    expect(studio.page.locator("#continued")).to_contain_text("calm piano")
    studio.page.fill("#field-duration", "0.5")
    studio.page.click("#generate")
    expect(studio.page.locator("[data-field=duration] .complaint")).to_contain_text("more than the 1.0 s")
    studio.page.fill("#field-duration", "2.5")
    first = studio.samples()
    with studio.page.expect_request("**/generate/music/stream") as request:
        studio.page.click("#generate")
    body: Any = request.value.post_data_json
    sent, _ = soundfile.read(io.BytesIO(base64.b64decode(body["continuation"])))
    assert sent.tolist() == first, "every bit of the clip goes back"
    expect(studio.page.locator("#clips .card")).to_have_count(2)
    studio.wait_for_clip()
    assert studio.player("track.seconds") == pytest.approx(2.5, abs=0.05)


def test_the_sound_model_has_its_own_rate_and_no_diffusion(studio: Studio) -> None:
    studio.page.check("input[value=audio]")
    assert studio.page.is_disabled("option[value=multiband_diffusion]")
    studio.generate("heavy rain", 1)
    assert studio.player("track.sampleRate") == 16_000


def test_two_clips_are_compared_at_the_same_position(studio: Studio) -> None:
    studio.generate("piano", 4)
    studio.generate("rock", 4)
    buttons = studio.page.get_by_role("button", name="Compare")
    buttons.nth(0).click()
    buttons.nth(1).click()
    panel = studio.page.locator("#comparison")
    panel.get_by_role("slider").nth(0).press("Home")
    panel.get_by_role("button", name="Play").click()
    studio.page.wait_for_function("() => studio.player.position > 0.3 && studio.player.level > 1e-4")
    before = studio.player("position")
    studio.page.evaluate("window.first = studio.player.track")
    panel.locator("input[value=B]").check()
    studio.page.wait_for_function("() => studio.player.track !== first && studio.player.state === 'playing'")
    assert before <= studio.player("position") < 4
    assert studio.player("position") > 0


# Analyzing


def test_a_dropped_file_is_analyzed_and_goes_through_encodec(studio: Studio) -> None:
    transfer = studio.page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "tone.wav", { type: "audio/wav" }));
            return transfer;
        }""",
        list(wav(4.5)),
    )
    studio.page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    studio.page.wait_for_selector("#analysis-result", state="visible")
    expect(studio.page.locator("#analysis-title")).to_have_text("tone.wav")
    assert 0 <= float(studio.page.inner_text("#realness")) <= 1
    expect(studio.page.locator("#score-bars dd")).to_have_count(3)
    assert studio.page.locator("#score-table tbody tr").count() == 3, "4.5 s are three windows of 2 s"
    # The seeded discriminators of the tests carry no calibration, and the page says so.
    expect(studio.page.locator("#uncalibrated")).to_be_visible()
    expect(studio.page.locator("#verdict")).to_have_text("no verdict")

    studio.page.click("#round-trip")
    panel = studio.page.locator("#round-trip-view")
    expect(panel).to_be_visible()
    panel.get_by_role("button", name="Play").click()
    studio.page.wait_for_function("() => studio.player.state === 'playing' && studio.player.level > 1e-4")
    panel.locator("input[value=B]").check()
    studio.page.wait_for_function("() => studio.player.track.sampleRate === 32000")
    assert studio.player("track.seconds") == pytest.approx(4.5, abs=0.1)


def test_the_threshold_decides_the_verdict(studio: Studio) -> None:
    def calibrated(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "calibrated": True})

    studio.page.route("**/analyze*", calibrated)
    studio.analyze("tone.wav", wav(3))
    studio.page.wait_for_selector("#analysis-result", state="visible")
    expect(studio.page.locator("#uncalibrated")).to_be_hidden()
    threshold = studio.page.locator("#threshold")
    threshold.press("Home")
    expect(studio.page.locator("#verdict")).to_have_text("sounds real")
    threshold.press("End")
    expect(studio.page.locator("#verdict")).to_have_text("sounds generated")


def test_a_file_that_is_no_audio_is_refused_kindly(studio: Studio) -> None:
    studio.analyze("notes.wav", b"these are no sounds")
    notice = studio.page.locator("#analysis-notice")
    expect(notice).to_contain_text("can't be made as asked")
    assert "{" not in notice.inner_text(), "JSON is for programs"
    expect(studio.page.locator("#analysis-result")).to_be_hidden()
    studio.analyze("tone.wav", wav(2))
    studio.page.wait_for_selector("#analysis-result", state="visible")
    expect(notice).to_be_empty()


# When something is wrong


def test_a_refused_value_is_named_at_its_field(studio: Studio) -> None:
    studio.page.click("#detailed summary")
    studio.page.fill("#field-top_k", "1000000")  # more than the codebook holds, which only the server knows
    studio.ask("piano", 1)
    expect(studio.page.locator("#notice")).to_contain_text("Top k")
    expect(studio.page.locator("#field-top_k")).to_have_attribute("aria-invalid", "true")
    expect(studio.page.locator("#field-top_k")).to_be_focused()
    studio.page.fill("#field-top_k", "10")
    expect(studio.page.locator("#field-top_k")).not_to_have_attribute("aria-invalid", "true")
    studio.generate("piano", 1)
    expect(studio.page.locator("#notice")).to_be_empty()


def test_wrong_numbers_are_caught_before_they_are_sent(studio: Studio) -> None:
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    studio.ask("piano", 999, "-1")
    expect(studio.page.locator("[data-field=duration] .complaint")).to_contain_text("between 0.1 and 300")
    expect(studio.page.locator("[data-field=seed] .complaint")).to_be_visible()
    expect(studio.page.locator("#field-duration")).to_be_focused()
    assert asked == []


def test_a_busy_server_is_tried_again_when_it_said(studio: Studio) -> None:
    problem = {"type": "about:blank", "title": "Busy", "status": 503, "detail": "all slots are taken"}
    headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
    studio.page.route("**/stream", lambda route: route.fulfill(status=503, headers=headers, json=problem), times=1)
    studio.ask("piano", 1)
    notice = studio.page.locator("#notice")
    expect(notice).to_contain_text("Try again in 1 second")
    notice.get_by_role("button").click()  # disabled until the second is over
    studio.wait_for_clip()
    expect(notice).to_be_empty()


def test_a_server_that_is_away_is_said(studio: Studio) -> None:
    studio.page.route("**/stream", lambda route: route.abort("connectionrefused"))
    studio.page.route("**/health", lambda route: route.abort("connectionrefused"))
    studio.ask("piano", 1)
    expect(studio.page.locator("#notice")).to_contain_text("does not answer")
    expect(studio.page.locator("#health-word")).to_have_text("No answer")
    assert len(studio.complaints) == 2, studio.complaints
    studio.complaints.clear()  # the browser's own lines on the two refused connections


def test_what_arrived_before_the_connection_broke_is_kept(open_studio: Any) -> None:
    breaks_after_two_pieces = """
        const honest = window.fetch;
        window.fetch = async (url, options) => {
            const response = await honest(url, options);
            if (!String(url).endsWith("/stream")) return response;
            const reader = response.body.getReader();
            let pieces = 0;
            const body = new ReadableStream({
                async pull(controller) {
                    if (++pieces > 2) return controller.error(new TypeError("network error"));
                    controller.enqueue((await reader.read()).value);
                },
            });
            return new Response(body, { headers: response.headers });
        };
    """
    studio: Studio = open_studio(script=breaks_after_two_pieces)
    studio.ask("piano", 100)
    studio.wait_for_clip("failed")
    expect(studio.page.locator("#notice")).to_contain_text("broke off")
    expect(studio.page.locator("#clips .card")).to_contain_text("broken off")
    expect(studio.page.get_by_role("button", name="FLAC")).to_have_count(0)
    assert 0 < studio.player("track.seconds") < 100


def test_an_api_key_is_asked_for_and_kept_for_the_session(start_gateway: Any, open_studio: Any) -> None:
    studio: Studio = open_studio(start_gateway(api_keys=("open-sesame",)).url)
    studio.ask("piano", 1)
    studio.page.wait_for_selector("#key-dialog[open]")
    assert axe_violations(studio.page) == []
    studio.page.fill("#key-input", "wrong")
    studio.page.keyboard.press("Enter")
    expect(studio.page.locator("#key-refused")).to_be_visible()
    studio.page.fill("#key-input", "open-sesame")
    studio.page.keyboard.press("Enter")
    studio.wait_for_clip()
    studio.page.reload()
    studio.generate("piano", 1)


# For everybody


def test_the_keyboard_alone_is_enough(studio: Studio) -> None:
    keys = studio.page.keyboard
    focused = "document.activeElement.id"
    for _ in range(20):
        keys.press("Tab")
        outline = studio.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        shown_beside = studio.page.evaluate("document.activeElement.matches('.segmented input')")
        assert outline != "none" or shown_beside, "focus can't be seen"
        if studio.page.evaluate(focused) == "field-text":
            break
    assert studio.page.evaluate(focused) == "field-text"
    keys.type("fast rock")
    keys.press("Control+Enter")
    studio.wait_for_clip()
    for _ in range(60):
        keys.press("Tab")
        if studio.page.evaluate("document.activeElement.matches('#stage-view [role=slider]')"):
            break
    keys.press("End")
    assert studio.player("position") == pytest.approx(10, abs=0.1)
    keys.press("ArrowLeft")
    assert studio.player("position") == pytest.approx(9, abs=0.1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(open_studio: Any, scheme: str) -> None:
    studio: Studio = open_studio(color_scheme=scheme, reduced_motion="reduce")
    assert studio.page.get_attribute("html", "data-theme") == scheme
    found = [axe_violations(studio.page)]
    studio.page.click("#detailed summary")
    studio.page.fill("#field-top_k", "1000000")
    studio.ask("piano", 1)
    studio.page.wait_for_selector("#notice .notice")
    found.append(axe_violations(studio.page))
    studio.page.fill("#field-top_k", "10")
    studio.generate("piano", 1)
    found.append(axe_violations(studio.page))
    studio.analyze("tone.wav", wav(3))
    studio.page.wait_for_selector("#analysis-result", state="visible")
    studio.page.click("#round-trip")
    studio.page.wait_for_selector("#round-trip-view", state="visible")
    found.append(axe_violations(studio.page))
    assert found == [[], [], [], []]  # empty, with a problem, with a clip, with an analysis


def axe_violations(page: Page) -> list[str]:
    response = Axe().run(page).response
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in response["violations"]
        for node in violation["nodes"]
    ]


def test_a_narrow_phone_never_scrolls_sideways(open_studio: Any) -> None:
    studio: Studio = open_studio(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert not studio.scrolls_sideways()
    studio.page.click("#detailed summary")
    studio.generate("a_long_word_" * 20, 1)
    assert not studio.scrolls_sideways()
    studio.page.click("#health summary")
    assert not studio.scrolls_sideways()
    studio.page.press("#health summary", "Escape")
    studio.analyze("x" * 120 + ".wav", wav(2))
    studio.page.wait_for_selector("#analysis-result", state="visible")
    assert not studio.scrolls_sideways()


def test_the_page_is_small_and_loads_nothing_from_elsewhere(open_studio: Any, gateway: Any) -> None:
    studio: Studio = open_studio("about:blank")
    transferred: dict[str, int] = {}
    studio.page.on("response", lambda response: transferred.update({response.url: len(response.body())}))
    with studio.page.expect_response(lambda response: response.url.endswith("spectrogram-worker.js")) as worker:
        studio.page.goto(gateway.url)
        studio.page.wait_for_function("() => document.querySelector('#health').dataset.status === 'ready'")
        studio.generate("piano", 1)  # the spectrogram's worker comes with the first clip
    transferred[worker.value.url] = len(worker.value.body())
    sizes = {url: size for url, size in transferred.items() if "/generate/" not in url}
    assert all(url.startswith(gateway.url) for url in sizes if not url.startswith("blob:")), sizes
    assert 20_000 < sum(sizes.values()) < MOST_BYTES


# What the sounds and pictures are made of


def test_a_slow_generation_pauses_playback_once_and_goes_on(studio: Studio) -> None:
    """2.4 s of sound that come at 2/3 of real time: without a plan, playback would stop at each of the six pieces."""
    states = studio.page.evaluate(
        """async () => {
            const { Track } = await import("/static/js/audio/track.js");
            const { player } = studio;
            const track = new Track(16000, 1, 2.4);
            const states = [];
            player.addEventListener("change", () => states.push(player.state));
            const piece = Float32Array.from({ length: 6400 }, (_, i) => 0.3 * Math.sin(i / 5));
            player.play(track);
            for (let n = 0; n < 6; n++) {
                track.append([piece]);
                await new Promise((resolve) => setTimeout(resolve, 600));
            }
            track.end();
            while (player.state !== "paused") await new Promise((resolve) => setTimeout(resolve, 50));
            return { states, position: player.position };
        }"""
    )
    assert states["position"] == pytest.approx(2.4, abs=0.001)
    assert 1 <= states["states"].count("buffering") - 1 <= 3, states["states"]


def test_resampling_is_faithful_and_seamless(studio: Studio) -> None:
    sampled = studio.page.evaluate(
        """async () => {
            const { resampled } = await import("/static/js/audio/resample.js");
            const source = Float32Array.from({ length: 16000 }, (_, i) => Math.sin((2 * Math.PI * 3000 * i) / 16000));
            const whole = resampled(source, 16000, 48000, 0, 48000);
            const pieces = [0, 1000, 1001, 20000, 48000];
            const joined = pieces.slice(1).flatMap(
                (end, n) => [...resampled(source, 16000, 48000, pieces[n], end - pieces[n])]);
            return { whole: [...whole], joined };
        }"""
    )
    assert sampled["joined"] == sampled["whole"]
    ideal = np.sin(2 * np.pi * 3000 * np.arange(48_000) / 48_000)
    inside = slice(1000, -1000)
    error = np.array(sampled["whole"])[inside] - ideal[inside]
    assert 20 * np.log10(np.abs(error).max()) < -50


def test_spectra_are_those_of_numpy(studio: Studio) -> None:
    samples: NDArray[np.float64] = np.random.default_rng(1).uniform(-1, 1, 2048)
    power = studio.page.evaluate(
        """async (samples) => {
            const { PowerSpectrum } = await import("/static/js/view/fft.js");
            return [...new PowerSpectrum(2048).of(Float64Array.from(samples), 0, new Float64Array(1025))];
        }""",
        samples.tolist(),
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    expected = (np.abs(np.fft.rfft(samples * window)) * 4 / 2048) ** 2
    np.testing.assert_allclose(power, expected, rtol=1e-9, atol=1e-15)


def test_wav_files_of_the_page_hold_what_was_put_in(studio: Studio) -> None:
    rng = np.random.default_rng(2)
    samples = rng.uniform(-1.2, 1.2, (2, 999)).astype(np.float32)
    files = studio.page.evaluate(
        """async (channels) => {
            const { Track } = await import("/static/js/audio/track.js");
            const { wav16, wavFloat, readWav16 } = await import("/static/js/audio/wav.js");
            const track = Track.of(channels.map((channel) => Float32Array.from(channel)), 16000);
            const bytes = async (blob) => [...new Uint8Array(await blob.arrayBuffer())];
            const read = readWav16(await wav16(track).arrayBuffer());
            return { pcm: await bytes(wav16(track)), float: await bytes(wavFloat(track)),
                     read: read.channels.map((channel) => [...channel]), rate: read.sampleRate };
        }""",
        samples.tolist(),
    )
    exact, rate = soundfile.read(io.BytesIO(bytes(files["float"])), dtype="float32")
    np.testing.assert_array_equal(exact.T, samples)
    assert rate == files["rate"] == 16_000
    rounded, _ = soundfile.read(io.BytesIO(bytes(files["pcm"])))
    np.testing.assert_allclose(rounded.T, np.clip(samples, -1, 1), atol=1.5 / 32768)
    np.testing.assert_array_equal(np.array(files["read"]), rounded.T)
