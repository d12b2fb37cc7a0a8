"""A real gateway in front of the session's real Triton, and a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from running_gateway import RunningGateway, running
from studio_page import PATIENCE, Studio

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer

QUIET_BROWSER = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
StartGateway = Callable[..., RunningGateway]


@pytest.fixture(scope="session")
def gateway(server: EmbeddedServer) -> Iterator[RunningGateway]:
    """One gateway with default limits."""
    with running(triton=server.grpc_url) as gateway:
        yield gateway


@pytest.fixture
def start_gateway(server: EmbeddedServer) -> Iterator[StartGateway]:
    """Starts gateways with settings of their own, such as `start_gateway(streams_per_client=1)`."""
    with ExitStack() as stack:

        def start(**settings: Any) -> RunningGateway:
            return stack.enter_context(running(**{"triton": server.grpc_url, **settings}))

        yield start


@pytest.fixture
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET_BROWSER)
        yield browser
        browser.close()


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
