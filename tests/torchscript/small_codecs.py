"""Small codecs with other shapes than those of the demo checkpoints, and with codebooks fitted to audio."""

from __future__ import annotations

from typing import Any

import torch
from audiocraft.models.encodec import EncodecModel
from audiocraft.modules.seanet import SEANetDecoder, SEANetEncoder
from audiocraft.quantization import ResidualVectorQuantizer

from audiocraft_triton.torchscript.verify import varied_audio

SAMPLE_RATE = 8000


def small_codec(
    *, channels: int = 1, causal: bool = False, decoder: dict[str, Any] | None = None, **seanet: Any
) -> EncodecModel:
    """Builds a codec with a hop length of 40 and 3 codebooks of 64; `seanet` holds arguments of encoder and decoder."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        sizes = {"channels": channels, "dimension": 16, "n_filters": 4, "n_residual_layers": 1, "lstm": 1}
        arguments = {**sizes, "ratios": [5, 4, 2], "norm": "weight_norm", "causal": causal, **seanet}
        quantizer = ResidualVectorQuantizer(dimension=16, n_q=3, bins=64, kmeans_init=True, kmeans_iters=5)
        codec = EncodecModel(
            SEANetEncoder(**arguments), SEANetDecoder(**arguments, **(decoder or {})), quantizer,
            frame_rate=SAMPLE_RATE // 40, sample_rate=SAMPLE_RATE, channels=channels, causal=causal,
        ).eval()  # fmt: skip
        codec.quantizer(codec.encoder(varied_audio(SAMPLE_RATE, 4, channels, SAMPLE_RATE)), codec.frame_rate)
    return codec
