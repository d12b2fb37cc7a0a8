"""The text encoder as CUDA graphs: a T5 of a dozen layers costs the host 10 ms of launches, a graph only one launch.

There is one graph per length. A shorter text is padded and the padding masked, so that its vectors depend only on the
text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from audiocraft_triton.checkpoints.upstream import T5Conditioner
from audiocraft_triton.engine.device.cuda import CapturedGraph

LENGTHS = (16, 32, 64, 128, 256, 512)


class CapturedTextEncoder:
    """Runs a T5 conditioner for one text at a time.

    Args:
        conditioner: on a GPU.
        stream: stream on which the graphs are captured and replayed.
    """

    def __init__(self, conditioner: T5Conditioner, stream: torch.cuda.Stream) -> None:
        self._conditioner = conditioner
        self._ids: dict[int, torch.Tensor] = {}
        self._mask: dict[int, torch.Tensor] = {}
        self._vectors: dict[int, torch.Tensor] = {}
        self._graphs: dict[int, CapturedGraph] = {}
        # TensorFloat-32 has float16's precision, to which the vectors are rounded anyway, and float32's range, which
        # T5 needs. It takes half the time of float32.
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        weights = {f"t5.{name}": weight for name, weight in conditioner.t5.named_parameters()}
        weights |= {f"output_proj.{name}": weight for name, weight in conditioner.output_proj.named_parameters()}
        for length in LENGTHS:
            self._ids[length] = torch.zeros(1, length, dtype=torch.int64, device=conditioner.device)
            self._mask[length] = torch.zeros_like(self._ids[length])
            self._mask[length][:, 0] = 1
            tensors = {"input_ids": self._ids[length], "attention_mask": self._mask[length], **weights}
            self._graphs[length] = CapturedGraph(partial(self._encode, length), stream, tensors.copy)
        torch.set_float32_matmul_precision(precision)

    def tokenize(self, text: str) -> Mapping[str, torch.Tensor]:
        """Returns a text's `input_ids` and `attention_mask`, int64 [1, tokens]."""
        inputs: Mapping[str, torch.Tensor] = self._conditioner.tokenize([text])
        return inputs

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Encodes a text of at most 512 tokens on the current stream; returns [1, tokens, dim]."""
        tokens = inputs["input_ids"].shape[1]
        length = min(length for length in LENGTHS if length >= tokens)
        for static, given in ((self._ids, inputs["input_ids"]), (self._mask, inputs["attention_mask"])):
            static[length].zero_()
            static[length][:, :tokens] = given
        self._graphs[length]()
        return self._vectors[length][:, :tokens].clone()

    def _encode(self, length: int) -> None:
        inputs = {"input_ids": self._ids[length], "attention_mask": self._mask[length]}
        with torch.autocast("cuda", torch.float16, cache_enabled=False):
            self._vectors[length], _mask = self._conditioner(inputs)
