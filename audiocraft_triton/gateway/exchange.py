"""One request and its answer: what is learnt on the way in, for the log line and the metrics on the way out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from starlette.types import Scope

Refusal = Literal["body", "rate", "streams", "key", "busy"]
_PLACE = "audiocraft.exchange"


@dataclass(slots=True)
class Exchange:
    """What is known of a request beside what HTTP says.

    Attributes:
        client: who asks, as logs may say it: an address, or "key 2".
        refusal: which limit refused the request.
        is_stream: the answer is sent while it is made.
    """

    client: str
    refusal: Refusal | None = None
    is_stream: bool = False


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that a request belongs to."""
    exchange: Exchange = scope.setdefault(_PLACE, Exchange(client_address(scope)))
    return exchange


def client_address(scope: Scope) -> str:
    """Where a request comes from; of IPv6 the network, for a caller has a whole /64 to choose addresses from."""
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
