"""Request ids: the caller's own id if it is safe to log, else a new one."""

from __future__ import annotations

import re
import uuid

REQUEST_ID_HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_sane(request_id: str) -> bool:
    """Tells whether an id may go into headers and logs: up to 64 letters, digits, dots, dashes and underscores."""
    return _SANE.fullmatch(request_id) is not None


def new_request_id() -> str:
    """Returns a random id."""
    return uuid.uuid4().hex
