"""`python -m benchmarks`, or `make bench`: the only source of this project's speed figures.

    python -m benchmarks                                       # the demo on a CPU, musicgen-small's sizes on a GPU
    python -m benchmarks --shape medium --requests 1,8,32
    python -m benchmarks --contenders engine,triton            # the cost of Triton

Each contender makes N clips of one length at once, for every requested N. Separate runs time the first audio of the
contenders that stream. A warm-up is dropped, short runs are repeated, and medians are reported. The command writes
`<device>-<shape>.json` (benchmarks/results.py explains its fields) and `<device>-<shape>.png` to `--out`. If a
contender fails, the report names it, the others are still measured, and the exit status is 1.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.contenders import CONTENDERS

_progress = Console(stderr=True, highlight=False)


class ShapeName(str, Enum):
    """The choices of `--shape`."""

    DEMO = "demo"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class DeviceName(str, Enum):
    """The choices of `--device`."""

    CPU = "cpu"
    CUDA = "cuda"


class DtypeName(str, Enum):
    """The choices of `--dtype`."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def benchmark(
    shape: Annotated[
        ShapeName | None,
        typer.Option(help="Model sizes to measure, as in Meta's checkpoints. Default: demo on a CPU, small on a GPU."),
    ] = None,
    requests: Annotated[
        str | None,
        typer.Option(help="Numbers of concurrent clips. Default: 1,2,4,8 on a CPU, 1,2,4,8,16,32,64 on a GPU."),
    ] = None,
    streams: Annotated[
        str | None,
        typer.Option(help="Numbers of concurrent streams, timed to first audio; 0: none. Default: as --requests."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=30, help="Length of a clip, in seconds.")] = 10.0,
    audiocraft_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=30,
            help="Length of audiocraft's and transformers' clips in seconds; shorter clips save time and hardly change "
            "ms/step. Default: as --seconds.",
        ),
    ] = None,
    chunk_seconds: Annotated[
        float, typer.Option(min=0.1, max=10, help="Length of a streamed chunk, in seconds.")
    ] = 0.2,
    contenders: Annotated[str, typer.Option(help="Contenders to measure, in this order.")] = ",".join(CONTENDERS),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first request; the others' seeds follow it.")] = 1,
    device: Annotated[DeviceName | None, typer.Option(help="Default: the GPU if there is one.")] = None,
    dtype: Annotated[
        DtypeName | None,
        typer.Option(help="Precision for all but audiocraft, which chooses its own. Default: each contender's choice."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/benchmarks"),
    checkpoints: Annotated[
        Path, typer.Option(help="Folder for checkpoints with random weights, built once and kept.")
    ] = Path("checkpoints/benchmarks"),
) -> None:
    """Measures the engine, alone and through Triton, against audiocraft and transformers: a table, a JSON, a chart.

    The weights are random and nothing is downloaded, because speed does not depend on the weights.
    """
    at_once = None if requests is None else _numbers("--requests", requests, lowest=1)
    streams_at_once = None if streams is None else [n for n in _numbers("--streams", streams, lowest=0) if n]
    names = _contenders(contenders)

    import torch

    from audiocraft_triton.contract.errors import CheckpointError
    from benchmarks.runner import Plan
    from benchmarks.session import run_session

    if device is None:
        device = DeviceName.CUDA if torch.cuda.is_available() else DeviceName.CPU
    elif device is DeviceName.CUDA and not torch.cuda.is_available():
        raise typer.BadParameter("torch finds no GPU here", param_hint="--device")
    on_gpu = device is DeviceName.CUDA
    at_once = at_once or ([1, 2, 4, 8, 16, 32, 64] if on_gpu else [1, 2, 4, 8])
    plan = Plan(
        contenders=names,
        requests=at_once,
        streams=at_once if streams_at_once is None else streams_at_once,
        seconds=seconds,
        batch_seconds=audiocraft_seconds or seconds,
        chunk_seconds=chunk_seconds,
    )
    try:
        complete = run_session(
            plan,
            shape=(shape or (ShapeName.SMALL if on_gpu else ShapeName.DEMO)).value,
            checkpoints=checkpoints,
            device=torch.device(device.value),
            dtype=None if dtype is None else dtype.value,
            seed=seed,
            out=out,
            progress=_progress,
        )
    except (CheckpointError, OSError) as error:
        _progress.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        _progress.print("interrupted: nothing was written", style="red")
        raise typer.Exit(130) from error
    if not complete:
        raise typer.Exit(1)


def _numbers(option: str, text: str, lowest: int) -> list[int]:
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < lowest:
        raise typer.BadParameter(
            f"{text!r}: must be whole numbers from {lowest} on, separated by commas, such as 1,4,16", param_hint=option
        )
    return numbers


def _contenders(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in CONTENDERS:
            raise typer.BadParameter(f"{name!r}: must be among {', '.join(CONTENDERS)}", param_hint="--contenders")
    return names


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
