"""`python -m capacity`: computes how many pods a number of listeners needs, and which signal to scale by.

It simulates a fleet (capacity/fleet.py) from measurements on one H100 (capacity/gpu_model.py). The same seed gives the
same numbers. Listeners request a clip of 10 to 30 s, listen to it, think (10 s on average, exponential), and request
the next one. Tables go to stdout, `capacity.json` to --out, a chart to --chart.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from capacity.autoscaler import (
    Autoscaler,
    GpuUtilisation,
    ScalingRules,
    slot_pressure,
)
from capacity.fleet import Fleet, Listeners, PodModel
from capacity.gpu_model import (
    FRAME_RATE,
    GB,
    GPUS,
    H100,
    MODELS,
    Gpu,
    Measured,
    first_frames,
    pod_model,
)
from capacity.report import draw, markdown

COUNTS = (10, 100, 1_000, 10_000)
ONE_POD = (10, 50, 100, 200, 300, 350, 400, 450, 500)
SHORTEST, LONGEST, THINK = 10.0, 30.0, 10.0
MEAN_CYCLE = (SHORTEST + LONGEST) / 2 + THINK
MEAN_POSITION = FRAME_RATE * (LONGEST**3 - SHORTEST**3) / 3 / (LONGEST**2 - SHORTEST**2)
"""Frames that a running request has finished on average: the mean of L²/2 over the mean of L, for uniform L."""
CHUNK_SECONDS = 0.5
MAX_WAITING = 32
WARM_UP, WATCHED = 120.0, 300.0
PATIENCE = 1.0
"""Limit in seconds for the 95th percentile of the time to first audio."""
STEP_UP, STEP_DOWN, STEP_END, FEW, MANY = 600.0, 2400.0, 4800.0, 200, 1_000


@dataclass(frozen=True, slots=True)
class Load:
    """The result for one number of listeners on one number of pods; in seconds and in shares of 1."""

    gpu: str
    listeners: int
    pods: int
    first_audio_p50: float
    first_audio_p95: float
    queued_p95: float
    rejected: float
    pressure: float
    gpu_busy: float
    slowest_stream: float

    @property
    def good(self) -> bool:
        """Whether first audio is in time, no request is rejected, and no stream is slower than real time."""
        return self.first_audio_p95 < PATIENCE and self.rejected == 0 and self.slowest_stream >= 1


def people() -> Listeners:
    """Returns the listeners of all tables."""
    return Listeners(
        clip=lambda draws: draws.uniform(SHORTEST, LONGEST),
        think=lambda draws: draws.expovariate(1 / THINK),
        frame_rate=FRAME_RATE,
        first_frames=first_frames(CHUNK_SECONDS),
    )


def load(model: PodModel, gpu: str, listeners: int, pods: int, seed: int) -> Load:
    """Simulates seven minutes and evaluates the last five."""
    fleet = Fleet(model, pods, people(), seed)
    fleet.set_listeners(listeners, spread=MEAN_CYCLE)
    fleet.run(WARM_UP)
    busy = sum(pod.busy for pod in fleet.pods)
    held = sum(pod.slot_seconds for pod in fleet.pods)
    fleet.outcome.slowest_stream = float("inf")
    fleet.run(WARM_UP + WATCHED)
    waits = sorted(wait for asked, wait in fleet.outcome.first_audio if asked >= WARM_UP)
    queued = sorted(wait for asked, wait in fleet.outcome.queued if asked >= WARM_UP)
    rejected = sum(asked >= WARM_UP for asked in fleet.outcome.rejected)
    return Load(
        gpu,
        listeners,
        pods,
        quantile(waits, 0.5),
        quantile(waits, 0.95),
        quantile(queued, 0.95),
        rejected / (len(queued) + rejected),
        (sum(pod.slot_seconds for pod in fleet.pods) - held) / (WATCHED * pods * model.slots),
        (sum(pod.busy for pod in fleet.pods) - busy) / (WATCHED * pods),
        fleet.outcome.slowest_stream,
    )


def quantile(values: list[float], share: float) -> float:
    """Returns the quantile of sorted values, without interpolation."""
    return values[max(0, min(len(values) - 1, int(share * len(values))))]


def fewest_pods(model: PodModel, gpu: str, listeners: int, seed: int, *, most_pressure: float = 1.0) -> Load:
    """Finds the load on the fewest pods that are good enough: doubles the number, then bisects."""

    def good(tried: Load) -> bool:
        return tried.good and tried.pressure <= most_pressure

    pods = 1
    while not good(best := load(model, gpu, listeners, pods, seed)):
        pods *= 2
        if pods > listeners:
            return best  # not good even with one pod per listener: the GPU is too slow
    too_few = pods // 2
    while best.pods - too_few > 1:
        tried = load(model, gpu, listeners, (too_few + best.pods) // 2, seed)
        if good(tried):
            best = tried
        else:
            too_few = tried.pods
    return best


def scaled(model: PodModel, signal: str, seed: int) -> dict[str, Any]:
    """Simulates an HPA while the load steps up and down again."""
    fleet = Fleet(model, 1, people(), seed)
    reads = slot_pressure if signal == "slot pressure" else GpuUtilisation()
    scaler = Autoscaler(fleet, ScalingRules(), reads)
    scaler.start()
    fleet.set_listeners(FEW, spread=MEAN_CYCLE)
    fleet.at(STEP_UP, lambda: fleet.set_listeners(MANY, spread=MEAN_CYCLE))
    fleet.at(STEP_DOWN, lambda: fleet.set_listeners(FEW, spread=MEAN_CYCLE))
    fleet.run(STEP_END)
    minutes = []
    for minute in range(int(STEP_END // 60)):
        waits = sorted(wait for asked, wait in fleet.outcome.first_audio if minute <= asked / 60 < minute + 1)
        minutes.append(quantile(waits, 0.95) if waits else None)
    asked = len(fleet.outcome.queued) + len(fleet.outcome.rejected)
    pods = [pods for _, pods, _ in scaler.history]
    return {
        "signal": signal,
        "pods_before": pods[int(STEP_UP / 15) - 1],
        "pods_peak": max(pods),
        "pods_end": pods[-1],
        "pod_hours": sum(pods) * 15 / 3600,
        "rejected": len(fleet.outcome.rejected) / asked,
        "minutes_late": sum(wait is not None and wait >= PATIENCE for wait in minutes),
        "history": [[at, count, round(mean, 4)] for at, count, mean in scaler.history],
        "first_audio_p95_by_minute": minutes,
    }


def gpu_row(measured: Measured, gpu: Gpu, listeners: int, seed: int) -> dict[str, Any]:
    """Returns the capacity of one class of GPUs, cautiously and at best."""
    row: dict[str, Any] = {"gpu": gpu.name, "measured": gpu is H100, "slots_by_memory": MODELS["small"].slots(gpu)}
    models = [
        pod_model(measured, gpu, mean_position=MEAN_POSITION, max_waiting=MAX_WAITING, at_best=best)
        for best in (False, True)
    ]
    models.sort(key=lambda model: -model.step_seconds[1])
    for name, model in zip(("low", "high"), models, strict=True):
        in_time = [n for n in range(1, model.slots + 1) if model.step_seconds[n] * FRAME_RATE <= 1]
        slots = max(in_time, default=0)
        row[name] = {"slots_in_real_time": slots, "realtime_full": None, "pods": None}
        if slots:
            row[name]["realtime_full"] = slots / model.step_seconds[slots] / FRAME_RATE
            fitted = PodModel(
                slots, MAX_WAITING, model.step_seconds[: slots + 1], model.admission_seconds, model.overhead_seconds
            )
            best = fewest_pods(fitted, gpu.name, listeners, seed)
            row[name]["pods"] = best.pods if best.good else None
    return row


def simulate(counts: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Computes all tables, as the JSON holds them."""
    measured = Measured.of()
    model = pod_model(measured, H100, mean_position=MEAN_POSITION, max_waiting=MAX_WAITING)
    return {
        "schema": 1,
        "seed": seed,
        "what": "musicgen-small, float16, one engine a pod; simulated on points measured on one H100 (h100-small.json)",
        "listeners": {"clip_seconds": [SHORTEST, LONGEST], "think_seconds": THINK, "chunk_seconds": CHUNK_SECONDS},
        "pod": {"gpu": H100.name, "slots": model.slots, "max_waiting": MAX_WAITING},
        "measured": asdict(measured),
        "memory": [
            {
                "model": name,
                "slot_gb": shape.slot_bytes / GB,
                "weights_gb": shape.weight_bytes / GB,
                "slots": {gpu.name: shape.slots(gpu) for gpu in GPUS},
            }
            for name, shape in MODELS.items()
        ],
        "fewest_pods": [asdict(fewest_pods(model, H100.name, count, seed)) for count in counts],
        "pods_at_target": [
            asdict(fewest_pods(model, H100.name, count, seed, most_pressure=ScalingRules().target)) for count in counts
        ],
        "one_pod": [asdict(load(model, H100.name, count, 1, seed)) for count in ONE_POD],
        "gpus": [gpu_row(measured, gpu, 1_000, seed) for gpu in GPUS],
        "scaling": [scaled(model, signal, seed) for signal in ("slot pressure", "GPU utilisation")],
    }


def main(
    seed: Annotated[int, typer.Option(min=0, help="Seed of the listeners' clips and pauses.")] = 1,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("capacity/capacity.json"),
    chart: Annotated[Path, typer.Option(help="Picture to write.")] = Path("docs/capacity.png"),
) -> None:
    """Simulates how many pods a number of listeners needs, and which signal to scale by; minutes on one core."""
    result = simulate(COUNTS, seed)
    out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    draw(chart, result)
    print(markdown(result))


if __name__ == "__main__":
    typer.run(main)
