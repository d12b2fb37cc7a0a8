"""The served models: their names, which are folders of the model repository, and the role of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from audiocraft_triton.contract.parameters import Decoder

Kind = Literal["music", "sound"]
GenerationModel = Literal["musicgen", "audiogen"]
Role = Literal["unary", "stream", "diffusion", "codec", "discriminator", "files", "scores", "ensemble"]

KINDS: tuple[Kind, ...] = get_args(Kind)
UNARY_MODELS: Mapping[Kind, GenerationModel] = {"music": "musicgen", "sound": "audiogen"}
"""The frontends for plain infer requests: each gets a whole clip from the engine of its stream model."""
STREAM_SUFFIX = "_stream"
STREAM_MODELS: Mapping[Kind, str] = {kind: name + STREAM_SUFFIX for kind, name in UNARY_MODELS.items()}
"""The decoupled models; the engines run in their processes."""

MULTIBAND_DIFFUSION = "multiband_diffusion"
ENCODEC_ENCODER, ENCODEC_DECODER = "encodec_encoder", "encodec_decoder"
CODEC_MODELS = (ENCODEC_ENCODER, ENCODEC_DECODER)
DISCRIMINATORS = ("mpd", "msd", "msstftd")
"""The discriminators, in the order of the columns of `window_scores`."""
EXPORTED_MODELS = (*CODEC_MODELS, *DISCRIMINATORS)
"""The TorchScript models, which `export` writes."""
AUDIO_READER, AUDIO_WRITER, CODES_READER = "audio_reader", "audio_writer", "codes_reader"
REALNESS = "realness"
ENCODE, DECODE, ANALYZE = "encode", "decode", "analyze"
DECODER_MODELS: Mapping[Decoder, str] = {"encodec": DECODE, "multiband_diffusion": MULTIBAND_DIFFUSION}
"""The models that decode codes, by the name that callers use."""

MODELS: Mapping[str, Role] = {
    **dict.fromkeys(UNARY_MODELS.values(), "unary"),
    **dict.fromkeys(STREAM_MODELS.values(), "stream"),
    MULTIBAND_DIFFUSION: "diffusion",
    **dict.fromkeys(CODEC_MODELS, "codec"),
    **dict.fromkeys(DISCRIMINATORS, "discriminator"),
    **dict.fromkeys((AUDIO_READER, AUDIO_WRITER, CODES_READER), "files"),
    REALNESS: "scores",
    **dict.fromkeys((ENCODE, DECODE, ANALYZE), "ensemble"),
}
"""All models that a server of this project serves, and their roles."""
