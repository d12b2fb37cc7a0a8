"""Prints, as JSON, the differences between the GPU's kernels and plain torch. Run with TRITON_INTERPRET=1."""

from __future__ import annotations

import json

import torch

from audiocraft_triton.engine.lm.kernels.cpu import TorchOperations
from audiocraft_triton.engine.lm.kernels.cuda import GpuOperations
from audiocraft_triton.engine.lm.weights import Norm

LENGTHS = torch.tensor([1, 150, 64, 65, 2, 0])
POSITIONS = 192  # as many as plain torch reads for a length of 150


def main() -> None:
    """Compares kernels on random caches with rows of very different lengths; the last row is idle."""
    torch.manual_seed(0)
    gpu, cpu = GpuOperations(torch.float32), TorchOperations(torch.float32)
    found: dict[str, float] = {}
    for heads, width in ((4, 16), (2, 24), (2, 64)):
        rows, live = len(LENGTHS), LENGTHS > 0
        keys, values = torch.randn(2, rows, POSITIONS, heads, width)
        qkv = torch.randn(rows, 3, heads, width)

        def difference(ours: torch.Tensor, theirs: torch.Tensor, live: torch.Tensor = live) -> float:
            return float((ours - theirs)[live].abs().max())

        caches = [(keys.clone(), values.clone()) for _ in range(2)]
        ours = gpu.append(qkv, *caches[0], gpu.spans(LENGTHS))
        found[f"append {width}"] = difference(ours, cpu.append(qkv, *caches[1], cpu.spans(LENGTHS)))
        found[f"append: keys {width}"] = difference(caches[0][0], caches[1][0])
        found[f"append: values {width}"] = difference(caches[0][1], caches[1][1])
        found["idle"] = float(ours[~live].abs().max())

        ours = gpu.attend(qkv[:, 0], keys, values, gpu.spans(LENGTHS))
        found[f"attend {width}"] = difference(ours, cpu.attend(qkv[:, 0], keys, values, cpu.spans(LENGTHS)))
        alone = gpu.attend(qkv[1:2, 0], keys[1:2], values[1:2], gpu.spans(LENGTHS[1:2]))
        found["alone"] = float((alone - ours[1:2]).abs().max())

        residual, update = torch.randn(2, rows, heads * width)
        norm = Norm(torch.randn(heads * width), torch.randn(heads * width))
        residuals = [residual.clone() for _ in range(2)]
        ours = gpu.add_and_norm(residuals[0], update, norm)
        found[f"norm {width}"] = float((ours - cpu.add_and_norm(residuals[1], update, norm)).abs().max())
        found[f"norm: residual {width}"] = float((residuals[0] - residuals[1]).abs().max())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
