"""TorchScript archives as bytes, so that the bytes that are verified are the bytes that are written."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def to_bytes(module: nn.Module) -> bytes:
    """Scripts a module and serialises it as `torch.jit.save` does to a file."""
    buffer = io.BytesIO()
    with _no_deprecation_warnings():
        torch.jit.save(torch.jit.script(module.eval()), buffer)
    return buffer.getvalue()


def from_bytes(archive: bytes, device: str = "cpu") -> torch.jit.ScriptModule:
    """Loads the result of `to_bytes`, or the content of a model.pt, in eval mode."""
    with _no_deprecation_warnings():
        module: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
            io.BytesIO(archive), map_location=device
        )
    return module


@contextmanager
def _no_deprecation_warnings() -> Iterator[None]:
    # torch.jit is deprecated upstream, but it is still the only format that Triton's libtorch backend loads.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
