"""Files to codes and back, as JSON and as numpy files."""

from __future__ import annotations

import io
import json
import zipfile
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
        return http.post("/generate/music", json={"text": "rock", "duration": 1.0, "seed": 3}).content


def test_codes_are_the_clients_own(http: httpx.Client, server: EmbeddedServer, clip: bytes) -> None:
    answer = http.post("/encode", files={"file": ("clip.wav", clip)}).json()
    with Client(server.grpc_url) as client:
        codes = client.encode(clip)
    assert answer["codes"] == codes.codes.tolist()
    assert (answer["codebooks"], answer["frames"], answer["sample_rate"]) == (*codes.codes.shape, 32_000)
    assert answer["duration"] == 1.0


def test_json_and_numpy_files_decode_to_the_same_sound(http: httpx.Client, server: EmbeddedServer, clip: bytes) -> None:
    codes = http.post("/encode", files={"file": clip}).json()["codes"]
    file = http.post("/encode?format=npz", files={"file": clip})
    assert file.headers["Content-Type"] == "application/x-npz"
    from_json = http.post("/decode", json={"codes": codes})
    from_file = http.post("/decode", files={"file": file.content})
    with Client(server.grpc_url) as client:
        expected = client.decode(np.array(codes)).to_bytes("wav")
    assert from_json.content == from_file.content == expected


def test_diffusion_takes_a_seed_and_returns_it(http: httpx.Client, clip: bytes) -> None:
    codes = http.post("/encode", files={"file": clip}).json()["codes"]
    wanted = {"codes": codes, "decoder": "multiband_diffusion", "seed": 5, "format": "flac"}
    first, again = (http.post("/decode", json=wanted) for _ in range(2))
    assert first.headers["X-Seed"] == "5"
    assert first.content == again.content


@pytest.mark.parametrize(
    ("codes", "field", "words"),
    [
        ([[1, 2], [3]], "codes", "as many frames"),
        ([[99_999]] * 4, "codes", "between 0 and 511"),
        ([[]], "codes.0", "at least 1"),
        ([[1.5]], "codes.0.0", "integer"),
    ],
)
def test_codes_that_are_none(http: httpx.Client, codes: object, field: str, words: str) -> None:
    answer = http.post("/decode", json={"codes": codes})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]


def test_a_file_that_holds_no_codes(http: httpx.Client) -> None:
    answer = http.post("/decode", files={"file": b"PK no"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "codes")


def test_a_small_file_that_unpacks_to_gigabytes(http: httpx.Client) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("codes.npy", "w") as member:
        for _ in range(80):
            member.write(bytes(1 << 20))
    answer = http.post("/decode", files={"file": bomb.getvalue()})
    assert answer.status_code == 422
    assert "at most 67,108,864 are allowed" in answer.json()["detail"]


def test_a_form_without_its_file(http: httpx.Client) -> None:
    assert http.post("/encode", files={"sound": b"x"}).json()["errors"][0]["field"] == "file"
    assert http.post("/decode", files={"sound": b"x"}).json()["errors"][0]["field"] == "file"
    assert json.loads(http.post("/encode", files={"file": b"not audio"}).text)["errors"][0]["field"] == "file"
