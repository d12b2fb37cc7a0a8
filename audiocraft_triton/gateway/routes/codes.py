"""Audio files to EnCodec tokens, and back."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from audiocraft_client import Codes, InvalidRequest
from fastapi import APIRouter, File, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile as FormFile
from starlette.responses import Response

from audiocraft_triton.gateway.audio_bodies import MEDIA_TYPES
from audiocraft_triton.gateway.dependencies import (
    AUDIO_FILE,
    BINARY,
    PROBLEMS,
    Triton,
    audio_answer,
    json_answer,
)
from audiocraft_triton.gateway.disconnects import unless_disconnected
from audiocraft_triton.gateway.routes.generation import audio_file
from audiocraft_triton.gateway.schemas import CodesAnswer, DecodeRequest

NPZ = "application/x-npz"
router = APIRouter(tags=["codes"])
_DECODED = audio_answer("The sound of the codes.", *dict.fromkeys(MEDIA_TYPES.values()))
_DECODE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/DecodeRequest"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "What /encode?format=npz gave; decoder, seed and format have their defaults.",
                    }
                },
            }
        },
    },
}


@router.post(
    "/encode",
    response_model=CodesAnswer,
    responses={200: {"description": "The codes.", "content": {NPZ: BINARY}}, **PROBLEMS},
)
async def encode(
    request: Request,
    triton: Triton,
    file: Annotated[UploadFile, File(description=AUDIO_FILE)],
    format: Literal["json", "npz"] = "json",
) -> Any:
    """An audio file to EnCodec tokens, as JSON or as a numpy file."""
    codes = await unless_disconnected(request, triton.encode(await file.read()))
    if format == "npz":
        headers = {"Content-Disposition": 'attachment; filename="codes.npz"'}
        return Response(await asyncio.to_thread(codes.to_bytes), media_type=NPZ, headers=headers)
    return await json_answer(lambda: CodesAnswer.of(codes))


@router.post("/decode", responses=_DECODED, response_class=Response, openapi_extra={"requestBody": _DECODE_BODY})
async def decode(request: Request, triton: Triton) -> Response:
    """EnCodec tokens to sound: as JSON, or as the numpy file that /encode writes."""
    wanted, codes = await _wanted(request)
    audio = await unless_disconnected(request, triton.decode(codes, wanted.decoder, seed=wanted.seed))
    return await audio_file(audio, wanted.format)


async def _wanted(request: Request) -> tuple[DecodeRequest, Any]:
    """The request's options, and its codes as the client takes them."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        body = await request.body()
        wanted = await asyncio.to_thread(_parsed, body)
        return wanted, _rectangular(wanted.codes)
    async with request.form() as form:
        file = form.get("file")
        if not isinstance(file, FormFile):
            raise InvalidRequest("file: is missing; send codes as JSON, or a .npz file as the form's field `file`")
        codes = await asyncio.to_thread(Codes.from_bytes, await file.read())
    return DecodeRequest(codes=[[0]]), codes


def _parsed(body: bytes) -> DecodeRequest:
    try:
        return DecodeRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from error


def _rectangular(codes: list[list[int]]) -> list[list[int]]:
    lengths = sorted({len(row) for row in codes})
    if len(lengths) > 1:
        raise InvalidRequest(f"codes: every codebook must have as many frames, here {lengths[0]} and {lengths[-1]}")
    return codes
