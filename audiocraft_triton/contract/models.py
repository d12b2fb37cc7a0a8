"""Names of the served models, which are folders of the model repository, and the part that each plays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from audiocraft_triton.contract.parameters import Decoder

Kind = Literal["music", "sound"]
GenerationModel = Literal["musicgen", "audiogen"]
Role = Literal["unary", "stream", "diffusion", "codec", "discriminator", "files", "scores", "ensemble"]

KINDS: tuple[Kind, ...] = get_args(Kind)
UNARY_MODELS: Mapping[Kind, GenerationModel] = {"music": "musicgen", "sound": "audiogen"}
"""The frontends for plain infer: each asks the engine of its stream model for a whole clip."""
STREAM_SUFFIX = "_stream"
STREAM_MODELS: Mapping[Kind, str] = {kind: name + STREAM_SUFFIX for kind, name in UNARY_MODELS.items()}
"""The decoupled models, in whose processes the engines run."""

MULTIBAND_DIFFUSION = "multiband_diffusion"
ENCODEC_ENCODER, ENCODEC_DECODER = "encodec_encoder", "encodec_decoder"
CODEC_MODELS = (ENCODEC_ENCODER, ENCODEC_DECODER)
DISCRIMINATORS = ("mpd", "msd", "msstftd")
"""In the order of the columns of `window_scores`."""
EXPORTED_MODELS = (*CODEC_MODELS, *DISCRIMINATORS)
"""TorchScript, written by the export."""
AUDIO_READER, AUDIO_WRITER, CODES_READER = "audio_reader", "audio_writer", "codes_reader"
REALNESS = "realness"
ENCODE, DECODE, ANALYZE = "encode", "decode", "analyze"
DECODER_MODELS: Mapping[Decoder, str] = {"encodec": DECODE, "multiband_diffusion": MULTIBAND_DIFFUSION}
"""What turns codes back into sound, by the word that callers use for it."""

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
"""Everything that a server of this project serves."""
