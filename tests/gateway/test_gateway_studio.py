"""The studio page in a real browser, before a real gateway and a real Triton: generating and hearing."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect
from studio_page import Studio

pytestmark = pytest.mark.needs_program("chromium")
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
