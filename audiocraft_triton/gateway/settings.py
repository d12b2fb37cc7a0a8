"""What the gateway is told, by options or by the environment (AUDIOCRAFT_GATEWAY_…)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from audiocraft_triton.contract.limits import (
    DRAIN_SECONDS,
    MAX_BODY_BYTES,
    MAX_FILE_BYTES,
    MAX_SECONDS,
    MAX_TIMEOUT,
    MEBIBYTE,
    MIN_SECONDS,
)


class Settings(BaseSettings):
    """How the gateway runs. Every field is also an environment variable, such as AUDIOCRAFT_GATEWAY_TRITON."""

    model_config = SettingsConfigDict(env_prefix="AUDIOCRAFT_GATEWAY_", env_ignore_empty=True, extra="ignore")

    triton: str = Field("localhost:8001", description="Triton's gRPC address.")
    host: str = Field("127.0.0.1", description="Where to listen.")
    port: int = Field(8080, ge=0, le=65535, description="Port; 0 picks a free one.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Web origins that may call from other pages, separated by commas; none: same origin only."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses or networks whose X-Forwarded-For is believed, separated by commas."
    )
    max_body_bytes: int = Field(
        MAX_BODY_BYTES,
        ge=1024,
        description=f"Of a request; an audio file of {MAX_FILE_BYTES // MEBIBYTE} MiB fits, in base64 too.",
    )
    max_audio_seconds: float = Field(
        MAX_SECONDS, ge=MIN_SECONDS, le=MAX_SECONDS, description="How long a clip one may ask for."
    )
    streams_per_client: int = Field(4, ge=1, description="Streams that one key, or one address, may hold at once.")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Who may call, separated by commas; none: anyone."
    )
    api_keys_file: Path | None = Field(None, description="A file of those who may call, one key a line.")
    rate_limit: str = Field("", description='For each key, or address, such as "60/minute"; empty: no limit.')
    call_timeout: float = Field(600.0, gt=0, description="Seconds that a call to Triton may take.")
    drain_seconds: float = Field(
        DRAIN_SECONDS, ge=0, le=MAX_TIMEOUT, description="How long requests in flight may take to finish after SIGTERM."
    )
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people.")

    @field_validator("allowed_origins", "trusted_proxies", "api_keys", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
