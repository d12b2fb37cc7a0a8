"""How real a file sounds to the three discriminators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Query, Request, UploadFile
from starlette.responses import Response

from audiocraft_triton.contract.parameters import THRESHOLD
from audiocraft_triton.gateway.dependencies import AUDIO_FILE, PROBLEMS, Triton, json_answer
from audiocraft_triton.gateway.disconnects import unless_disconnected
from audiocraft_triton.gateway.schemas import AnalysisAnswer

router = APIRouter(tags=["analyze"])


@router.post("/analyze", response_model=AnalysisAnswer, responses=PROBLEMS)
async def analyze(
    request: Request,
    triton: Triton,
    file: Annotated[UploadFile, File(description=AUDIO_FILE)],
    threshold: Annotated[float, Query(ge=THRESHOLD.low, le=THRESHOLD.high, description=THRESHOLD.description)] = (
        THRESHOLD.default
    ),
    feature_maps: Annotated[bool, Query(description="Also the mean of each channel of each layer.")] = False,
) -> Response:
    """Scores, verdict and a curve over time; feature maps on demand."""
    sent = threshold if THRESHOLD.name in request.query_params else None
    analysis = await unless_disconnected(request, triton.analyze(await file.read(), sent, feature_maps))
    return await json_answer(lambda: AnalysisAnswer.of(analysis, threshold))
