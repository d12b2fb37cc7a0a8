"""Who may call, how much, and how often. Counts are kept in memory: each gateway process has its own."""

from __future__ import annotations

from fastapi import FastAPI

from gateway.limits.admission import Admission
from gateway.limits.bodies import BodyLimit
from gateway.limits.callers import Callers, read_keys
from gateway.limits.rate import MovingWindow
from gateway.limits.streams import StreamCounts
from gateway.settings import Settings


def install_limits(app: FastAPI, settings: Settings) -> None:
    """Puts the limits around the app. What must also see a refused request (CORS, logs) is installed after it.

    Raises:
        ValueError: the rate limit can't be read, or the file of keys can't, or it has none.
    """
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(
        Admission,
        callers=Callers(read_keys(settings)),
        rate=MovingWindow.of(settings.rate_limit),
        streams=StreamCounts(settings.streams_per_client),
    )
