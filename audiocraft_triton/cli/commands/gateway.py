"""`audiocraft-triton gateway` serves the REST API and the studio page in front of a running Triton."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from audiocraft_triton.cli.console import fail
from audiocraft_triton.gateway.observability.log import configure_logging
from audiocraft_triton.gateway.settings import Settings


def _option(name: str) -> Any:
    """Makes the option of a setting, with its help, default and environment variable."""
    field = Settings.model_fields[name]
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    variable = f"{Settings.model_config['env_prefix']}{name.upper()}"
    return typer.Option(help=field.description, envvar=variable, show_default=str(default or "none"))


def gateway(
    triton: Annotated[str | None, _option("triton")] = None,
    host: Annotated[str | None, _option("host")] = None,
    port: Annotated[int | None, _option("port")] = None,
    allowed_origins: Annotated[str | None, _option("allowed_origins")] = None,
    trusted_proxies: Annotated[str | None, _option("trusted_proxies")] = None,
    max_body_bytes: Annotated[int | None, _option("max_body_bytes")] = None,
    max_audio_seconds: Annotated[float | None, _option("max_audio_seconds")] = None,
    streams_per_client: Annotated[int | None, _option("streams_per_client")] = None,
    rate_limit: Annotated[str | None, _option("rate_limit")] = None,
    api_keys_file: Annotated[Path | None, _option("api_keys_file")] = None,
    call_timeout: Annotated[float | None, _option("call_timeout")] = None,
    drain_seconds: Annotated[float | None, _option("drain_seconds")] = None,
    log_format: Annotated[str | None, _option("log_format")] = None,
) -> None:
    """Serves the REST API and the studio page in front of a running Triton.

    API keys come from a file, or from AUDIOCRAFT_GATEWAY_API_KEYS (separated by commas), since other users can read a
    command line. SIGTERM and Ctrl-C let requests in flight finish, for --drain-seconds at most.

    Example: audiocraft-triton gateway --triton localhost:8001 --port 8080 --rate-limit 60/minute
    """
    given = {name: value for name, value in locals().items() if value is not None}
    from audiocraft_triton.gateway.http_server import serve

    try:
        settings = Settings(**given)
        configure_logging(settings.log_format)
        serve(settings)
    except ValidationError as error:
        fail("; ".join(f"{_name(item)}={item['input']}: {item['msg']}" for item in error.errors()), status=2)
    except ValueError as error:
        fail(error, status=2)


def _name(item: Any) -> str:
    return ".".join(str(part) for part in item["loc"])
