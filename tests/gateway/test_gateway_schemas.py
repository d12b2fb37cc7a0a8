"""What the gateway passes on of a body."""

from __future__ import annotations

from audiocraft_triton.gateway.schemas import ClipRequest, StreamRequest


def test_only_what_a_caller_set_is_passed_on() -> None:
    assert ClipRequest(text="piano").options() == {}
    assert StreamRequest(text="piano", format="pcm", top_k=250).options() == {"top_k": 250}
    assert ClipRequest(text="piano", seed=7, decoder="encodec").options() == {"seed": 7, "decoder": "encodec"}
