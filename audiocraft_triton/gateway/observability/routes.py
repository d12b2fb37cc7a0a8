"""A request's route, as a metric's label: a name from the code, whatever the caller asked for."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path
from starlette.types import Scope

UNKNOWN = "unknown"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GENERATIONS = ("/generate/", "/v1/audio/")


class Routes:
    """The templates of an app's paths. They are known before routing, which a refused request never reaches."""

    def __init__(self, app: FastAPI) -> None:
        contexts = [(context.path, context.methods is None) for context in iter_route_contexts(app.routes)]
        self._patterns = [
            (compile_path(f"{path}/{{rest:path}}" if mounted else path)[0], path)
            for path, mounted in contexts
            if path is not None
        ]

    def of(self, scope: Scope) -> str:
        """The template that the path fits, whatever the method; one name for all other paths."""
        path = scope["path"]
        return next((template for pattern, template in self._patterns if pattern.match(path)), UNKNOWN)


def method_of(scope: Scope) -> str:
    """The method; one name for all that nobody needs here."""
    method: str = scope["method"]
    return method if method in _METHODS else UNKNOWN


def is_generation(route: str) -> bool:
    """Whether the answer is sound made from text."""
    return route.startswith(_GENERATIONS)
