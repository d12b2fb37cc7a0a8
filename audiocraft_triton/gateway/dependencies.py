"""Code that the endpoints share: Triton's client, the settings, large JSON answers, and the errors in the OpenAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from audiocraft_client import AsyncClient
from fastapi import Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from audiocraft_triton.contract.limits import MAX_FILE_BYTES, MAX_SECONDS, MEBIBYTE
from audiocraft_triton.gateway import problems
from audiocraft_triton.gateway.settings import Settings


def triton(request: Request) -> AsyncClient:
    """Returns the app's Triton client."""
    client: AsyncClient = request.app.state.client
    return client


def settings(request: Request) -> Settings:
    """Returns the app's settings."""
    found: Settings = request.app.state.settings
    return found


async def json_answer(build: Callable[[], BaseModel]) -> Response:
    """Builds and serializes an answer in a thread, since it may have megabytes; it is validated once."""
    content = await asyncio.to_thread(lambda: build().model_dump_json())
    return Response(content, media_type="application/json")


Triton = Annotated[AsyncClient, Depends(triton)]
Configured = Annotated[Settings, Depends(settings)]

_PROBLEM: dict[str, Any] = {
    "model": problems.Problem,
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_WORDS = {
    400: "The body is not valid JSON, or not a valid form.",
    401: "The gateway requires an API key.",
    413: "The body is larger than allowed.",
    415: "The endpoint does not take this content type; JSON needs Content-Type: application/json.",
    422: "A field is outside its bounds, or a file can't be read; `errors` names it.",
    429: "Too many requests or streams; see Retry-After.",
    500: "An error inside the gateway.",
    502: "The model server failed.",
    503: "All slots are taken and the admission queue is full, or Triton can't be reached; see Retry-After.",
    504: "The call took longer than allowed.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {**_PROBLEM, "description": words} for status, words in _WORDS.items()
}
AUDIO_FILE = f"An audio file, up to {MAX_FILE_BYTES // MEBIBYTE} MiB and {MAX_SECONDS} seconds."
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def audio_answer(words: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """Describes, for the OpenAPI, an answer that is audio, and all error answers."""
    headers = {
        name: {"description": description, "schema": {"type": kind}}
        for name, description, kind in (
            ("X-Seed", "Seed of the clip: the same request with this seed gives the same clip.", "integer"),
            ("X-Sample-Rate", "Sample rate in hertz.", "integer"),
            ("X-Channels", "Number of channels.", "integer"),
        )
    }
    content = dict.fromkeys(media_types, BINARY)
    return {200: {"description": words, "content": content, "headers": headers}, **PROBLEMS}
