"""`audiocraft-triton serve`: the embedded tritonserver in the foreground, and what to try with it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from audiocraft_triton.cli.console import console, fail, show, stop_on_sigterm
from audiocraft_triton.cli.options import Repository
from audiocraft_triton.cli.preparation import prepare_to_serve
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.serving.embedded.installation import ServerNotInstalled
from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options, ServerFailed
from audiocraft_triton.serving.repository import default_repository, fill_repository


def serve(
    repository: Repository,
    address: Annotated[str, typer.Option(help="Where to listen. Loopback only: see --i-know-this-is-unsafe.")] = (
        "127.0.0.1"
    ),
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port; 0 picks a free one.")] = 8000,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="gRPC port; 0 picks a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Prometheus port; 0 picks a free one.")] = 8002,
    ready_timeout: Annotated[float, typer.Option(min=1, help="Seconds until every model must be ready.")] = 600,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--i-know-this-is-unsafe", help="Listen where others can reach it, remote-code holes of 24.10 and all."
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option(help="Show Triton's whole log.")] = False,
) -> None:
    """Starts the embedded tritonserver and keeps it until Ctrl-C.

    In the default repository it exports the demo's models first, where no other checkpoint's were exported.
    """
    options = Options(
        repository=repository,
        address=address,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        ready_timeout=ready_timeout,
        unsafe_address=unsafe,
        verbose=verbose,
    )
    stop_on_sigterm()
    try:
        if repository == default_repository():
            fill_repository(repository)
        server = EmbeddedServer(options, show=show)  # refuses what it can't use before anything is exported
        prepare_to_serve(repository)
        with server:
            console.print(things_to_try(server), markup=False)
            status = server.wait()
            fail(f"tritonserver ended by itself with status {status}", status=1)
    except KeyboardInterrupt:
        console.print("stopped")
    except CheckpointError as error:
        fail(error, status=2)
    except ServerFailed as error:
        fail(error, status=2 if error.bad_option else 1)
    except ServerNotInstalled as error:
        fail(error, status=1)


def things_to_try(server: EmbeddedServer) -> str:
    """What `serve` prints: a curl, a command line, some Python, each ready to paste."""
    return f"""
ready: HTTP {server.http_url}  gRPC {server.grpc_url}  metrics {server.metrics_url}

Try, from another terminal:

1. curl
   curl -s {server.http_url}/v2/models/musicgen/generate \\
     -d '{{"text": "calm solo piano", "duration": 5, "base64": true}}' \\
     | python3 -c 'import json, sys; print(json.load(sys.stdin)["audio"])' | base64 -d > clip.wav

2. the command line
   {_program("audiocraft-client")} --server {server.grpc_url} music "calm solo piano" -o clip.wav --duration 5 --seed 7

3. Python ({_program("python")})
   from audiocraft_client import Client
   with Client("{server.grpc_url}") as client:
       clip = client.music("calm solo piano", duration=5, seed=7)
       clip.save("clip.wav")
       print(client.analyze("clip.wav"))

Ctrl-C stops the server.
"""


def _program(name: str) -> str:
    """How to call a program of this environment: by its name where that finds it, else by its path."""
    program = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(program):
        return name
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
