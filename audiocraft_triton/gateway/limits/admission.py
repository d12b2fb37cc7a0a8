"""Checks a request's API key and rate before its body is read."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from audiocraft_triton.gateway.exchange import exchange_of
from audiocraft_triton.gateway.limits.callers import Callers
from audiocraft_triton.gateway.limits.rate import MovingWindow
from audiocraft_triton.gateway.limits.refusing import refuse, whole_seconds
from audiocraft_triton.gateway.route_policies import Routes


class Admission:
    """Passes on requests whose caller has a valid key and is within its rate; refuses the others.

    Args:
        callers: identifies callers by key or address.
        rate: limit on each caller. It also counts requests without a valid key, by address, to slow down guessing.
        routes: the app's routes; open routes are not checked.
    """

    def __init__(self, app: ASGIApp, callers: Callers, rate: MovingWindow, routes: Routes) -> None:
        self._app = app
        self._callers = callers
        self._rate = rate
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or self._routes.of(scope).policy.is_open:
            await self._app(scope, receive, send)
            return
        caller = self._callers.identify(scope)
        exchange_of(scope).client = caller.name
        wait = self._rate.wait(caller.name)
        if wait > 0:
            await self._refuse_rate(scope, receive, send, wait)
        elif not caller.admitted:
            await self._refuse_key(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _refuse_rate(self, scope: Scope, receive: Receive, send: Send, wait: float) -> None:
        await refuse(
            scope, receive, send, reason="rate", status=429, title="Too many requests",
            detail=f"at most {self._rate} are allowed; try again in {whole_seconds(wait)} seconds",
            headers={"Retry-After": whole_seconds(wait)},
        )  # fmt: skip

    async def _refuse_key(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(
            scope, receive, send, reason="key", status=401, title="An API key is needed",
            detail="the key is missing or not valid; send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
            headers={"WWW-Authenticate": 'Bearer realm="audiocraft-triton"'},
        )  # fmt: skip
