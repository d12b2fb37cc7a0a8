"""The studio page, open in a browser, and what a visitor does there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, expect

PATIENCE = 120_000
"""Milliseconds to wait for a condition: a busy machine is slow, not wrong."""


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


def axe_violations(page: Page) -> list[str]:
    response = Axe().run(page).response
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in response["violations"]
        for node in violation["nodes"]
    ]


def wav(seconds: float, sample_rate: int = 32_000) -> bytes:
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * 440 * time), sample_rate, format="WAV")
    return file.getvalue()
