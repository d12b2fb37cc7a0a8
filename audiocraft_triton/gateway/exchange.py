"""Facts about one request that are learnt on its way in, and needed for the log line and the metrics at its end."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from starlette.types import Scope

Refusal = Literal["body", "rate", "streams", "key", "busy"]
_PLACE = "audiocraft.exchange"


@dataclass(slots=True)
class Exchange:
    """Facts about a request that are not in its HTTP message.

    Attributes:
        client: name of the caller that is safe to log: an address, or "key 2".
        refusal: the limit that refused the request, if one did.
        is_stream: whether the answer is sent while it is made.
    """

    client: str
    refusal: Refusal | None = None
    is_stream: bool = False


def exchange_of(scope: Scope) -> Exchange:
    """Returns the exchange of a request; the first call makes it."""
    exchange: Exchange = scope.setdefault(_PLACE, Exchange(client_address(scope)))
    return exchange


def client_address(scope: Scope) -> str:
    """Returns a request's address; for IPv6 its /64 network, since a caller can choose any address in it."""
    if not scope.get("client"):
        return "unknown"
    host = str(scope["client"][0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address.is_loopback:
        return str(address)
    return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
