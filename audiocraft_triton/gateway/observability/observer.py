"""Watches each request from the outside: its log line, its metrics, and an answer to errors nobody caught."""

from __future__ import annotations

import time
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiocraft_triton.gateway.exchange import Exchange, exchange_of
from audiocraft_triton.gateway.observability.metrics import Metrics
from audiocraft_triton.gateway.problems import CLIENT_CLOSED_REQUEST, problem_response
from audiocraft_triton.gateway.route_policies import UNKNOWN, KnownRoute, Routes

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = structlog.get_logger("gateway")


class Observer:
    """One log line and one count for each request, however it ends.

    Args:
        metrics: where to count.
        routes: the app's: their names and policies.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Routes) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = self._routes.of(scope)
        exchange = exchange_of(scope)
        answer = _Answer(self._metrics, route, exchange, receive, send)
        with self._metrics.in_progress.labels(route.template).track_inprogress():
            try:
                await self._app(scope, answer.receive, answer.send)
            except Exception:
                await self._failed(scope, answer)
            finally:
                answer.finish()
                self._record(scope, route, answer, exchange)

    async def _failed(self, scope: Scope, answer: _Answer) -> None:
        """An error that nobody caught. An answer that has begun is left unfinished, and the server breaks it off."""
        if answer.hung_up:
            return
        _log.exception("error")
        if answer.status is None:
            detail = "an error inside the gateway; its log has the request id"
            response = problem_response(500, HTTPStatus(500).phrase, detail, instance=scope["path"])
            await response(scope, answer.receive, answer.send)

    def _record(self, scope: Scope, route: KnownRoute, answer: _Answer, exchange: Exchange) -> None:
        status = answer.final_status()
        seconds = time.perf_counter() - answer.began
        method = scope["method"] if scope["method"] in _METHODS else UNKNOWN
        self._metrics.requests.labels(method, route.template, str(status)).inc()
        self._metrics.duration.labels(route.template).observe(seconds)
        if exchange.refusal is not None:
            self._metrics.rejected.labels(exchange.refusal).inc()
        fields = {
            "method": method, "route": route.template, "status": status, "duration": round(seconds, 4),
            "bytes": answer.sent, "client": exchange.client, "seed": answer.seed, "refusal": exchange.refusal,
        }  # fmt: skip
        known = {name: value for name, value in fields.items() if value is not None}
        if status >= 500:
            _log.warning("request", **known)
        elif route.policy.is_probe:
            _log.debug("request", **known)
        else:
            _log.info("request", **known)


class _Answer:
    """One answer on its way out."""

    def __init__(self, metrics: Metrics, route: KnownRoute, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._metrics = metrics
        self._route = route
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._complete = False
        self._streaming = False
        self.began = time.perf_counter()
        self.status: int | None = None
        self.seed: int | None = None
        self.sent = 0
        self.hung_up = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            self.hung_up = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start(message)
        elif message["type"] == "http.response.body":
            self._body(message)
        await self._send(message)

    def finish(self) -> None:
        """Nothing more is sent."""
        if self._streaming:
            self._metrics.active_streams.dec()
            self._streaming = False

    def final_status(self) -> int:
        """What became of the request, which the status line could not know yet."""
        if self._complete:
            assert self.status is not None
            return self.status
        return CLIENT_CLOSED_REQUEST if self.hung_up else 500

    def _start(self, message: Message) -> None:
        self.status = message["status"]
        seed = Headers(raw=message.get("headers", [])).get("x-seed", "")
        self.seed = int(seed) if seed.isdigit() else None
        if self._exchange.is_stream and self.status == HTTPStatus.OK:
            self._streaming = True
            self._metrics.active_streams.inc()

    def _body(self, message: Message) -> None:
        size = len(message.get("body", b""))
        if size and not self.sent and self.status == HTTPStatus.OK and self._route.policy.is_generation:
            self._metrics.first_byte.labels(self._route.template).observe(time.perf_counter() - self.began)
        self.sent += size
        self._complete = not message.get("more_body", False)
