"""The capacity simulation is deterministic, and agrees with the measurements and with queueing theory."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from capacity import __main__ as capacity
from capacity.autoscaler import (
    Autoscaler,
    GpuUtilisation,
    ScalingRules,
    slot_pressure,
)
from capacity.fleet import Fleet, Listeners, PodModel
from capacity.gpu_model import (
    GPUS,
    H100,
    MODELS,
    Measured,
    first_frames,
    pod_model,
)

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "benchmarks" / "results"
MEASURED = Measured.of()


@pytest.fixture(scope="module")
def model() -> PodModel:
    """A pod on an H100 under the tables' load."""
    return pod_model(MEASURED, H100, mean_position=capacity.MEAN_POSITION, max_waiting=capacity.MAX_WAITING)


def all_at_once(requests: int, seconds: float, chunk_seconds: float) -> Fleet:
    """Runs the benchmark's load: `requests` simultaneous requests for clips of one length, on one H100."""
    pod = pod_model(MEASURED, H100, mean_position=MEASURED.mean_position, max_waiting=0)
    people = Listeners(lambda _: seconds, lambda _: 1e9, listens=False, first_frames=first_frames(chunk_seconds))
    fleet = Fleet(pod, 1, people, seed=1)
    fleet.set_listeners(requests, spread=0.0)
    fleet.run(100.0)
    return fleet


@pytest.mark.parametrize("requests", [1, 8, 32, 64])
def test_throughput_equals_the_measured_one(requests: int) -> None:
    rows = json.loads((RESULTS / "h100-small.json").read_text())["results"]
    measured = next(r["throughput"] for r in rows if r["contender"] == "triton" and r["requests"] == requests)
    pod = all_at_once(requests, seconds=10.0, chunk_seconds=0.2).pods[0]
    assert requests * 10.0 / pod.busy == pytest.approx(measured["realtime"], rel=0.01)


@pytest.mark.parametrize("requests", [1, 16])
def test_first_audio_equals_the_measured_one(requests: int) -> None:
    rows = json.loads((RESULTS / "h100-small.json").read_text())["results"]
    measured = next(
        r["first_audio"] for r in rows if r["contender"] == "triton" and r["requests"] == requests and r["first_audio"]
    )
    waits = [wait for _, wait in all_at_once(requests, seconds=10.0, chunk_seconds=0.2).outcome.first_audio]
    assert len(waits) == requests
    assert max(waits) == pytest.approx(measured["p95"], rel=0.05)


@pytest.mark.parametrize(("name", "slots"), [("medium", 46), ("large", 33)])
def test_computed_slots_equal_those_that_the_engine_chose(name: str, slots: int) -> None:
    content = json.loads((RESULTS / f"h100-{name}.json").read_text())
    assert f"{slots} requests at once" in content["contenders"]["engine"]
    assert MODELS[name].slots(H100) == pytest.approx(slots, abs=1)  # the codec and T5 take some memory


def test_waiting_agrees_with_queueing_theory() -> None:
    """The queue is M/M/c with finitely many sources: the machine-repair model, whose waiting time is known exactly."""
    servers, sources, service, think = 4, 40, 2.0, 18.0
    steady = PodModel(servers, sources, (0.0, *[0.02] * servers))  # a frame takes 0.02 s for any number of requests
    people = Listeners(
        lambda draws: draws.expovariate(1 / service), lambda draws: draws.expovariate(1 / think), listens=False
    )
    fleet = Fleet(steady, 1, people, seed=5)
    fleet.set_listeners(sources, spread=think)
    fleet.run(60_000.0)
    waits = [wait for asked, wait in fleet.outcome.queued if asked > 1_000]

    # The probabilities of n requests in the system that an arrival sees: those of a system with one source less.
    chances = [1.0]
    for n in range(1, sources):
        chances.append(chances[-1] * (sources - n) / think * service / min(n, servers))
    total = sum(chances)
    expected = sum(chance * (n - servers + 1) * service / servers for n, chance in enumerate(chances) if n >= servers)
    assert sum(waits) / len(waits) == pytest.approx(expected / total, rel=0.05)
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(sum(chances[servers:]) / total, rel=0.05)


def test_no_request_waits_if_slots_outnumber_listeners(model: PodModel) -> None:
    fleet = Fleet(model, 1, capacity.people(), seed=1)
    fleet.set_listeners(model.slots, spread=1.0)
    fleet.run(120.0)
    assert len(fleet.outcome.queued) > model.slots
    assert max(wait for _, wait in fleet.outcome.queued) == 0
    assert not fleet.outcome.rejected


def test_more_pods_never_make_first_audio_later(model: PodModel) -> None:
    loads = [capacity.load(model, "", 700, pods, seed=1) for pods in (1, 2, 3, 4, 8)]
    late = [load.first_audio_p95 for load in loads]
    assert late == sorted(late, reverse=True)
    assert late[0] > 10 * late[-1]
    assert [load.rejected for load in loads] == sorted((load.rejected for load in loads), reverse=True)
    assert loads[0].rejected > 0
    assert loads[-1].rejected == 0


