"""Builds the gateway's ASGI app."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import metadata

from audiocraft_client import AsyncClient
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from audiocraft_triton.gateway.limits import install_limits
from audiocraft_triton.gateway.observability import install_observability
from audiocraft_triton.gateway.problems import install_problems
from audiocraft_triton.gateway.route_policies import OPEN, Routes, declare, declare_all
from audiocraft_triton.gateway.routes import (
    analysis,
    codes,
    ecosystem,
    generation,
    health,
    page,
)
from audiocraft_triton.gateway.settings import Settings

EXPOSED_HEADERS = ("X-Seed", "X-Sample-Rate", "X-Channels", "X-Duration-Seconds", "X-Request-ID", "Retry-After")
ABOUT = (
    "A REST API in front of Triton: generates music and sound from text, converts audio to EnCodec tokens and back, "
    "and scores how real a clip sounds. Errors are problem details (RFC 9457). The same request with the same seed "
    "gives the same clip."
)


def create_app(settings: Settings) -> FastAPI:
    """Creates the gateway as an ASGI app, which opens its own Triton client while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        async with AsyncClient(settings.triton, timeout=settings.call_timeout) as client:
            app.state.client = client
            yield

    # The documentation pages load nothing from a CDN: a gateway may have no access to the internet.
    app = FastAPIOffline(
        title="audiocraft-triton", description=ABOUT, version=metadata.version("audiocraft-client"),
        license_info={"name": "MIT"}, lifespan=lifespan, static_url="/docs-assets",
        generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    declare_all(app, OPEN)  # the documentation pages, which FastAPI adds
    app.state.settings = settings
    routes = Routes(app)
    for module in (generation, codes, analysis, ecosystem, health, page):
        app.include_router(module.router)
    app.mount("/static", declare(OPEN)(page.Files(directory=page.STATIC)), name="static")
    install_problems(app)
    install_limits(app, settings, routes)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.allowed_origins, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=EXPOSED_HEADERS,
        )  # fmt: skip
    install_observability(app, routes)
    return app
