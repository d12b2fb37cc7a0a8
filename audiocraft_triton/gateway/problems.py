"""Every error as problem details (RFC 9457): one shape, whatever went wrong, and wherever."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from asgi_correlation_id import correlation_id
from audiocraft_client import (
    AudioCraftError,
    Cancelled,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ServerFailure,
    ServerUnreachable,
)
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from audiocraft_triton.gateway.exchange import exchange_of

MEDIA_TYPE = "application/problem+json"
CLIENT_CLOSED_REQUEST = 499
RETRY_SECONDS = 2
"""A slot frees, or a restarting server answers, within seconds: come back then."""
LONGEST_VALUE = 100

_STATUSES: dict[type[AudioCraftError], int] = {
    InvalidRequest: 422,
    Overloaded: 503,
    ServerUnreachable: 503,
    ServerFailure: 502,
    DeadlineExceeded: 504,
    Cancelled: CLIENT_CLOSED_REQUEST,
}
_TITLES = {
    422: "The request can't be served as asked",
    502: "The model server failed",
    503: "Service unavailable",
    504: "It took too long",
    CLIENT_CLOSED_REQUEST: "The client disconnected",
}
_FIELD = re.compile(r"^(\w+)(?:=(.*?))?: ")
_ENSEMBLE = re.compile(r"^in ensemble '\w+', ")
_INNER_NAMES = {"audio_file": "file"}
"""What Triton calls otherwise than the gateway's callers do."""


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["duration"])
    value: Any = Field(None, examples=[-3.0])
    message: str = Field(examples=["must be between 0.1 and 300 seconds"])

    def __str__(self) -> str:
        """As Triton's own messages say it: `duration=-3.0: must be …`."""
        value = "" if self.value is None else f"={self.value}"
        return f"{self.field}{value}: {self.message}"


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field("about:blank", examples=["about:blank"])
    title: str = Field(examples=[_TITLES[422]])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["duration=-3.0: must be between 0.1 and 300 seconds"])
    instance: str | None = Field(None, examples=["/generate/music"])
    request_id: str | None = None
    errors: list[FieldError] | None = Field(None, description="Of a 422: field by field.")


def problem_response(
    status: int,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] | None = None,
    request_id: str | None = None,
    instance: str | None = None,
) -> Response:
    """An answer in problem details; the request id is the current one, where none is given."""
    problem = Problem(
        title=title, status=status, detail=detail, instance=instance,
        request_id=request_id or correlation_id.get(), errors=None if errors is None else list(errors),
    )  # fmt: skip
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def describe(error: AudioCraftError, instance: str | None = None) -> Response:
    """The answer to a call that Triton, or the client before it, refused or failed."""
    status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else None
    detail = _for_callers(str(error))
    errors = [_field_error(detail)] if status == 422 else None
    return problem_response(status, _TITLES[status], detail, headers=headers, errors=errors, instance=instance)


def install_problems(app: FastAPI) -> None:
    """Makes every error that is known a problem; others are the observer's, who logs them with their traceback."""

    @app.exception_handler(AudioCraftError)
    async def failed_call(request: Request, error: AudioCraftError) -> Response:
        if isinstance(error, Overloaded):
            exchange_of(request.scope).refusal = "busy"
        return describe(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, bytes) and error.body:  # FastAPI parses no JSON that doesn't call itself so
            detail = "send the body as JSON, with the header Content-Type: application/json"
            return problem_response(415, HTTPStatus(415).phrase, detail, instance=request.url.path)
        errors = [_validation_error(item) for item in error.errors()]
        detail = "; ".join(str(item) for item in errors)
        return problem_response(422, _TITLES[422], detail, errors=errors, instance=request.url.path)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        title = HTTPStatus(error.status_code).phrase
        return problem_response(
            error.status_code, title, str(error.detail), headers=error.headers, instance=request.url.path
        )


def _for_callers(message: str) -> str:
    """A message of Triton's in the gateway's own words."""
    plain = _ENSEMBLE.sub("", message)
    for inner, outer in _INNER_NAMES.items():
        if plain.startswith((f"{inner}=", f"{inner}:")):
            return outer + plain.removeprefix(inner)
    return plain


def _field_error(message: str) -> FieldError:
    """Triton's messages begin with the field and its value: `duration=-3.0: must be …`."""
    found = _FIELD.match(message)
    if found is None:
        return FieldError(field="body", message=message)
    return FieldError(field=found[1], value=_shown(found[2] and found[2].strip("'")), message=message[found.end() :])


def _validation_error(item: Mapping[str, Any]) -> FieldError:
    place = [str(part) for part in item["loc"] if part not in ("body", "query", "header", "path")]
    value = None if item["type"] == "missing" else _shown(item.get("input"))  # else it would be what surrounds the gap
    return FieldError(field=".".join(place) or "body", value=value, message=item["msg"])


def _shown(value: object) -> object:
    """A value as an error may repeat it: small, and JSON."""
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, int) or abs(value) < 10**LONGEST_VALUE else "a huge number"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = (value if isinstance(value, str) else repr(value)).encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