def test_fewest_pods_are_the_fewest(model: PodModel) -> None:
    best = capacity.fewest_pods(model, "", 1_000, seed=1)
    assert best.good
    assert best.pods > 1
    assert not capacity.load(model, "", 1_000, best.pods - 1, seed=1).good


def test_a_slower_gpu_never_has_more_capacity() -> None:
    by_bandwidth = sorted(GPUS, key=lambda gpu: gpu.bandwidth)
    for at_best in (False, True):
        steps = [
            pod_model(MEASURED, gpu, mean_position=500, max_waiting=0, at_best=at_best).step_seconds[8]
            for gpu in by_bandwidth
        ]
        assert steps == sorted(steps, reverse=True)


class Constant:
    """A signal with a settable constant value."""

    value = 0.7

    def __call__(self, _pod: object, _seconds: float) -> float:
        return self.value


def pods_over_time(signal: Constant, then: float, until: float, rules: ScalingRules, pods: int) -> list[int]:
    fleet = Fleet(PodModel(1, 0, (0.0, 1.0)), pods, capacity.people(), seed=1)
    scaler = Autoscaler(fleet, rules, signal)
    scaler.start()
    signal.value = then
    fleet.run(until)
    return [count for _, count, _ in scaler.history]


def test_the_simulated_rules_equal_the_charts() -> None:
    chart = yaml.safe_load((PROJECT / "deploy/helm/audiocraft-triton/values.yaml").read_text())["triton"]["autoscaling"]
    rules, up, down = ScalingRules(), chart["scaleUp"], chart["scaleDown"]
    assert (rules.minimum, rules.target) == (chart["minReplicas"], chart["targetPressure"])
    assert (0, rules.up_pods, rules.up_period) == tuple(up.values())
    assert (rules.down_window, rules.down_pods, rules.down_period) == tuple(down.values())


def test_the_autoscaler_follows_the_formula_of_kubernetes() -> None:
    rules = ScalingRules()
    assert set(pods_over_time(Constant(), 0.76, 300.0, rules, 4)) == {4}  # within the tolerance of 10 %
    up = pods_over_time(Constant(), 1.4, 61.0, rules, 10)
    assert up[:2] == [10, 20]  # ceil(10 · 1.4 / 0.7); starting pods count as idle, so no more are added
    assert up[-1] == 20
    down = pods_over_time(Constant(), 0.35, 960.0, rules, 10)
    assert set(down[: int(rules.down_window // rules.sync)]) == {10}  # the highest demand within the window counts
    assert down[-1] == 7  # then one every two minutes, at 600, 720, 840 and 960 seconds; the last one is after the end
    assert all(before - after in (0, 1) for before, after in itertools.pairwise(down))


def test_scaling_up_is_limited_by_the_charts_policy() -> None:
    assert pods_over_time(Constant(), 7.0, 31.0, ScalingRules(), 1)[-1] == 5  # 4 more in the first minute
    assert pods_over_time(Constant(), 7.0, 31.0, ScalingRules(), 8)[-1] == 16  # or twice as many


def test_gpu_utilisation_saturates_and_slot_pressure_does_not(model: PodModel) -> None:
    readings = []
    for listeners in (100, 250):
        fleet = Fleet(model, 1, capacity.people(), seed=1)
        fleet.set_listeners(listeners, spread=30.0)
        fleet.run(200.0)
        utilisation = GpuUtilisation()
        utilisation(fleet.pods[0], 15.0)
        fleet.run(215.0)
        readings.append((utilisation(fleet.pods[0], 15.0), slot_pressure(fleet.pods[0], 15.0)))
    (few_busy, few_pressure), (many_busy, many_pressure) = readings
    assert few_busy > 0.95
    assert many_busy > 0.95
    assert many_pressure > 2 * few_pressure


def test_the_command_is_deterministic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    app = typer.Typer()
    app.command()(capacity.main)
    monkeypatch.setattr(capacity, "COUNTS", (10, 100))
    monkeypatch.setattr(capacity, "GPUS", (H100,))
    monkeypatch.setattr(capacity, "WATCHED", 30.0)
    monkeypatch.setattr(capacity, "STEP_END", 900.0)
    texts = []
    for name in ("first", "second"):
        out, chart = tmp_path / f"{name}.json", tmp_path / f"{name}.png"
        ran = CliRunner().invoke(app, ["--seed", "3", "--out", str(out), "--chart", str(chart)])
        assert ran.exit_code == 0, ran.output
        assert "simulated" in ran.output
        assert chart.stat().st_size > 10_000
        texts.append(out.read_text())
    assert texts[0] == texts[1]
