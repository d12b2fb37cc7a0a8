"""A base for models that answer one request after the other, so that a bad request fails alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audiocraft_triton.serving.adapters import tensors


class EachRequestModel:
    """Base class of such a model; a subclass implements `answer`."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Returns one response per request, in order."""
        return [self._respond(request) for request in requests]

    def answer(self, request: Any) -> Mapping[str, Any]:
        """Returns the outputs (name -> pb_utils.Tensor) of one request."""
        raise NotImplementedError

    def _respond(self, request: Any) -> Any:
        try:
            return tensors.response(request, self.answer(request))
        except Exception as error:  # a bad request fails alone
            return tensors.error_response(error, request)
