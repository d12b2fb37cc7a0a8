"""How real a file sounds, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from audiocraft_client import Client

if TYPE_CHECKING:
    from audiocraft_triton.serving.embedded.server import EmbeddedServer


@pytest.fixture(scope="module")
def clip(gateway) -> bytes:
    with gateway.client() as http:
        return http.post("/generate/music", json={"text": "rock", "duration": 5.0, "seed": 3}).content


def test_scores_are_the_clients_own(http: httpx.Client, server: EmbeddedServer, clip: bytes) -> None:
    answer = http.post("/analyze", files={"file": clip})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    with Client(server.grpc_url) as client:
        expected = client.analyze(clip)
    for name in ("mpd_score", "msd_score", "msstftd_score", "realness", "is_real", "calibrated", "window_seconds"):
        assert found[name] == pytest.approx(getattr(expected, name), abs=1e-6)
    assert [window["start"] for window in found["windows"]] == [0.0, 2.0, 3.0]
    curve = [[window["mpd"], window["msd"], window["msstftd"]] for window in found["windows"]]
    np.testing.assert_allclose(curve, expected.window_scores, atol=1e-6)
    assert found["feature_maps"] is None


def test_the_threshold_decides(http: httpx.Client, clip: bytes) -> None:
    realness = http.post("/analyze", files={"file": clip}).json()["realness"]
    verdicts = [
        http.post(f"/analyze?threshold={threshold}", files={"file": clip}).json()["is_real"]
        for threshold in (realness - 0.01, realness + 0.01)
    ]
    assert verdicts == [True, False]


def test_feature_maps_on_demand(http: httpx.Client, server: EmbeddedServer, clip: bytes) -> None:
    found = http.post("/analyze?feature_maps=true", files={"file": clip}).json()["feature_maps"]
    with Client(server.grpc_url) as client:
        expected = client.analyze(clip, feature_maps=True)
    assert expected.feature_maps is not None
    assert {layer["discriminator"] for layer in found} == {"mpd", "msd", "msstftd"}
    assert sum(len(layer["means"][0]) for layer in found) == expected.feature_maps.shape[1]
    assert all(len(layer["means"]) == 3 for layer in found)


@pytest.mark.parametrize("threshold", ["-0.1", "1.1", "nan", "much"])
def test_a_threshold_out_of_bounds(http: httpx.Client, clip: bytes, threshold: str) -> None:
    answer = http.post(f"/analyze?threshold={threshold}", files={"file": clip})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "threshold")


def test_a_file_that_is_no_sound(http: httpx.Client) -> None:
    answer = http.post("/analyze", files={"file": b"not a sound"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "file", "value": "11 bytes", "message": answer.json()["errors"][0]["message"]}
    ]
    assert "not a readable audio file" in answer.json()["detail"]
