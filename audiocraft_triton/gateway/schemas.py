"""What callers send and get, as JSON. The bounds of what they send are the contract's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from audiocraft_client import Analysis, Codes, GenerationOptions, Health
from pydantic import BaseModel, ConfigDict, Field

from audiocraft_triton.contract.limits import MAX_CODEBOOKS, MAX_FRAMES
from audiocraft_triton.contract.parameters import BY_NAME, Decoder, FileFormat
from audiocraft_triton.gateway.fields import Seed, field, with_parameters

StreamFormat = Literal["wav", "pcm", "pcm_f32"]


class Body(BaseModel):
    """Exactly what is documented: no unknown fields, no text where a number belongs, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@with_parameters
class GenerationBody(Body):
    """What may be asked of a generation model: what is named here, and every other parameter of the contract."""

    text: str = field(BY_NAME["text"], examples=["calm solo piano"])
    duration: float = field(BY_NAME["duration"], examples=[5])

    def sent(self, name: str) -> Any:
        """The value of a field, or None where the caller did not send it: its default is then the server's matter."""
        return getattr(self, name) if name in self.model_fields_set else None

    def options(self) -> GenerationOptions:
        """As the client takes them: only what the caller sent."""
        names = GenerationOptions.__annotations__.keys() & self.model_fields_set
        return cast(GenerationOptions, {name: getattr(self, name) for name in sorted(names)})


class ClipRequest(GenerationBody):
    """A whole clip as a file."""

    format: FileFormat = field(BY_NAME["format"])


class StreamRequest(GenerationBody):
    """A clip in pieces, while it is made."""

    format: StreamFormat = Field(
        "wav", description="wav: 16-bit, its header says no length. pcm: 16-bit little-endian. pcm_f32: 32-bit floats."
    )
    chunk_seconds: float = field(BY_NAME["chunk_seconds"])


class DecodeRequest(Body):
    """Codes back to sound."""

    codes: list[Annotated[list[int], Field(min_length=1, max_length=MAX_FRAMES)]] = Field(
        min_length=1, max_length=MAX_CODEBOOKS, description="[codebooks][frames], as /encode gives them."
    )
    decoder: Decoder = field(BY_NAME["decoder"])
    seed: Seed = Field(None, description="Decoding by multiband_diffusion starts from noise: same seed, same sound.")
    format: FileFormat = field(BY_NAME["format"])


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
