"""Frames return their values exactly; any other data on the socket is refused and never loaded as code."""

from __future__ import annotations

import json
import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from audiocraft_triton.serving.adapters import frames
from audiocraft_triton.serving.adapters.frames import MAX_FRAME_BYTES, MAX_JSON_BYTES, FrameError

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    sending, receiving = socket.socketpair()
    sending.settimeout(30)
    receiving.settimeout(30)
    with sending, receiving:
        yield sending, receiving


def _received(ends: Ends, sent: bytes) -> dict[str, Any]:
    """Returns the result of `frames.receive` for bytes after which the sender disconnects."""
    sending, receiving = ends
    sending.sendall(sent)
    sending.shutdown(socket.SHUT_WR)
    return frames.receive(receiving)


def _frame(header: bytes, body: bytes) -> bytes:
    return frames.PREFIX.pack(frames.MAGIC, len(header), len(body)) + header + body


PLAIN = {
    "text": "naïve 🎹 \u2028",
    "empty": "",
    "seed": 2**63 - 1,
    "temperature": 0.1 + 0.2,
    "decode": False,
    "absent": None,
    "error": ["INVALID_ARG", "duration=400: too long"],
    "infinite": float("inf"),
}


def test_plain_values_come_back_exactly(ends: Ends) -> None:
    assert _received(ends, frames.encode(PLAIN)) == PLAIN


def test_bytes_and_arrays_come_back_exactly(ends: Ends) -> None:
    bits = np.array([[0x7F800001, 0xFFC00000, 1, 0x80000000]], np.uint32).view(np.float32)
    arrays = {
        "waveform": bits,
        "codes": np.arange(12, dtype=np.int32).reshape(1, 3, 4),
        "strided": np.arange(20, dtype=np.float32).reshape(4, 5).T[::2],
        "scalar": np.array(3, np.int64),
        "none": np.zeros((0, 7), np.bool_),
    }
    received = _received(ends, frames.encode({**arrays, "file": bytes(range(256)), "empty": b""}))
    assert received.pop("file") == bytes(range(256))
    assert received.pop("empty") == b""
    assert received.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (received[name].dtype, received[name].shape) == (array.dtype, array.shape)
        assert received[name].tobytes() == array.tobytes()


def test_frames_follow_each_other(ends: Ends) -> None:
    sending, receiving = ends
    sending.sendall(frames.encode({"number": 1}) + frames.encode({"number": 2}))
    assert [frames.receive(receiving), frames.receive(receiving)] == [{"number": 1}, {"number": 2}]


@pytest.mark.parametrize(
    "value", [np.array([print]), np.array(["text"]), print, {1, 2}, "\ud800".encode("utf-8", "surrogatepass").decode],
    ids=["objects", "strings", "a function", "a set", "a method"],
)  # fmt: skip
def test_values_that_frames_cannot_hold_are_refused_before_they_are_sent(value: Any) -> None:
    with pytest.raises(FrameError, match="can't be sent"):
        frames.encode({"value": value})


def test_a_frame_over_the_limit_is_refused_before_it_is_sent() -> None:
    array = np.broadcast_to(np.float32(0), MAX_FRAME_BYTES // 4 + 1)  # takes no memory
    with pytest.raises(FrameError, match="over the limit of 268,435,456 bytes"):
        frames.encode({"array": array})
    with pytest.raises(FrameError, match="over the limit of 1,048,576 bytes"):
        frames.encode({"text": "x" * MAX_JSON_BYTES})


EMPTY = safetensors.numpy.save({})
HEADER = json.dumps({"plain": {}, "bytes": []}).encode()
HOSTILE = {
    "a pickle": pickle.dumps(print) * 3,
    "a pickle as multiprocessing frames it": struct.pack("!i", 30) + pickle.dumps(print),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "too much JSON": frames.PREFIX.pack(frames.MAGIC, MAX_JSON_BYTES + 1, 0),
    "too many bytes": frames.PREFIX.pack(frames.MAGIC, 2, 2**32 - 1),
    "no JSON": _frame(b"{", EMPTY),
    "no UTF-8": _frame(b'"\xff\xfe"', EMPTY),
    "JSON that is not an object": _frame(b"[]", EMPTY),
    "JSON without the fields": _frame(b"{}", EMPTY),
    "JSON with other types": _frame(b'{"plain": 1, "bytes": []}', EMPTY),
    "deep JSON": _frame(b"[" * 100_000, EMPTY),
    "a long number": _frame(b'{"plain": {"x": ' + b"9" * 5000 + b'}, "bytes": []}', EMPTY),
    "bytes that were not sent": _frame(b'{"plain": {}, "bytes": ["file"]}', EMPTY),
    "unhashable names": _frame(b'{"plain": {}, "bytes": [[]]}', EMPTY),
    "a pickle for the arrays": _frame(HEADER, pickle.dumps(print)),
    "no arrays at all": _frame(HEADER, b""),
    "a short safetensors file": _frame(HEADER, safetensors.numpy.save({"a": np.zeros(9)})[:-1]),
    "a safetensors header that lies": _frame(HEADER, struct.pack("<Q", 2**62) + b"{}"),
    "a type that numpy lacks": _frame(
        HEADER, safetensors.numpy.save({"a": np.zeros(2, np.float16)}).replace(b'"F16"', b'"BF16"').replace(b"  ", b" ")
    ),
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
def test_any_other_data_is_refused_with_the_reason(ends: Ends, sent: bytes) -> None:
    with pytest.raises(FrameError, match=r"begin with|over the limit|can't be read"):
        _received(ends, sent)


@pytest.mark.parametrize("count", [0, 5, 12, 20, 60])
def test_a_frame_that_ends_early_is_a_disconnect(ends: Ends, count: int) -> None:
    with pytest.raises(EOFError):
        _received(ends, frames.encode({"text": "x", "array": np.zeros(4)})[:count])
