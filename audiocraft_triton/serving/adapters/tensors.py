"""Converts tensors to plain values and back, and the project's errors to Triton's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from audiocraft_triton.contract.errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
)
from audiocraft_triton.contract.limits import MAX_TIMEOUT
from audiocraft_triton.serving.arguments import INNER_CALLS

# Statuses by name: the stub adds its classes to pb_utils only after this module is imported.
_STATUS = {
    InvalidRequest: "INVALID_ARG",
    Overloaded: "UNAVAILABLE",
    DeadlineExceeded: "UNAVAILABLE",  # the status that Triton itself uses for a request that timed out
    Cancelled: "CANCELLED",
}
# In 24.10 an error loses its status on the way from one model to another. Between this project's models the message
# carries it, if the calling model sets this request parameter.
_STATUS_IN_MESSAGE = "status_in_message"
_UNDER_WAY = {model: threading.BoundedSemaphore(most) for model, most in INNER_CALLS.items()}
_NUMPY_TYPES = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}


def scalar(request: Any, name: str, default: Any = None) -> Any:
    """Returns the value of an input of shape [1] as bool, int, float or bytes; `default` if it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return default
    value = tensor.as_numpy().reshape(-1)[0]
    if isinstance(value, np.floating):
        # Through the shortest decimal: FP32 0.7 must mean 0.7 and not 0.69999998, or 35 frames become 34.
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def text(request: Any, name: str, default: str | None = None) -> str | None:
    """Returns the value of a BYTES input of shape [1] as a string.

    Raises:
        InvalidRequest: the value is not UTF-8.
    """
    value = scalar(request, name)
    if value is None:
        return default
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(name, value, "must be UTF-8 text") from error


def required(request: Any, name: str) -> Any:
    """Returns the value of a required input of shape [1].

    Raises:
        InvalidRequest: the input was not sent. Triton checks this only for models without optional inputs.
    """
    value = scalar(request, name)
    if value is None:
        raise InvalidRequest(name, None, "is missing")
    return value


def parameters(request: Any) -> dict[str, Any]:
    """Returns the request parameters, which are not inputs."""
    return dict(json.loads(request.parameters() or "{}"))


def timeout(request: Any) -> int:
    """Returns Triton's request parameter `timeout` in microseconds; 0 means no timeout.

    Raises:
        InvalidRequest: the timeout is not a number or is out of bounds.
    """
    # /generate and /generate_stream leave it among the other request parameters.
    value = request.timeout() or parameters(request).get("timeout", 0)
    if isinstance(value, str) or not 0 <= value <= MAX_TIMEOUT * 1e6:
        raise InvalidRequest("timeout", value, f"must be between 0 and {MAX_TIMEOUT * 10**6:,} microseconds")
    return int(value)


def array(request: Any, name: str) -> Any:
    """Returns an input as a numpy array, or None if it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def tensor(name: str, values: Any, datatype: str) -> Any:
    """Makes a pb_utils.Tensor from an array, or from a list of plain values (shape [n])."""
    return pb_utils.Tensor(name, np.ascontiguousarray(values, dtype=_NUMPY_TYPES[datatype]))


def response(request: Any, outputs: Mapping[str, Any]) -> Any:
    """Makes an InferenceResponse with those of `outputs` (name -> pb_utils.Tensor) that the request asked for."""
    wanted = request.requested_output_names()
    return pb_utils.InferenceResponse([value for name, value in outputs.items() if name in wanted])


def send_final(sender: Any, answer: Any | None = None) -> None:
    """Ends a request with a last response, or with only the final flag."""
    final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    if answer is None:
        sender.send(flags=final)
    else:
        sender.send(answer, flags=final)


def described(error: BaseException) -> tuple[str, str]:
    """Returns the name of an error's status in pb_utils.TritonError, and its message."""
    if isinstance(error, CalledModelError):
        return error.status, error.message
    status = next((name for kind, name in _STATUS.items() if isinstance(error, kind)), "INTERNAL")
    return status, str(error) if status != "INTERNAL" else f"{type(error).__name__}: {error}"


def error_response(error: BaseException, request: Any) -> Any:
    """Makes an InferenceResponse for an error, with the status of its type; messages of other errors name the type."""
    status, message = described(error)
    if parameters(request).get(_STATUS_IN_MESSAGE):
        message = f"{status}|{message}"
    code = getattr(pb_utils.TritonError, status)
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


class CalledModelError(RuntimeError):
    """Another model of this server answered with an error, which is passed on unchanged.

    Attributes:
        status: name of a status in pb_utils.TritonError.
        message: the other model's message.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @classmethod
    def from_triton(cls, error: Any) -> CalledModelError:
        """Converts a pb_utils.TritonError, whose message may begin with the status."""
        said = str(error.message())
        status, bar, message = said.partition("|")
        ours = bool(bar) and status in (*_STATUS.values(), "INTERNAL")
        return cls(status, message) if ours else cls("INTERNAL", said)


def call(model: str, inputs: Iterable[Any], outputs: list[str]) -> list[Any]:
    """Calls another model of this server and waits for its answer.

    Returns:
        numpy arrays, in the order of `outputs`.

    Raises:
        CalledModelError: the model answered with an error.
    """
    with _UNDER_WAY[model]:
        answer = _inner_request(model, inputs, outputs).exec()
    if answer.has_error():
        raise CalledModelError.from_triton(answer.error())
    return [pb_utils.get_output_tensor_by_name(answer, name).as_numpy() for name in outputs]


def _inner_request(model: str, inputs: Iterable[Any], outputs: list[str]) -> Any:
    """Makes a request to another model of this server, with its outputs in host memory.

    By default, outputs of a model on the GPU stay there, and the stub deadlocks between the second request and the
    sharing of the GPU's memory pool (python_backend before 26.07, pull request 439).
    """
    return pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=outputs,
        inputs=list(inputs),
        parameters={_STATUS_IN_MESSAGE: True},
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
