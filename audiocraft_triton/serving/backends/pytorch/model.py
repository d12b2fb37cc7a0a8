"""Serves `backend: "pytorch"` models if Triton's native libtorch backend is absent.

Follows the native backend's rules, so that configs and exports work unchanged: inputs go to the forward arguments
of the same names, outputs are returned in the config's order, requests of one shape share a batch, and all others
run alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

from audiocraft_triton.serving.adapters.process_end import skip_teardown

skip_teardown()


class TritonPythonModel:
    """One TorchScript file on one device."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Loads `model.pt` from the model's version folder."""
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or "model.pt"
        path = Path(args["model_repository"]) / args["model_version"] / filename
        if not path.is_file():
            raise pb_utils.TritonModelException(
                f"{path} is missing; export it with: audiocraft-triton export --checkpoint demo"
            )
        on_gpu = args["model_instance_kind"] == "GPU"
        self._device = torch.device(f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu")
        if _parameter(config, "ENABLE_TENSOR_FUSER") == "false":
            torch._C._jit_set_texpr_fuser_enabled(False)
        if _parameter(config, "DISABLE_ONEDNN") == "true":
            torch.backends.mkldnn.set_flags(False)  # type: ignore[no-untyped-call]
        self._module = torch.jit.load(str(path), map_location=self._device).eval()  # type: ignore[no-untyped-call]
        self._inputs = [row["name"] for row in config["input"]]
        self._outputs = [row["name"] for row in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Returns one response per request, in order."""
        arrays = [self._read(request) for request in requests]
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for index, inputs in enumerate(arrays):
            groups[tuple((array.shape[1:], array.dtype.str) for array in inputs.values())].append(index)
        responses: dict[int, Any] = {}
        for members in groups.values():
            responses.update(self._run(arrays, members))
        return [responses[index] for index in range(len(requests))]

    def _read(self, request: Any) -> dict[str, Any]:
        return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}

    @torch.inference_mode()
    def _run(self, arrays: list[dict[str, Any]], members: list[int]) -> dict[int, Any]:
        try:
            batch = {
                name: torch.from_numpy(np.concatenate([arrays[index][name] for index in members])).to(self._device)
                for name in self._inputs
            }
            result = self._module(**batch)
            outputs = [part.cpu().numpy() for part in (result if isinstance(result, tuple) else (result,))]
        except Exception as error:  # as in the native backend, a failure fails its whole batch and no other
            reason = str(error).strip().splitlines()[-1]
            failure = pb_utils.TritonError(f"PyTorch execute failure: {reason}", pb_utils.TritonError.INTERNAL)
            return {index: pb_utils.InferenceResponse(error=failure) for index in members}
        responses, start = {}, 0
        for index in members:
            stop = start + len(arrays[index][self._inputs[0]])
            responses[index] = pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, np.ascontiguousarray(output[start:stop]))
                    for name, output in zip(self._outputs, outputs, strict=True)
                ]
            )
            start = stop
        return responses


def _parameter(config: dict[str, Any], key: str) -> str | None:
    """Returns a parameter if the config sets it. DISABLE_ONEDNN is this project's; the native backend ignores it."""
    value = config.get("parameters", {}).get(key)
    return None if value is None else str(value["string_value"])
