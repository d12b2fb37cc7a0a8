"""What the gateway says of itself: request ids, one log line for each request, metrics."""

from __future__ import annotations

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from starlette.responses import Response

from audiocraft_triton.gateway.observability.metrics import Metrics
from audiocraft_triton.gateway.observability.observer import Observer
from audiocraft_triton.gateway.observability.request_ids import REQUEST_ID_HEADER, is_sane, new_request_id
from audiocraft_triton.gateway.route_policies import PROBE, Routes, declare

METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def install_observability(app: FastAPI, routes: Routes) -> None:
    """Watches the app from outside all that is installed before, and serves what it counts at /metrics.

    How logs are written is up to the program that runs the app: see `gateway.observability.log`.
    """
    metrics = Metrics()

    @app.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"description": "Counts and times, for Prometheus.", "content": {"text/plain": {}}}},
    )
    @declare(PROBE)  # it counts requests by route, and knows no text, key or address
    async def metrics_page() -> Response:
        """Requests, times, streams and refusals, as Prometheus reads them."""
        return Response(metrics.text(), media_type=METRICS_MEDIA_TYPE)

    app.add_middleware(Observer, metrics=metrics, routes=routes)
    app.add_middleware(
        CorrelationIdMiddleware,
        header_name=REQUEST_ID_HEADER,
        generator=new_request_id,
        validator=is_sane,
    )
