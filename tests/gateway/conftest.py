"""A real gateway in front of the session's real Triton."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from running_gateway import RunningGateway, running

if TYPE_CHECKING:
    from serving.server import EmbeddedServer

StartGateway = Callable[..., RunningGateway]


@pytest.fixture(scope="session")
def gateway(server: EmbeddedServer) -> Iterator[RunningGateway]:
    """One gateway with default limits."""
    with running(triton=server.grpc_url) as gateway:
        yield gateway


@pytest.fixture
def start_gateway(server: EmbeddedServer) -> Iterator[StartGateway]:
    """Starts gateways with settings of their own, such as `start_gateway(streams_per_client=1)`."""
    with ExitStack() as stack:

        def start(**settings: Any) -> RunningGateway:
            return stack.enter_context(running(**{"triton": server.grpc_url, **settings}))

        yield start


@pytest.fixture
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client
