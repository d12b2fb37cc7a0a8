"""Policies of routes, declared next to their endpoints: whether a route is open, and how it is observed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path
from starlette.types import Scope

UNKNOWN = "unknown"
_ATTRIBUTE = "_route_policy"
Endpoint = TypeVar("Endpoint")


@dataclass(frozen=True, slots=True)
class Policy:
    """How the gateway treats the requests of a route. By default they count towards the rate and need a key.

    Attributes:
        is_open: anyone may send them, without a key and without a limit on their rate.
        is_probe: monitoring sends one every few seconds, so they are logged only if they fail.
        is_generation: the answer is generated audio, so the time to its first byte is measured.
    """

    is_open: bool = False
    is_probe: bool = False
    is_generation: bool = False


GUARDED = Policy()
OPEN = Policy(is_open=True)
PROBE = Policy(is_open=True, is_probe=True)
GENERATION = Policy(is_generation=True)


@dataclass(frozen=True, slots=True)
class KnownRoute:
    """A route of the app.

    Attributes:
        template: its path, with names in place of parameters, so that it can be a metric's label.
        policy: the policy declared for it.
    """

    template: str
    policy: Policy


NO_ROUTE = KnownRoute(UNKNOWN, GUARDED)


def declare(policy: Policy) -> Callable[[Endpoint], Endpoint]:
    """Decorates an endpoint, or a mounted app, with the policy of its route."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, policy)
        return endpoint

    return mark


def declare_all(app: FastAPI, policy: Policy) -> None:
    """Declares `policy` for every route that the app has now, such as those that FastAPI adds."""
    for context in iter_route_contexts(app.routes):
        declare(policy)(_endpoint(context))


class Routes:
    """Finds the route of a request before the app does, since a refused request never reaches the app's router.

    The routes are read at the first request, when all of them are registered.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def of(self, scope: Scope) -> KnownRoute:
        """Returns the route that matches the path, with any method; NO_ROUTE for all other paths."""
        path = scope["path"]
        return next((route for pattern, route in self._known if pattern.match(path)), NO_ROUTE)

    @cached_property
    def _known(self) -> list[tuple[re.Pattern[str], KnownRoute]]:
        return [
            (_pattern(context), KnownRoute(context.path, getattr(_endpoint(context), _ATTRIBUTE, GUARDED)))
            for context in iter_route_contexts(self._app.routes)
            if context.path is not None
        ]


def _endpoint(context: Any) -> Any:
    """Returns the function, or the mounted app, that answers a route."""
    return context.endpoint or context.app


def _pattern(context: Any) -> re.Pattern[str]:
    mounted = context.methods is None
    return compile_path(f"{context.path}/{{rest:path}}" if mounted else context.path)[0]
