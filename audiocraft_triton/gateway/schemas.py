"""What callers send and get, as JSON. The bounds of a generation are those of the engine (a test compares them)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, cast

from audiocraft_client import Analysis, Codes, GenerationOptions, Health
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

MAX_SEED = 2**63 - 1
MAX_TEXT = 2_000
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_CODEBOOKS = 64
MAX_FRAMES = 60_000

Decoder = Literal["encodec", "multiband_diffusion"]
FileFormat = Literal["wav", "flac", "ogg", "mp3"]
StreamFormat = Literal["wav", "pcm", "pcm_f32"]


def _from_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be an audio file in base64") from error
    if len(decoded) > MAX_FILE_BYTES:
        raise ValueError(f"has {len(decoded):,} bytes, at most {MAX_FILE_BYTES:,} are allowed")
    return decoded


def _whole(value: object) -> object:
    """JSON has one kind of number: 7.0 is 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


AudioFile = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "description": "An audio file in base64."}),
]
WholeNumber = BeforeValidator(_whole)
Seed = Annotated[
    Annotated[int, Field(ge=0, le=MAX_SEED), WholeNumber] | None,
    Field(description="The same request with the same seed gives the same clip."),
]
Text = Annotated[
    str, Field(max_length=MAX_TEXT, description="What to hear; empty: anything.", examples=["calm solo piano"])
]


class Body(BaseModel):
    """Exactly what is documented: no unknown fields, no text where a number belongs, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class GenerationBody(Body):
    """What may be asked of a generation model."""

    text: Text
    duration: float = Field(10.0, ge=0.1, le=300, description="Seconds, a continuation included.", examples=[5])
    temperature: float = Field(1.0, ge=0, le=10, description="0 is greedy; higher is more varied.")
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1), WholeNumber] = Field(
        250, description="Sample among the k likeliest tokens, at most the codebook's size; 0 is no limit."
    )
    top_p: float = Field(0.0, ge=0, le=1, description="Above 0 it replaces top_k.")
    cfg_coef: float = Field(3.0, ge=0, le=20, description="How closely to follow the text; 1 is no guidance.")
    seed: Seed = Field(None, examples=[7])
    decoder: Decoder = Field("encodec", description="multiband_diffusion: better sound for more time.")
    continuation: AudioFile | None = Field(None, description="Audio that the clip begins with.")
    melody: AudioFile | None = Field(None, description="Audio whose melody to follow: melody checkpoints only.")

    def options(self) -> GenerationOptions:
        """What was set, as the client takes it; the rest has the defaults of the server, which knows the checkpoint."""
        chosen = self.model_fields_set & GenerationOptions.__annotations__.keys()
        return cast(GenerationOptions, {name: getattr(self, name) for name in chosen})


class ClipRequest(GenerationBody):
    """A whole clip as a file."""

    format: FileFormat = "wav"


class StreamRequest(GenerationBody):
    """A clip in pieces, while it is made."""

    format: StreamFormat = Field(
        "wav", description="wav: 16-bit, its header says no length. pcm: 16-bit little-endian. pcm_f32: 32-bit floats."
    )
    chunk_seconds: float = Field(0.5, ge=0.1, le=10, description="How much sound a piece has.")


class DecodeRequest(Body):
    """Codes back to sound."""

    codes: list[Annotated[list[int], Field(min_length=1, max_length=MAX_FRAMES)]] = Field(
        min_length=1, max_length=MAX_CODEBOOKS, description="[codebooks][frames], as /encode gives them."
    )
    decoder: Decoder = "encodec"
    seed: Seed = Field(None, description="multiband_diffusion starts from noise: the same seed, the same sound.")
    format: FileFormat = "wav"


class CodesAnswer(BaseModel):
    """A clip as EnCodec tokens."""

    codes: list[list[int]] = Field(description="[codebooks][frames]")
    codebooks: int
    frames: int
    sample_rate: int = Field(description="Of the codec, hertz.")
    duration: float = Field(description="Of the clip, seconds.")

    @classmethod
    def of(cls, codes: Codes) -> CodesAnswer:
        """From the client's answer."""
        codebooks, frames = codes.codes.shape
        return cls(
            codes=codes.codes.tolist(), codebooks=codebooks, frames=frames,
            sample_rate=codes.sample_rate, duration=codes.duration,
        )  # fmt: skip


class Window(BaseModel):
    """The scores of one window of the clip."""

    start: float = Field(description="Seconds.")
    mpd: float
    msd: float
    msstftd: float


class FeatureMap(BaseModel):
    """The mean of each channel of one layer, for each window."""

    discriminator: str
    part: str | int
    layer: int
    means: list[list[float]] = Field(description="[windows][channels]")


class AnalysisAnswer(BaseModel):
    """How real the discriminators find a clip: 0 is generated, 1 is real."""

    mpd_score: float
    msd_score: float
    msstftd_score: float
    realness: float
    is_real: bool = Field(description="Whether realness reaches the threshold.")
    threshold: float
    calibrated: bool = Field(description="false: these discriminators were never calibrated; the scores mean nothing.")
    duration: float = Field(description="Of the clip, seconds.")
    window_seconds: float
    windows: list[Window]
    feature_maps: list[FeatureMap] | None = None

    @classmethod
    def of(cls, analysis: Analysis, threshold: float) -> AnalysisAnswer:
        """From the client's answer."""
        windows = [
            Window(start=start, mpd=float(row[0]), msd=float(row[1]), msstftd=float(row[2]))
            for start, row in zip(analysis.window_starts, analysis.window_scores, strict=True)
        ]
        return cls(
            mpd_score=analysis.mpd_score, msd_score=analysis.msd_score, msstftd_score=analysis.msstftd_score,
            realness=analysis.realness, is_real=analysis.is_real, threshold=threshold, calibrated=analysis.calibrated,
            duration=analysis.duration, window_seconds=analysis.window_seconds, windows=windows,
            feature_maps=_feature_maps(analysis),
        )  # fmt: skip


class HealthAnswer(BaseModel):
    """The state of the server behind the gateway."""

    status: Literal["ready", "live", "unreachable"]
    gateway_version: str
    version: str | None = Field(description="Of Triton.")
    models: dict[str, bool] = Field(description="Whether each is ready.")
    discriminators: dict[str, bool]
    reason: str | None = None

    @classmethod
    def of(cls, health: Health, gateway_version: str) -> HealthAnswer:
        """From the client's answer."""
        return cls.model_validate(
            {
                "status": health.status, "gateway_version": gateway_version, "version": health.version,
                "models": dict(health.models), "discriminators": health.discriminators, "reason": health.reason,
            }
        )  # fmt: skip


def _feature_maps(analysis: Analysis) -> list[FeatureMap] | None:
    maps = analysis.feature_maps
    if maps is None:
        return None
    return [
        FeatureMap(
            discriminator=layer.discriminator, part=layer.part, layer=layer.layer,
            means=maps[:, layer.offset : layer.offset + layer.channels].tolist(),
        )
        for layer in analysis.feature_layout
    ]  # fmt: skip
