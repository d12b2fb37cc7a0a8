"""Tensors to plain values and back, and the project's errors as Triton's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from engine.errors import Cancelled, InvalidInput, Overloaded

# By name: the stub fills pb_utils with its classes only after this module is imported.
_STATUS = {InvalidInput: "INVALID_ARG", Overloaded: "UNAVAILABLE", Cancelled: "CANCELLED"}
# In 24.10 an error loses its status on the way from one model to another: between our models it travels in the
# message, where the asking one sets this request parameter.
_STATUS_IN_MESSAGE = "status_in_message"
_NUMPY_TYPES = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}


def scalar(request: Any, name: str, default: Any = None) -> Any:
    """The value of an input of shape [1] as bool, int, float, or bytes; `default` where it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return default
    value = tensor.as_numpy().reshape(-1)[0]
    if isinstance(value, np.floating):
        # By its shortest decimal: FP32 0.7 must mean 0.7, and not 0.69999998, or 35 frames become 34.
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def text(request: Any, name: str, default: str | None = None) -> str | None:
    """The value of a BYTES input of shape [1] as a string.

    Raises:
        InvalidInput: not UTF-8.
    """
    value = scalar(request, name)
    if value is None:
        return default
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(name, value, "must be UTF-8 text") from error


def required(request: Any, name: str) -> Any:
    """The value of an input of shape [1] that must be there.

    Raises:
        InvalidInput: it was not sent. Triton checks this only for models without optional inputs.
    """
    value = scalar(request, name)
    if value is None:
        raise InvalidInput(name, None, "is missing")
    return value


def array(request: Any, name: str) -> Any:
    """An input as a numpy array; None where it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def tensor(name: str, values: Any, datatype: str) -> Any:
    """A pb_utils.Tensor from an array, or from a list of plain values (shape [n])."""
    return pb_utils.Tensor(name, np.ascontiguousarray(values, dtype=_NUMPY_TYPES[datatype]))


def response(request: Any, outputs: Mapping[str, Any]) -> Any:
    """An InferenceResponse holding those of `outputs` (name -> pb_utils.Tensor) that the request asked for."""
    wanted = request.requested_output_names()
    return pb_utils.InferenceResponse([value for name, value in outputs.items() if name in wanted])


def send_final(sender: Any, answer: Any | None = None) -> None:
    """Ends a request: with a last response, or with the flag alone."""
    final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    if answer is None:
        sender.send(flags=final)
    else:
        sender.send(answer, flags=final)


def error_response(error: BaseException, request: Any) -> Any:
    """An InferenceResponse that carries an error, with the status its type stands for; others name their type."""
    if isinstance(error, CalledModelError):
        status, message = error.status, error.message
    else:
        status = next((name for kind, name in _STATUS.items() if isinstance(error, kind)), "INTERNAL")
        message = str(error) if status != "INTERNAL" else f"{type(error).__name__}: {error}"
    if json.loads(request.parameters() or "{}").get(_STATUS_IN_MESSAGE):
        message = f"{status}|{message}"
    code = getattr(pb_utils.TritonError, status)
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


class CalledModelError(RuntimeError):
    """Another model of this server answered with an error, which is passed on as it is.

    Attributes:
        status: a name of pb_utils.TritonError.
        message: what it said.
    """

    def __init__(self, error: Any) -> None:
        said = str(error.message())
        status, bar, message = said.partition("|")
        ours = bool(bar) and status in (*_STATUS.values(), "INTERNAL")
        self.status: str = status if ours else "INTERNAL"
        self.message: str = message if ours else said
        super().__init__(self.message)


def call(model: str, inputs: Iterable[Any], outputs: list[str]) -> list[Any]:
    """Asks another model of this server and waits.

    Returns:
        numpy arrays, in the order of `outputs`.

    Raises:
        CalledModelError: it answered with an error.
    """
    answer = _inner_request(model, inputs, outputs).exec()
    if answer.has_error():
        raise CalledModelError(answer.error())
    return [pb_utils.get_output_tensor_by_name(answer, name).as_numpy() for name in outputs]


def call_stream(model: str, inputs: Iterable[Any], outputs: list[str]) -> Iterator[Any]:
    """Asks a decoupled model of this server; yields its responses as they come.

    Raises:
        CalledModelError: it answered with an error.
    """
    for answer in _inner_request(model, inputs, outputs).exec(decoupled=True):
        if answer.has_error():
            raise CalledModelError(answer.error())
        yield answer


def _inner_request(model: str, inputs: Iterable[Any], outputs: list[str]) -> Any:
    """A request to another model of this server, its outputs in host memory.

    By default the outputs of a model on the GPU come there. The stub then deadlocks between the second request and
    the sharing of the GPU's memory pool (python_backend before 26.07, pull request 439).
    """
    return pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=outputs,
        inputs=list(inputs),
        parameters={_STATUS_IN_MESSAGE: True},
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
