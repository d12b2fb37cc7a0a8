"""What the OpenAPI says is what the gateway does: schemathesis calls every endpoint, within and beyond the bounds."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import schemathesis
import soundfile
from audiocraft_client import Codes
from hypothesis import HealthCheck, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection
from schemathesis.transport.serialization import Binary

from audiocraft_triton.contract.parameters import MAX_SEED
from audiocraft_triton.gateway.app import create_app
from audiocraft_triton.gateway.settings import Settings

PATIENCE = 300
LONGEST = 0.3
"""Seconds of sound that a test asks for: the bounds themselves cost minutes, and have tests of their own."""
CODES = [[1, 2, 3, 4, 5, 6, 7, 8]] * 4
DURATIONS = {
    "/generate/music": "duration",
    "/generate/audio": "duration",
    "/generate/music/stream": "duration",
    "/generate/audio/stream": "duration",
    "/v1/audio/generate": "audio_length",
    "/v1/audio/speech": "duration",
}
schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())


@schema.parametrize()
@settings(max_examples=6, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_door_does_what_its_description_says(case: schemathesis.Case, gateway) -> None:
    if case.meta.generation.mode is GenerationMode.NEGATIVE:
        case.call_and_validate(base_url=gateway.url, timeout=PATIENCE)
        return
    _make_servable(case)
    # It takes a file for text that breaks the schema, and expects a refusal.
    answer = case.call_and_validate(base_url=gateway.url, timeout=PATIENCE, excluded_checks=[negative_data_rejection])
    assert answer.status_code == 200, answer.text


def _make_servable(case: schemathesis.Case) -> None:
    """Of what the schema allows, what the model behind serves: a schema can't say what a sound file is."""
    if not isinstance(case.body, dict):
        return
    case.body = {name: _served(name, value) for name, value in case.body.items() if name != "melody"}
    seconds = DURATIONS.get(case.operation.path)
    if seconds is not None and (seconds not in case.body or case.body.get("continuation") is not None):
        case.body[seconds] = LONGEST
    if "/generate/audio" in case.operation.path:
        case.body["decoder"] = "encodec"
    if case.operation.path == "/decode" and "file" in case.body:
        case.body["file"] = Binary(Codes(np.array(CODES, np.int32), 32_000, 0.2).to_bytes())


def _served(name: str, value: Any) -> Any:
    if name in ("duration", "audio_length"):
        return min(value, LONGEST)
    if name == "top_k":
        return min(value, 10)
    if name in ("text", "input"):
        return value[:100]  # 2,000 characters may be more than the 512 tokens that a text encoder takes
    if name == "seed" and value is not None:
        return min(value, MAX_SEED)  # a JSON number in the OpenAPI, which is a float there: 2^63
    if name == "codes":
        return CODES
    if name == "file":
        return Binary(_sound())
    if name == "continuation" and value is not None:
        return base64.b64encode(_sound()).decode()
    return value


def _sound() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(3_200) / 10), 16_000, format="WAV")
    return file.getvalue()
