"""The studio page and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from audiocraft_triton.gateway.route_policies import OPEN, declare

STATIC = Path(__file__).resolve().parent.parent / "static"
# Everything the page needs comes from this server; audio and workers may also be made in the page itself.
POLICY = (
    "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
router = APIRouter(include_in_schema=False)


class Files(StaticFiles):
    """Files that a browser revalidates each time (cheap, by ETag), so that old and new modules never mix."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Answers with the file and the page's headers."""
        response = super().file_response(*arguments, **options)
        response.headers.update(HEADERS)
        return response


@router.get("/")
@declare(OPEN)
async def studio() -> FileResponse:
    """Answers with the page."""
    return FileResponse(STATIC / "index.html", headers=HEADERS)
