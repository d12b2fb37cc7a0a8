"""The command line: `audiocraft-client music "calm piano" -o out.wav`.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 2 bad input, 1 anything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from audiocraft_client._contract import DECODER_MODELS, DEFAULT_DECODER, THRESHOLD
from audiocraft_client.audio_files import format_of
from audiocraft_client.calls import TIMEOUT_SECONDS, GenerationOptions
from audiocraft_client.client import Client
from audiocraft_client.errors import AudioCraftError, InvalidRequest
from audiocraft_client.options import with_generation_options
from audiocraft_client.report import (
    analysis_facts,
    analysis_table,
    audio_facts,
    audio_line,
    codes_facts,
    codes_line,
    health_facts,
    health_table,
)
from audiocraft_client.results import Audio, Codes

app = typer.Typer(
    help="Generate, encode, decode and judge audio with AudioCraft models served by Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Prompt = Annotated[str, typer.Argument(help='What it should sound like; "" for whatever the model likes.')]
InputFile = Annotated[Path, typer.Argument(help="Audio file: wav, flac, ogg or mp3.")]
AudioOutput = Annotated[
    Path,
    typer.Option("--output", "-o", help="Audio file to write: .wav, .flac, .ogg or .mp3; replaced if there."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]


@dataclass(frozen=True, slots=True)
class Settings:
    """The options given before the command."""

    server: str
    timeout: float


@app.callback()
def settings(
    context: typer.Context,
    server: Annotated[
        str,
        typer.Option(envvar="AUDIOCRAFT_SERVER", help="host:port of Triton's gRPC, or http://host:port of its HTTP."),
    ] = "localhost:8001",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = TIMEOUT_SECONDS,
) -> None:
    context.obj = Settings(server, timeout)


@app.command()
@with_generation_options()
def music(
    context: typer.Context,
    text: Prompt,
    output: AudioOutput = Path("out.wav"),
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Generate music from a description."""
    _generate(context.obj, "music", text, cast(GenerationOptions, options), output, as_json)


@app.command()
@with_generation_options("melody")
def sound(
    context: typer.Context,
    text: Prompt,
    output: AudioOutput = Path("out.wav"),
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Generate a sound effect from a description."""
    _generate(context.obj, "sound", text, cast(GenerationOptions, options), output, as_json)


@app.command()
def encode(
    context: typer.Context,
    file: InputFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Codes file to write: .npz; replaced if there.")
    ] = Path("codes.npz"),
    as_json: AsJson = False,
) -> None:
    """Turn an audio file into EnCodec codes."""
    with _errors(), _connected(context.obj) as client:
        if output.suffix != ".npz":
            raise InvalidRequest(f"{output}: the file name must end in .npz")
        _check_folder(output)
        with _spinner("encoding"):
            codes = client.encode(file)
        codes.save(output)
        _say(codes_facts(codes, output), codes_line(codes, output), as_json)


@app.command()
def decode(
    context: typer.Context,
    codes: Annotated[Path, typer.Argument(help="Codes file (.npz) made by encode.")],
    output: AudioOutput = Path("out.wav"),
    decoder: Annotated[str, typer.Option(help=f"{' or '.join(DECODER_MODELS)}.")] = DEFAULT_DECODER,
    seed: Annotated[
        int | None, typer.Option(help="Whole number, for multiband_diffusion only: same seed, same audio.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn EnCodec codes back into an audio file."""
    with _errors(), _connected(context.obj) as client:
        _check_audio_output(output)
        loaded = Codes.load(codes)
        with _spinner("decoding"):
            audio = client.decode(loaded, decoder, seed=seed)
        _finish(audio, output, as_json)


@app.command()
def analyze(
    context: typer.Context,
    file: InputFile,
    threshold: Annotated[
        float | None,
        typer.Option(help=f"{THRESHOLD.description} ({THRESHOLD.bound}; server default: {THRESHOLD.default})"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the discriminators how real an audio file sounds."""
    with _errors(), _connected(context.obj) as client:
        with _spinner("listening"):
            analysis = client.analyze(file, threshold)
        _say(analysis_facts(analysis), analysis_table(analysis), as_json)


@app.command()
def health(context: typer.Context, as_json: AsJson = False) -> None:
    """Show whether the server and its models are ready; exits with 1 when the server isn't."""
    with _errors(), _connected(context.obj) as client:
        state = client.health()
    if state.status == "unreachable" and not as_json:
        _fail(f"{context.obj.server}: {state.reason}", 1)
    _say(health_facts(state), health_table(state, context.obj.server), as_json)
    if not state.ready:
        raise typer.Exit(1)


def _generate(chosen: Settings, kind: str, text: str, options: GenerationOptions, output: Path, as_json: bool) -> None:
    with _errors(), _connected(chosen) as client:
        _check_audio_output(output)
        if client.streams:
            audio = _stream_with_progress(client, kind, text, options)
        else:
            with _spinner("generating"):
                audio = client.music(text, **options) if kind == "music" else client.sound(text, **options)
        _finish(audio, output, as_json)


def _stream_with_progress(client: Client, kind: str, text: str, options: GenerationOptions) -> Audio:
    """The streaming model says how far it is; its chunks joined are what the unary model returns."""
    console = Console(stderr=True)
    columns = (
        TextColumn("generating"),
        BarColumn(),
        TextColumn("{task.completed:.1f} s of audio"),
        TimeElapsedColumn(),
    )
    chunks = []
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        closing(client.stream(text, kind, **options)) as stream,
    ):
        task = progress.add_task("", total=options.get("duration"))
        for chunk in stream:
            chunks.append(chunk)
            progress.advance(task, chunk.duration)
    return Audio.from_chunks(chunks)


def _finish(audio: Audio, output: Path, as_json: bool) -> None:
    audio.save(output)
    _say(audio_facts(audio, output), audio_line(audio, output), as_json)


def _say(facts: dict[str, Any], text: RenderableType, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
    elif isinstance(text, str):
        typer.echo(text)
    else:
        Console().print(text)


def _check_audio_output(path: Path) -> None:
    """Before minutes of generation, rather than after."""
    format_of(path)
    _check_folder(path)


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise InvalidRequest(f"{path}: the folder {path.parent} does not exist")


def _connected(chosen: Settings) -> Client:
    return Client(chosen.server, timeout=chosen.timeout)


@contextmanager
def _spinner(label: str) -> Iterator[None]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(label), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task("")
        yield


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        _fail(f"{error.filename}: {error.strerror}", 2)
    except InvalidRequest as error:
        _fail(str(error), 2)
    except (AudioCraftError, OSError) as error:
        _fail(str(error), 1)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo("error: " + " ".join(message.split()), err=True)
    raise typer.Exit(code)
