"""Endpoints in the formats of other servers, so that existing clients work: OpenAI's, and vllm-omni's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from audiocraft_triton.contract.models import UNARY_MODELS, GenerationModel, Kind
from audiocraft_triton.contract.parameters import BY_NAME, FileFormat
from audiocraft_triton.gateway.audio_bodies import MEDIA_TYPES
from audiocraft_triton.gateway.dependencies import (
    PROBLEMS,
    Configured,
    Triton,
    audio_answer,
)
from audiocraft_triton.gateway.fields import Seed, field
from audiocraft_triton.gateway.limits.streams import Place
from audiocraft_triton.gateway.route_policies import GENERATION, declare
from audiocraft_triton.gateway.routes.generation import streamed_clip, whole_clip
from audiocraft_triton.gateway.schemas import ClipRequest, StreamRequest

KINDS: dict[GenerationModel, Kind] = {name: kind for kind, name in UNARY_MODELS.items()}
router = APIRouter(prefix="/v1", tags=["ecosystem"])
_SOUND = audio_answer("The sound.", *dict.fromkeys([*MEDIA_TYPES.values(), "audio/pcm"]))


class CommonRequest(BaseModel):
    """What both shapes share. Fields that mean nothing here (voice, negative_prompt …) are sent, and ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    input: str = field(BY_NAME["text"], examples=["calm solo piano"])
    model: GenerationModel = "musicgen"
    seed: Seed = None

    def renamed(self, names: Mapping[str, str]) -> dict[str, Any]:
        """What the caller sent of a generation's parameters, under this gateway's names."""
        known = {"input": "text", "duration": "duration", "seed": "seed", **names}
        return {known[name]: getattr(self, name) for name in self.model_fields_set if name in known}


class AudioGenerateRequest(CommonRequest):
    """As vllm-omni's `/v1/audio/generate`."""

    audio_length: float = field(BY_NAME["duration"])
    guidance_scale: float = field(BY_NAME["cfg_coef"])
    response_format: FileFormat = field(BY_NAME["format"])


class SpeechRequest(CommonRequest):
    """As OpenAI's `/v1/audio/speech`: wav and pcm are streamed, mp3 and flac come whole."""

    response_format: Literal["mp3", "wav", "flac", "pcm"] = "mp3"
    stream_format: Literal["audio"] = "audio"
    duration: float = field(BY_NAME["duration"], "Length of the clip in seconds; not in OpenAI's shape.")


class ModelCard(BaseModel):
    """A model that can be asked for."""

    id: GenerationModel
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
    names = {"audio_length": "duration", "guidance_scale": "cfg_coef", "response_format": "format"}
    wanted = ClipRequest.model_validate(body.renamed(names))
    return await whole_clip(request, triton, settings, KINDS[body.model], wanted)


@router.post("/audio/speech", responses=_SOUND, response_class=Response)
@declare(GENERATION)
async def audio_speech(
    request: Request, body: SpeechRequest, triton: Triton, settings: Configured, place: Place
) -> Response:
    """Text to sound, in OpenAI's words; streamed where the format allows it."""
    kind = KINDS[body.model]
    wanted = {**body.renamed({}), "format": body.response_format}  # this shape's default format is its own
    if body.response_format == "wav" or body.response_format == "pcm":
        stream = StreamRequest.model_validate(wanted)
        return await streamed_clip(request, triton, settings, place, kind, stream)
    return await whole_clip(request, triton, settings, kind, ClipRequest.model_validate(wanted))
