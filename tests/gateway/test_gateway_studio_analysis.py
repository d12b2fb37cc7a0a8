"""Files on the studio page: how real they sound, and their round trip through EnCodec."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect
from studio_page import Studio, wav

pytestmark = pytest.mark.needs_program("chromium")


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
