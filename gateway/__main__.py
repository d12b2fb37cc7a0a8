"""`python -m gateway`: serves the REST API and the studio page in front of a Triton. Exit status 2 means bad input."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import structlog
import typer
import uvicorn
from pydantic import ValidationError

from gateway.observability.log import configure_logging
from gateway.settings import Settings

DRAIN_SECONDS = 330
"""How long requests in flight may take to finish after SIGTERM: 300 s of sound, and some."""
KEEP_ALIVE_SECONDS = 75
"""Longer than what stands in front keeps idle connections (nginx: 60), so that it never picks one just closed."""
MAX_HEADER_BYTES = 64 * 1024

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
log = structlog.get_logger("gateway")


def _option(name: str) -> Any:
    """The option of a setting: its help, its default, its environment variable."""
    field = Settings.model_fields[name]
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    variable = f"{Settings.model_config['env_prefix']}{name.upper()}"
    return typer.Option(help=field.description, envvar=variable, show_default=str(default or "none"))


@app.command()
def main(
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
    log_format: Annotated[str | None, _option("log_format")] = None,
) -> None:
    """Serves the REST API and the studio page in front of a Triton that runs already.

    API keys come from a file, or from AUDIOCRAFT_GATEWAY_API_KEYS (separated by commas): on a command line others
    could read them. SIGTERM and Ctrl-C let requests in flight finish, for up to 330 seconds.

    Example: python -m gateway --triton localhost:8001 --port 8080 --rate-limit 60/minute
    """
    given = {name: value for name, value in locals().items() if value is not None}
    try:
        settings = Settings(**given)
        configure_logging(settings.log_format)
        serve(settings)
    except ValidationError as error:
        _fail("; ".join(f"{_name(item)}={item['input']}: {item['msg']}" for item in error.errors()))
    except ValueError as error:
        _fail(str(error))


def serve(settings: Settings) -> None:
    """Serves until a signal; then what is in flight is finished first.

    Raises:
        ValueError: a setting can't be used, such as a port that is taken.
    """
    from gateway.app import create_app

    config = uvicorn.Config(
        create_app(settings),
        http="h11",  # httptools sets headers no limit
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        reset_contextvars=True,
    )
    listener = _listen(settings)
    # uvicorn raises the signal that stopped it once more when all is finished: then this ends the process, in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    _Announcing(config, _url(listener), settings).run(sockets=[listener])


class _Announcing(uvicorn.Server):
    """Says where it listens once it answers."""

    def __init__(self, config: uvicorn.Config, url: str, settings: Settings) -> None:
        super().__init__(config)
        self._url = url
        self._triton = settings.triton

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("listening", url=self._url, triton=self._triton)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ValueError(
            f"port {settings.port} on {settings.host} can't be used ({error.strerror}); choose another with --port, "
            "or --port 0 for a free one"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _name(item: Any) -> str:
    return ".".join(str(part) for part in item["loc"])


def _fail(message: str) -> NoReturn:
    typer.secho(f"error: {message}", fg="red", err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app(prog_name="python -m gateway")
