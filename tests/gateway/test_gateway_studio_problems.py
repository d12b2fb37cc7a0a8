"""The studio page when something is wrong: it says what, and loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect
from studio_page import Studio, axe_violations

pytestmark = pytest.mark.needs_program("chromium")


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


def test_what_was_not_set_is_left_to_the_server(studio: Studio) -> None:
    """Its default of top k depends on the checkpoint."""
    with studio.page.expect_request("**/generate/music/stream") as asked:
        studio.generate("piano", 1)
    assert set(asked.value.post_data_json) == {"text", "duration", "format"}
    studio.page.click("#detailed summary")
    studio.page.fill("#field-top_k", "10")
    with studio.page.expect_request("**/generate/music/stream") as asked:
        studio.generate("piano", 1)
    assert asked.value.post_data_json["top_k"] == 10


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
