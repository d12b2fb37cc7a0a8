"""Checks EnCodec tokens that callers send."""

from __future__ import annotations

from typing import Any

from audiocraft_triton.contract.codes import check_codes
from audiocraft_triton.contract.models import ENCODEC_DECODER
from audiocraft_triton.serving.adapters import tensors
from audiocraft_triton.serving.adapters.each_request import EachRequestModel
from audiocraft_triton.serving.adapters.settings import Settings
from audiocraft_triton.torchscript.exported import read_manifest


class TritonPythonModel(EachRequestModel):
    """Passes on only codes that the exported decoder can decode."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Reads the decoder's codebooks from its manifest."""
        self._decoder = read_manifest(Settings(args).repository, ENCODEC_DECODER)

    def answer(self, request: Any) -> dict[str, Any]:
        """Returns the same codes, or raises InvalidRequest."""
        codes = tensors.array(request, "codes")
        check_codes(codes, self._decoder["codebooks"], self._decoder["card"], self._decoder["frame_rate"])
        return {"checked_codes": tensors.tensor("checked_codes", codes, "INT32")}
