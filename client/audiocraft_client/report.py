"""How the command line shows a result: `…_facts` for --json, `…_line` and `…_table` for people."""

from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from audiocraft_client._contract import DISCRIMINATORS
from audiocraft_client.results import Analysis, Audio, Codes, Health


def audio_facts(audio: Audio, path: Path) -> dict[str, Any]:
    return {
        "output": str(path),
        "duration": audio.duration,
        "sample_rate": audio.sample_rate,
        "channels": audio.waveform.shape[0],
        "seed": audio.seed,
    }


def audio_line(audio: Audio, path: Path) -> str:
    seed = "" if audio.seed is None else f", seed {audio.seed}"
    return f"{path}: {audio.duration:.2f} s, {audio.sample_rate} Hz{seed}"


def codes_facts(codes: Codes, path: Path) -> dict[str, Any]:
    return {
        "output": str(path),
        "codebooks": codes.codes.shape[0],
        "frames": codes.codes.shape[1],
        "sample_rate": codes.sample_rate,
        "duration": codes.duration,
    }


def codes_line(codes: Codes, path: Path) -> str:
    codebooks, frames = codes.codes.shape
    return f"{path}: {codebooks} codebooks × {frames} frames, {codes.duration:.2f} s"


def analysis_facts(analysis: Analysis) -> dict[str, Any]:
    return {
        "mpd_score": analysis.mpd_score,
        "msd_score": analysis.msd_score,
        "msstftd_score": analysis.msstftd_score,
        "realness": analysis.realness,
        "is_real": analysis.is_real,
        "calibrated": analysis.calibrated,
        "window_scores": analysis.window_scores.tolist(),
        "window_seconds": analysis.window_seconds,
    }


def analysis_table(analysis: Analysis) -> Group:
    windows = f"lowest of {len(analysis.window_scores)} × {analysis.window_seconds:g} s"
    table = Table("discriminator")
    for heading in ("score", windows, "highest"):
        table.add_column(heading, justify="right")
    scores = (analysis.mpd_score, analysis.msd_score, analysis.msstftd_score)
    for name, score, column in zip(DISCRIMINATORS, scores, analysis.window_scores.T, strict=True):
        table.add_row(name, f"{score:.3f}", f"{column.min():.3f}", f"{column.max():.3f}")
    verdict = f"realness {analysis.realness:.3f}: {'real' if analysis.is_real else 'generated'}"
    if not analysis.calibrated:
        verdict += "\nThe discriminators are not calibrated: this verdict means nothing yet."
    return Group(table, verdict)


def health_table(state: Health, server: str) -> Table:
    table = Table("model", "ready", title=f"{server}: {state.status} (Triton {state.version})")
    for name, ready in state.models.items():
        table.add_row(name, "yes" if ready else "no")
    return table


def health_facts(state: Health) -> dict[str, Any]:
    return {
        "status": state.status,
        "version": state.version,
        "reason": state.reason,
        "models": dict(state.models),
        "discriminators": state.discriminators,
    }
