"""Frames of plain data for the socket between two model processes; no code can be loaded from them.

A frame is a magic number, two lengths, a JSON object and a safetensors file. The JSON object holds the plain values;
the safetensors file holds the arrays, and bytes as arrays of uint8.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

MAX_FRAME_BYTES = 256 * 2**20
"""Twice the size of any request or answer: two audio files of 64 MiB, or 300 s of stereo at 48 kHz as float32."""
MAX_JSON_BYTES = 2**20

MAGIC = b"ATF1"
PREFIX = struct.Struct("<4sII")
"""Magic number, bytes of JSON, bytes of safetensors."""

Values = Mapping[str, Any]
"""Values by name: strings, numbers, booleans, None, lists of those, bytes and numeric numpy arrays."""


class FrameError(ValueError):
    """A frame is malformed or larger than allowed, or can't hold a value; the message says which."""


def encode(values: Values) -> bytes:
    """Encodes `values` as a frame.

    Raises:
        FrameError: a value has a type that frames can't hold, or the frame is larger than MAX_FRAME_BYTES.
    """
    arrays, plain, texts = {}, {}, []
    for name, value in values.items():
        if isinstance(value, bytes):
            texts.append(name)
            arrays[name] = np.frombuffer(value, np.uint8)
        elif isinstance(value, np.ndarray):
            if value.dtype.kind not in "biuf":
                raise FrameError(f"{name}: arrays of {value.dtype} can't be sent")
            arrays[name] = np.asarray(value, order="C")  # safetensors would treat strided data as contiguous
        else:
            plain[name] = value
    _check_sizes(0, sum(array.nbytes for array in arrays.values()))
    try:
        header = json.dumps({"plain": plain, "bytes": texts}).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError(f"a value can't be sent: {error}") from error
    body = safetensors.numpy.save(arrays)
    _check_sizes(len(header), len(body))
    return PREFIX.pack(MAGIC, len(header), len(body)) + header + body


def receive(connected: socket.socket) -> dict[str, Any]:
    """Receives the values of the next frame.

    Raises:
        EOFError: the other end disconnected.
        FrameError: the data is not a frame of this protocol, or is larger than allowed.
    """
    magic, header_bytes, body_bytes = PREFIX.unpack(_read(connected, PREFIX.size))
    if magic != MAGIC:
        raise FrameError(f"a frame must begin with {MAGIC!r}, not with {magic!r}")
    _check_sizes(header_bytes, body_bytes)
    header, body = _read(connected, header_bytes), _read(connected, body_bytes)
    try:
        described = json.loads(header)
        arrays = safetensors.numpy.load(body)
        texts = {name: arrays.pop(name).tobytes() for name in described["bytes"]}
        return {**described["plain"], **texts, **arrays}
    except (SafetensorError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise FrameError(f"the frame can't be read: {error!r}") from error


def _check_sizes(header_bytes: int, body_bytes: int) -> None:
    if header_bytes > MAX_JSON_BYTES:
        raise FrameError(f"a frame of {header_bytes:,} bytes of JSON is over the limit of {MAX_JSON_BYTES:,} bytes")
    if body_bytes > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {body_bytes:,} bytes is over the limit of {MAX_FRAME_BYTES:,} bytes")


def _read(connected: socket.socket, count: int) -> bytes:
    received = bytearray(count)
    view, position = memoryview(received), 0
    while position < count:
        length = connected.recv_into(view[position:])
        if length == 0:
            raise EOFError
        position += length
    return bytes(received)
