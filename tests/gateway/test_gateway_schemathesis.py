"""What the OpenAPI says is what the gateway does: schemathesis asks every door, with what is allowed and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from gateway.app import create_app
from gateway.settings import Settings

schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


@schema.parametrize()
@settings(max_examples=8, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_door_does_what_its_description_says(case: schemathesis.Case, gateway) -> None:
    case.call_and_validate(base_url=gateway.url, timeout=60)
