"""What the gateway passes on of a body."""

from __future__ import annotations

import pytest

from audiocraft_triton.contract.parameters import PARAMETERS
from audiocraft_triton.gateway.routes.ecosystem import AudioGenerateRequest, SpeechRequest
from audiocraft_triton.gateway.schemas import ClipRequest, StreamRequest


def test_only_what_a_caller_set_is_passed_on() -> None:
    assert ClipRequest(text="piano").options() == {}
    assert StreamRequest(text="piano", format="pcm", top_k=250).options() == {"top_k": 250}
    assert ClipRequest(text="piano", seed=7, decoder="encodec").options() == {"seed": 7, "decoder": "encodec"}
    assert StreamRequest(text="piano").sent("chunk_seconds") is None
    assert StreamRequest(text="piano", chunk_seconds=0.5).sent("chunk_seconds") == 0.5


def test_so_it_is_in_the_shapes_of_other_servers() -> None:
    assert AudioGenerateRequest(input="rain").renamed({"audio_length": "duration"}) == {"text": "rain"}
    assert AudioGenerateRequest(input="rain", audio_length=2).renamed({"audio_length": "duration"}) == {
        "text": "rain",
        "duration": 2,
    }
    assert SpeechRequest(input="rain", seed=3, duration=10).renamed({}) == {"text": "rain", "seed": 3, "duration": 10}


@pytest.mark.parametrize(("model", "frontend"), [(ClipRequest, "unary"), (StreamRequest, "stream")])
def test_a_body_takes_every_parameter_of_its_frontend(
    model: type[ClipRequest] | type[StreamRequest], frontend: str
) -> None:
    # An answer over REST is a file already: base64 is for callers of Triton's own JSON.
    wanted = {row.name for row in PARAMETERS if row.frontend in ("both", frontend)} - {"base64"}
    assert set(model.model_fields) == wanted | {"format"}
