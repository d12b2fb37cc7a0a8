"""The main job, once, through a real server: a prompt to sound, to codes and back, and how real clips sound."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from audiocraft_client import Analysis, Audio, Client
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from audiocraft_triton.checkpoints.layout import SHIPPED_DEMO
from audiocraft_triton.cli.console import fail, stop_on_sigterm
from audiocraft_triton.cli.options import Repository
from audiocraft_triton.cli.preparation import DEMO, export_if_needed
from audiocraft_triton.cli.spectrogram import save_spectrogram
from audiocraft_triton.contract.errors import CheckpointError
from audiocraft_triton.contract.parameters import BY_NAME
from audiocraft_triton.serving.embedded.installation import ServerNotInstalled
from audiocraft_triton.serving.embedded.server import EmbeddedServer, Options, ServerFailed

DURATION, SEED = BY_NAME["duration"], BY_NAME["seed"]
SOUND_PROMPT = "rain on a window"
SOUND_SECONDS = 3.0
SOURCE_CLIP = SHIPPED_DEMO / "source.flac"
"""A piece that no model has seen: what realness is measured against."""
NOISE_LEVEL = 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was done, how much audio, how long it took, what came out."""

    step: str
    audio_seconds: float
    wall_seconds: float
    result: str


def demo(
    repository: Repository,
    text: Annotated[str, typer.Argument(help="What to generate.")] = "calm solo piano",
    duration: Annotated[
        float, typer.Option(min=DURATION.low, max=DURATION.high, help=f"{DURATION.description} In {DURATION.unit}.")
    ] = DURATION.default,
    seed: Annotated[int, typer.Option(min=SEED.low, max=SEED.high, help=SEED.description)] = 1,
    out: Annotated[Path, typer.Option(help="Folder for what is made.")] = Path("out"),
) -> None:
    """Runs the main job once through a real server: a prompt to sound, to codes and back, and its analysis."""
    stop_on_sigterm()
    try:
        run_demo(text, duration, seed, out, repository)
    except (CheckpointError, ServerFailed, ServerNotInstalled) as error:
        fail(error, status=1)
    except KeyboardInterrupt:
        fail("interrupted", status=130)


def run_demo(text: str, duration: float, seed: int, out: Path, repository: Path) -> None:
    """Prepares what is missing, starts a server on free ports, runs the job, prints a table, stops the server."""
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        with _step(progress, "preparing the demo models"):
            export_if_needed(DEMO, repository, report=progress.console.print)
        server = EmbeddedServer(Options(repository, http_port=0, grpc_port=0, metrics_port=0))
        with _step(progress, "starting tritonserver (about half a minute on 2 cores)"):
            server.start()
        try:
            with Client(server.grpc_url) as client:
                rows = _main_job(client, progress, text, duration, seed, out)
                with _step(progress, "comparing how real clips sound"):
                    analyses = _compare(client, out)
        finally:
            with _step(progress, "stopping tritonserver"):
                server.stop()
    console.print(_table(rows, text, seed))
    console.print(_realness_table(analyses))


def _main_job(client: Client, progress: Progress, text: str, duration: float, seed: int, out: Path) -> list[Row]:
    music, generated = _generate(client, progress, text, duration, seed)
    music_file, picture = out / "music.wav", out / "music.png"
    music.save(music_file)
    save_spectrogram(music, picture, title=f"“{text}”, seed {seed}")
    with _step(progress, "encoding to codes"):
        start = time.perf_counter()
        codes = client.encode(music_file)
        encoded = time.perf_counter() - start
    codes.save(out / "codes.npz")
    with _step(progress, "decoding back"):
        start = time.perf_counter()
        decoded = client.decode(codes)
        decoding = time.perf_counter() - start
    decoded.save(out / "decoded.wav")
    with _step(progress, "analysing"):
        start = time.perf_counter()
        analysis = client.analyze(music_file)
        analysed = time.perf_counter() - start
    with _step(progress, f"generating a sound: {SOUND_PROMPT}"):
        start = time.perf_counter()
        sound = client.sound(SOUND_PROMPT, duration=SOUND_SECONDS, seed=seed)
        sounded = time.perf_counter() - start
    sound.save(out / "sound.wav")
    codebooks, frames = codes.codes.shape
    return [
        Row("generate music", music.duration, generated, f"{music_file}, {picture} ({music.sample_rate:,} Hz)"),
        Row("encode", music.duration, encoded, f"{out / 'codes.npz'} ({codebooks} codebooks × {frames} frames)"),
        Row("decode", decoded.duration, decoding, f"{out / 'decoded.wav'} ({decoded.sample_rate:,} Hz)"),
        Row("analyze", music.duration, analysed, f"realness {analysis.realness:.2f}"),
        Row("generate sound", sound.duration, sounded, f"{out / 'sound.wav'} ({sound.sample_rate:,} Hz)"),
    ]


def _generate(client: Client, progress: Progress, text: str, duration: float, seed: int) -> tuple[Audio, float]:
    task = progress.add_task(f"generating: {text}", total=duration)
    start = time.perf_counter()
    chunks = []
    for chunk in client.stream(text, duration=duration, seed=seed):
        chunks.append(chunk)
        progress.advance(task, chunk.duration)
    progress.update(task, completed=duration)
    return Audio.from_chunks(chunks), time.perf_counter() - start


@contextmanager
def _step(progress: Progress, description: str) -> Iterator[None]:
    task = progress.add_task(description, total=None)
    yield
    progress.update(task, total=1, completed=1)


def _table(rows: list[Row], text: str, seed: int) -> Table:
    table = Table(title=f"“{text}”, seed {seed}", title_justify="left")
    table.add_column("step")
    for heading in ("audio s", "took s", "× real time"):
        table.add_column(heading, justify="right")
    table.add_column("result", overflow="fold")
    for row in rows:
        speed = row.audio_seconds / row.wall_seconds
        table.add_row(row.step, f"{row.audio_seconds:.1f}", f"{row.wall_seconds:.2f}", f"{speed:.1f}", row.result)
    return table


def _compare(client: Client, out: Path) -> dict[str, Analysis]:
    """Analyses a source clip, the same through EnCodec, what was generated, and noise. Writes the files it makes."""
    rebuilt = client.decode(client.encode(SOURCE_CLIP))
    rebuilt.save(out / "source_through_encodec.wav")
    noise = NOISE_LEVEL * np.random.default_rng(0).standard_normal(rebuilt.waveform.shape).astype(np.float32)
    Audio(noise, rebuilt.sample_rate).save(out / "noise.wav")
    return {
        "a source clip": client.analyze(SOURCE_CLIP),
        "the same through EnCodec": client.analyze(out / "source_through_encodec.wav"),
        "the generated music": client.analyze(out / "music.wav"),
        "white noise": client.analyze(out / "noise.wav"),
    }


def _realness_table(analyses: dict[str, Analysis]) -> Table:
    table = Table(title="how real it sounds", title_justify="left")
    table.add_column("clip")
    for heading in ("MPD", "MSD", "MS-STFT", "realness"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for name, found in analyses.items():
        scores = (found.mpd_score, found.msd_score, found.msstftd_score, found.realness)
        verdict = "real" if found.is_real else "not real"
        table.add_row(name, *(f"{score:.2f}" for score in scores), verdict if found.calibrated else "uncalibrated")
    return table
