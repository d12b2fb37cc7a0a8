"""Limits on callers: API keys, rate, streams and body sizes. Each gateway process counts in its own memory."""

from __future__ import annotations

from fastapi import FastAPI

from audiocraft_triton.gateway.limits.admission import Admission
from audiocraft_triton.gateway.limits.bodies import BodyLimit
from audiocraft_triton.gateway.limits.callers import Callers, read_keys
from audiocraft_triton.gateway.limits.rate import MovingWindow
from audiocraft_triton.gateway.limits.streams import StreamCounts, TooManyStreams, refuse_stream
from audiocraft_triton.gateway.route_policies import Routes
from audiocraft_triton.gateway.settings import Settings


def install_limits(app: FastAPI, settings: Settings, routes: Routes) -> None:
    """Puts the limits around the app. Middleware that must also see refused requests (CORS, logs) is installed later.

    Raises:
        ValueError: the rate limit or the file of keys can't be read, or the file has no key.
    """
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(
        Admission,
        callers=Callers(read_keys(settings)),
        rate=MovingWindow.of(settings.rate_limit),
        routes=routes,
    )
    app.state.streams = StreamCounts(settings.streams_per_client)
    app.add_exception_handler(TooManyStreams, refuse_stream)
