"""The endpoints that generate music and sound from text, as whole clips and as streams."""

from __future__ import annotations

import asyncio

from audiocraft_client import AsyncClient, Audio, InvalidRequest, ServerFailure
from fastapi import APIRouter, Request
from starlette.responses import Response

from audiocraft_triton.contract.limits import MIN_SECONDS
from audiocraft_triton.contract.models import Kind
from audiocraft_triton.gateway.audio_bodies import (
    MEDIA_TYPES,
    STREAM_MEDIA_TYPES,
    clip_headers,
    stream_bytes,
)
from audiocraft_triton.gateway.dependencies import Configured, Triton, audio_answer
from audiocraft_triton.gateway.disconnects import AudioStream, unless_disconnected
from audiocraft_triton.gateway.limits.streams import Place, StreamPlace
from audiocraft_triton.gateway.route_policies import GENERATION, declare
from audiocraft_triton.gateway.schemas import ClipRequest, GenerationBody, StreamRequest
from audiocraft_triton.gateway.settings import Settings

CLIP = audio_answer("The clip, at the model's own sample rate.", *dict.fromkeys(MEDIA_TYPES.values()))
STREAM = audio_answer("The clip, piece by piece.", *dict.fromkeys(STREAM_MEDIA_TYPES.values()))
router = APIRouter(tags=["generate"])


@router.post("/generate/music", responses=CLIP, response_class=Response)
@declare(GENERATION)
async def generate_music(request: Request, body: ClipRequest, triton: Triton, settings: Configured) -> Response:
    """Generates a clip of music from text."""
    return await whole_clip(request, triton, settings, "music", body)


@router.post("/generate/audio", responses=CLIP, response_class=Response)
@declare(GENERATION)
async def generate_audio(request: Request, body: ClipRequest, triton: Triton, settings: Configured) -> Response:
    """Generates a clip of sound from text: rain, engines, sirens."""
    return await whole_clip(request, triton, settings, "sound", body)


@router.post("/generate/music/stream", responses=STREAM, response_class=Response)
@declare(GENERATION)
async def stream_music(
    request: Request, body: StreamRequest, triton: Triton, settings: Configured, place: Place
) -> Response:
    """Generates music from text, and sends it while it is made."""
    return await streamed_clip(request, triton, settings, place, "music", body)


@router.post("/generate/audio/stream", responses=STREAM, response_class=Response)
@declare(GENERATION)
async def stream_audio(
    request: Request, body: StreamRequest, triton: Triton, settings: Configured, place: Place
) -> Response:
    """Generates sound from text, and sends it while it is made."""
    return await streamed_clip(request, triton, settings, place, "sound", body)


async def whole_clip(
    request: Request, triton: AsyncClient, settings: Settings, kind: Kind, body: ClipRequest
) -> Response:
    """Generates a clip, and answers with a file."""
    _require_duration(body, settings)
    generate = triton.music if kind == "music" else triton.sound
    audio = await unless_disconnected(request, generate(body.text, **body.options()))
    return await audio_file(audio, body.format)


async def streamed_clip(
    request: Request, triton: AsyncClient, settings: Settings, place: StreamPlace, kind: Kind, body: StreamRequest
) -> Response:
    """Generates a clip, and begins the answer at the first chunk, so that earlier errors get a proper status."""
    _require_duration(body, settings)
    place.take()
    chunks = triton.stream(body.text, kind, body.sent("chunk_seconds"), **body.options())
    try:
        first = await unless_disconnected(request, anext(chunks))
    except StopAsyncIteration:
        raise ServerFailure("the stream ended before its first chunk") from None
    except BaseException:
        await chunks.aclose()
        raise
    pieces = stream_bytes(first, chunks, body.format)
    return AudioStream(pieces, chunks, STREAM_MEDIA_TYPES[body.format], clip_headers(first))


async def audio_file(audio: Audio, encoding: str) -> Response:
    """Answers with a clip as a file, which is encoded in a thread, since that takes a while."""
    content = await asyncio.to_thread(audio.to_bytes, encoding)
    return Response(content, media_type=MEDIA_TYPES[encoding], headers=clip_headers(audio))


def _require_duration(body: GenerationBody, settings: Settings) -> None:
    if body.duration > settings.max_audio_seconds:
        raise InvalidRequest(
            f"duration={body.duration:g}: must be between {MIN_SECONDS} and {settings.max_audio_seconds:g} seconds here"
        )
