"""Plain tritonclient calls, as users without this project's client write them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http

from audiocraft_triton.serving.embedded.server import EmbeddedServer

PROTOCOLS: dict[str, ModuleType] = {"grpc": tritonclient.grpc, "http": tritonclient.http}
_TYPES = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}


def tensors(protocol: str, **inputs: Any) -> list[Any]:
    """Returns the library's input objects for name=(datatype, values)."""
    made = []
    for name, (datatype, values) in inputs.items():
        array = np.array(values, dtype=_TYPES[datatype])
        tensor = PROTOCOLS[protocol].InferInput(name, array.shape, datatype)
        tensor.set_data_from_numpy(array)
        made.append(tensor)
    return made


def infer(
    server: EmbeddedServer,
    protocol: str,
    model: str,
    outputs: list[str] | None = None,
    timeout: int | None = None,
    **inputs: Any,
) -> Any:
    """Calls `infer` and returns the library's own result object.

    Args:
        server: the test run's server.
        protocol: "grpc" or "http".
        model: name of the model.
        outputs: outputs to request; None requests all.
        timeout: Triton's request parameter in microseconds.
        inputs: name=(datatype, values).
    """
    library = PROTOCOLS[protocol]
    wanted = None if outputs is None else [library.InferRequestedOutput(name) for name in outputs]
    url = server.grpc_url if protocol == "grpc" else server.http_url.removeprefix("http://")
    with library.InferenceServerClient(url) as client:
        return client.infer(model, tensors(protocol, **inputs), outputs=wanted, timeout=timeout)
