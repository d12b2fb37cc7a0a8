"""Whether the gateway lives, and whether what stands behind it is ready."""

from __future__ import annotations

from audiocraft_client import ServerUnreachable
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from audiocraft_triton.gateway.dependencies import PROBLEMS, Triton
from audiocraft_triton.gateway.problems import describe
from audiocraft_triton.gateway.route_policies import OPEN, PROBE, declare
from audiocraft_triton.gateway.schemas import HealthAnswer

router = APIRouter(tags=["health"])
_NOT_READY = {"model": HealthAnswer, "description": "Not ready; the answer says why."}


@router.get("/health", response_model=HealthAnswer, responses={503: _NOT_READY})
@declare(OPEN)
async def health(request: Request, triton: Triton) -> Response:
    """The server behind the gateway: version, models, discriminators."""
    found = await triton.health()
    answer = HealthAnswer.of(found, request.app.version)
    return JSONResponse(answer.model_dump(), 200 if found.ready else 503)


@router.get("/livez", response_class=PlainTextResponse)
@declare(PROBE)
async def livez() -> str:
    """That this process answers; Triton isn't asked."""
    return "alive"


@router.get("/readyz", response_class=PlainTextResponse, responses={503: PROBLEMS[503]})
@declare(PROBE)
async def readyz(request: Request, triton: Triton) -> Response:
    """Whether a request would be served now."""
    found = await triton.health()
    if found.ready:
        return PlainTextResponse("ready")
    return describe(ServerUnreachable(found.reason or "Triton is not ready"), request.url.path)
