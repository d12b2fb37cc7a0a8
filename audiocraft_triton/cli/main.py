"""`audiocraft-triton`: prepares models, starts a server, shows what it can do. Exit status 2 means bad input."""

from __future__ import annotations

import signal
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console

from audiocraft_triton.checkpoints.precision import EFFECTS
from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest
from audiocraft_triton.contract.parameters import BY_NAME
from audiocraft_triton.serving.embedded.installation import ServerNotInstalled
from audiocraft_triton.serving.embedded.log import LogLine
from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options, ServerFailed
from audiocraft_triton.serving.repository import MODEL_REPOSITORY

app = typer.Typer(
    help="NVIDIA Triton serving for Meta AudioCraft: MusicGen, AudioGen, EnCodec, discriminators.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
DURATION, SEED = BY_NAME["duration"], BY_NAME["seed"]
_console = Console(stderr=True, highlight=False)
_STYLES = {"WARNING": "yellow", "ERROR": "red", "FATAL": "bold red"}


class Precision(str, Enum):
    """As `audiocraft_triton.checkpoints.precision.Precision`; typer takes no Literal everywhere."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


PRECISIONS = "Its tokens are " + "; ".join(f"in {name} {effect}" for name, effect in EFFECTS.items()) + "."

Repository = Annotated[Path, typer.Option("--repository", help="The model repository's folder.")]


@app.command()
def export(
    checkpoint: Annotated[
        str,
        typer.Option(
            help="demo, demo-sound, a directory in audiocraft's layout, or a hub id: facebook/musicgen-small."
        ),
    ] = "demo",
    discriminators: Annotated[
        str | None,
        typer.Option(help="Checkpoint whose discriminators.bin to export. Default: the same, else the demo's."),
    ] = None,
    repository: Repository = MODEL_REPOSITORY,
    force: Annotated[bool, typer.Option(help="Export even if what is there is up to date.")] = False,
) -> None:
    """Converts EnCodec and the three discriminators to TorchScript, each verified against audiocraft before writing."""
    from audiocraft_triton.cli.preparation import export_if_needed

    try:
        export_if_needed(checkpoint, repository, discriminators, force=force, report=_console.print)
    except CheckpointError as error:
        _fail(error, status=2)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Hub ids, such as facebook/musicgen-small.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints, each in <hub id>/, and the lock file.")],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit. Default: main; its commit goes into the lock file.")
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(help="A checkpoint.lock.json: fetch exactly its commits and checksums, or fail.")
    ] = None,
    lm: Annotated[Precision, typer.Option(help=f"Of the language model's weights. {PRECISIONS}")] = Precision.float32,
) -> None:
    """Downloads checkpoints at one commit, checks every sha256, and converts them: no hub and no pickle when serving.

    An interrupted download goes on where it was; what is there already is verified and kept. HF_TOKEN and HF_ENDPOINT
    are honoured.

    Example: audiocraft-triton fetch facebook/musicgen-small --out models
    """
    from audiocraft_triton.cli.fetch import run_fetch

    if revision is not None and lock is not None:
        _fail("--revision and --lock exclude each other: the lock has the revisions", status=2)
    _stop_on_sigterm()
    try:
        run_fetch(names, out, revision, lock, lm.value, _console)
    except InvalidRequest as error:
        _fail(error, status=2)
    except CheckpointError as error:
        _fail(error, status=1)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on", status=130)


@app.command()
def convert(
    checkpoint: Annotated[
        str, typer.Option(help="demo, demo-sound, a directory, or a hub id: facebook/musicgen-small.")
    ],
    out: Annotated[Path, typer.Option(help="New folder to write into.")],
    lm: Annotated[Precision, typer.Option(help=f"Of the language model's weights. {PRECISIONS}")] = Precision.float16,
    rest: Annotated[Literal["float32", "float16"], typer.Option(help="Of all other weights.")] = "float16",
) -> None:
    """Writes a checkpoint as safetensors and JSON, smaller, and without anything that could run."""
    from audiocraft_triton.checkpoints.convert import convert as convert_checkpoint
    from audiocraft_triton.checkpoints.layout import resolve

    try:
        convert_checkpoint(resolve(checkpoint), out, lm=lm.value, rest=rest, report=_console.print)
    except (CheckpointError, InvalidRequest) as error:
        _fail(error, status=2)


@app.command()
def serve(
    repository: Repository = MODEL_REPOSITORY,
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
    """Starts the embedded tritonserver and keeps it until Ctrl-C."""
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
    _stop_on_sigterm()
    try:
        with EmbeddedServer(options, show=_show) as server:
            _console.print(things_to_try(server), markup=False)
            status = server.wait()
            _fail(f"tritonserver ended by itself with status {status}", status=1)
    except KeyboardInterrupt:
        _console.print("stopped")
    except ServerFailed as error:
        _fail(error, status=2 if error.bad_option else 1)
    except ServerNotInstalled as error:
        _fail(error, status=1)


@app.command()
def studio(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 picks a free one.")] = 8080,
    repository: Repository = MODEL_REPOSITORY,
    verbose: Annotated[bool, typer.Option(help="Show the server's whole log.")] = False,
) -> None:
    """Starts the embedded server and the REST gateway with its studio page, until Ctrl-C. Loopback only."""
    from audiocraft_triton.cli.preparation import export_if_needed
    from audiocraft_triton.cli.studio import choose_port, run_studio

    _stop_on_sigterm()
    try:
        chosen = choose_port(port)
        if repository == MODEL_REPOSITORY:
            export_if_needed("demo", repository, report=_console.print)
        options = Options(repository=repository, http_port=0, grpc_port=0, metrics_port=0, verbose=verbose)
        with EmbeddedServer(options, show=_show) as server:
            raise typer.Exit(run_studio(server, chosen, typer.echo))
    except KeyboardInterrupt:
        _console.print("stopped")
    except CheckpointError as error:
        _fail(error, status=2)
    except ServerFailed as error:
        _fail(error, status=2 if error.bad_option else 1)
    except ServerNotInstalled as error:
        _fail(error, status=1)


@app.command()
def demo(
    text: Annotated[str, typer.Argument(help="What to generate.")] = "calm solo piano",
    duration: Annotated[
        float, typer.Option(min=DURATION.low, max=DURATION.high, help=f"{DURATION.description} In {DURATION.unit}.")
    ] = DURATION.default,
    seed: Annotated[int, typer.Option(min=SEED.low, max=SEED.high, help=SEED.description)] = 1,
    out: Annotated[Path, typer.Option(help="Folder for what is made.")] = Path("out"),
    repository: Annotated[
        Path, typer.Option(help="The model repository's folder; the demo's models are exported into it.")
    ] = MODEL_REPOSITORY,
) -> None:
    """Runs the main job once through a real server: a prompt to sound, to codes and back, and its analysis."""
    from audiocraft_triton.cli.demo import run_demo

    _stop_on_sigterm()
    try:
        run_demo(text, duration, seed, out, repository)
    except (CheckpointError, ServerFailed, ServerNotInstalled) as error:
        _fail(error, status=1)
    except KeyboardInterrupt:
        _fail("interrupted", status=130)


@app.command("train-discriminators")
def train_discriminators(
    codec: Annotated[
        str,
        typer.Option(help="Whose codec output is to be told from source audio: demo, a directory or a hub id."),
    ],
    data: Annotated[
        Path,
        typer.Option(help="Folder with at least 10 files of source audio: wav, flac, ogg, mp3, aiff; any sample rate."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for discriminators.bin and discriminators_report.json.")],
    generated: Annotated[
        Path | None,
        typer.Option(help="Folder with at least 10 generated clips: to tell what the language model makes as well."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--state", help="Folder of state and TensorBoard logs. Default: training, in OUT.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after so long, with exit status 3; the same command goes on."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps in all. Default: 1,000, for minutes on a GPU.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pairs of source and fake a step. Default: 48; on a CPU try 8.")
    ] = None,
) -> None:
    """Trains the three discriminators of `analyze` for your codec and audio, and calibrates their scores.

    They learn to tell two-second windows of source audio from the same audio through the codec, and from generated
    clips if you give some. A tenth of the files calibrates the scores, so that in a mix of as many source clips as
    fakes about 80 % of those with realness 0.8 are source; another tenth tests them. The same command goes on where
    it was stopped.

    Example: audiocraft-triton train-discriminators --codec demo --data music --out mine --minutes 10
    """
    from audiocraft_triton.cli.train_discriminators import run_training

    _stop_on_sigterm()
    try:
        finished = run_training(
            codec, data, out, _console, generated=generated, run=run, minutes=minutes, steps=steps, batch=batch
        )
        if not finished:
            raise typer.Exit(3)
    except (CheckpointError, InvalidRequest) as error:
        _fail(error, status=2)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on from the last minute", status=130)


def _show(line: LogLine) -> None:
    _console.print(line.text, style=_STYLES.get(line.level, "dim"), markup=False)


def _fail(error: Exception | str, status: int) -> NoReturn:
    _console.print(f"error: {error}", style="red", markup=False)
    raise typer.Exit(status)


def _stop_on_sigterm() -> None:
    """Makes SIGTERM end this command as Ctrl-C does: in order, with the server stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGINT itself may be ignored, under nohup


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
   .venv/bin/audiocraft-client --server {server.grpc_url} music "calm solo piano" -o clip.wav --duration 5 --seed 7

3. Python (.venv/bin/python)
   from audiocraft_client import Client
   with Client("{server.grpc_url}") as client:
       clip = client.music("calm solo piano", duration=5, seed=7)
       clip.save("clip.wav")
       print(client.analyze("clip.wav"))

Ctrl-C stops the server.
"""
