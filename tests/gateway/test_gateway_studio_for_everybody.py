"""The studio page by keyboard, in both themes, on a phone, over a slow line."""

from __future__ import annotations

from typing import Any

import pytest
from studio_page import Studio, axe_violations, wav

pytestmark = pytest.mark.needs_program("chromium")
MOST_BYTES = 300_000


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
