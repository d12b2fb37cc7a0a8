"""How real a file sounds to the three discriminators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Query, Request, UploadFile
from starlette.responses import Response

from audiocraft_triton.gateway.dependencies import PROBLEMS, Triton, json_answer
from audiocraft_triton.gateway.disconnects import unless_disconnected
from audiocraft_triton.gateway.schemas import AnalysisAnswer

router = APIRouter(tags=["analyze"])


@router.post("/analyze", response_model=AnalysisAnswer, responses=PROBLEMS)
async def analyze(
    request: Request,
    triton: Triton,
    file: Annotated[UploadFile, File(description="An audio file, up to 64 MiB and 300 seconds.")],
    threshold: Annotated[float, Query(ge=0, le=1, description="Realness from which a clip counts as real.")] = 0.5,
    feature_maps: Annotated[bool, Query(description="Also the mean of each channel of each layer.")] = False,
) -> Response:
    """Scores, verdict and a curve over time; feature maps on demand."""
    analysis = await unless_disconnected(request, triton.analyze(await file.read(), threshold, feature_maps))
    return await json_answer(lambda: AnalysisAnswer.of(analysis, threshold))
