"""Identifies callers by their API key, or by their address where no key is required."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from audiocraft_triton.gateway.exchange import client_address
from audiocraft_triton.gateway.settings import Settings

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request.

    Attributes:
        name: "key 2", by its place in the list, or an address. It is safe to log, and limits count by it.
        admitted: whether the caller sent a valid key, or needs none.
    """

    name: str
    admitted: bool


class Callers:
    """Identifies callers; it keeps digests of the API keys only.

    Args:
        keys: the valid API keys; without any, every caller is admitted.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def identify(self, scope: Scope) -> Caller:
        """Identifies a caller by its key if that is valid, else by its address."""
        if not self._digests:
            return Caller(client_address(scope), admitted=True)
        shown = _digest(_shown_key(scope))
        # Every key is compared, and all digests have the same length, so the time taken reveals nothing about a key.
        matches = [hmac.compare_digest(shown, digest) for digest in self._digests]
        if any(matches):
            return Caller(f"key {matches.index(True) + 1}", admitted=True)
        return Caller(client_address(scope), admitted=False)


def read_keys(settings: Settings) -> list[str]:
    """Returns the API keys from the settings and from the file that they name.

    Raises:
        ValueError: the file can't be read or has no key, which must not open the gateway to everyone.
    """
    keys = [key.get_secret_value() for key in settings.api_keys]
    path = settings.api_keys_file
    if path is None:
        return keys
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"api_keys_file={path}: can't be read: {error}") from error
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise ValueError(
            f"api_keys_file={path}: has no key; write one per line, or unset api_keys_file to admit every caller"
        )
    return keys + found


def _shown_key(scope: Scope) -> bytes:
    headers = Headers(scope=scope)
    authorization = headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        key = authorization[len(_BEARER) :].strip()
    else:
        key = headers.get("x-api-key", "")
    return key.encode("latin-1")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
