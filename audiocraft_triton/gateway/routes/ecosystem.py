"""Doors in the shapes that other servers made common, so that existing clients work: OpenAI's, and vllm-omni's."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from audiocraft_triton.gateway.audio_bodies import MEDIA_TYPES
from audiocraft_triton.gateway.dependencies import (
    PROBLEMS,
    Configured,
    Triton,
    audio_answer,
)
from audiocraft_triton.gateway.limits.streams import Place
from audiocraft_triton.gateway.route_policies import GENERATION, declare
from audiocraft_triton.gateway.routes.generation import Kind, streamed_clip, whole_clip
from audiocraft_triton.gateway.schemas import (
    MAX_TEXT,
    ClipRequest,
    Seed,
    StreamRequest,
)

Model = Literal["musicgen", "audiogen"]
KINDS: dict[Model, Kind] = {"musicgen": "music", "audiogen": "sound"}
router = APIRouter(prefix="/v1", tags=["ecosystem"])
_SOUND = audio_answer("The sound.", *dict.fromkeys([*MEDIA_TYPES.values(), "audio/pcm"]))


class CommonRequest(BaseModel):
    """What both shapes share. Fields that mean nothing here (voice, negative_prompt …) are sent, and ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    input: Annotated[str, Field(max_length=MAX_TEXT, description="What to hear.", examples=["calm solo piano"])]
    model: Model = "musicgen"
    seed: Seed = None


class AudioGenerateRequest(CommonRequest):
    """As vllm-omni's `/v1/audio/generate`."""

    audio_length: float = Field(10.0, ge=0.1, le=300, description="Seconds.")
    guidance_scale: float = Field(3.0, ge=0, le=20, description="How closely to follow the text; 1 is no guidance.")
    response_format: Literal["wav", "flac", "ogg", "mp3"] = "wav"


class SpeechRequest(CommonRequest):
    """As OpenAI's `/v1/audio/speech`: wav and pcm are streamed, mp3 and flac come whole."""

    response_format: Literal["mp3", "wav", "flac", "pcm"] = "mp3"
    stream_format: Literal["audio"] = "audio"
    duration: float = Field(10.0, ge=0.1, le=300, description="Seconds; not in OpenAI's shape.")


class ModelCard(BaseModel):
    """A model that can be asked for."""

    id: Model
    object: Literal["model"] = "model"
    owned_by: str = "audiocraft-triton"


class ModelList(BaseModel):
    """The models that are ready."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


@router.get("/models", responses={503: PROBLEMS[503]})
async def models(triton: Triton) -> ModelList:
    """The generation models that are ready."""
    found = await triton.health()
    return ModelList(data=[ModelCard(id=name) for name in KINDS if found.models.get(name)])


@router.post("/audio/generate", responses=_SOUND, response_class=Response)
@declare(GENERATION)
async def audio_generate(
    request: Request, body: AudioGenerateRequest, triton: Triton, settings: Configured
) -> Response:
    """Text to sound, in vllm-omni's words."""
    wanted = ClipRequest(
        text=body.input, duration=body.audio_length, cfg_coef=body.guidance_scale, seed=body.seed,
        format=body.response_format,
    )  # fmt: skip
    return await whole_clip(request, triton, settings, KINDS[body.model], wanted)


@router.post("/audio/speech", responses=_SOUND, response_class=Response)
@declare(GENERATION)
async def audio_speech(
    request: Request, body: SpeechRequest, triton: Triton, settings: Configured, place: Place
) -> Response:
    """Text to sound, in OpenAI's words; streamed where the format allows it."""
    kind = KINDS[body.model]
    if body.response_format == "wav" or body.response_format == "pcm":
        stream = StreamRequest(text=body.input, duration=body.duration, seed=body.seed, format=body.response_format)
        return await streamed_clip(request, triton, settings, place, kind, stream)
    clip = ClipRequest(text=body.input, duration=body.duration, seed=body.seed, format=body.response_format)
    return await whole_clip(request, triton, settings, kind, clip)
