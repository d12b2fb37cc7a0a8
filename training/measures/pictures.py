"""Draws the measures as a few small PNGs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from training.measures.codec import Coded
from training.measures.signal import Mono

SECONDS = 5.0
FLOOR_DB, CEILING_DB = -80.0, 0.0
SPECTROGRAM_COLUMNS = 260
COLORS = 48
_BLUE, _GREEN, _RED = "#0072B2", "#009E73", "#D55E00"  # distinct for colour-blind readers (Okabe and Ito)


def draw_spectrograms(path: Path, coded: Coded, clip: int, title: str) -> None:
    """Writes spectrograms of one clip: the source, then each system's output."""
    figure = _figure(10, 5.2, title)
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flatten()
    versions = {"source": coded.source[clip], **{name: outputs[clip] for name, outputs in coded.outputs.items()}}
    for axes, (name, waveform) in zip(panels, versions.items(), strict=True):
        bits = coded.bits_per_second.get(name)
        axes.set_title(name if bits is None else f"{name}, {bits / 1000:g} kbit/s", fontsize=9)
        axes.imshow(
            _levels(waveform, coded.sample_rate), origin="lower", aspect="auto", cmap="magma", vmin=FLOOR_DB,
            vmax=CEILING_DB, extent=(0, SECONDS, 0, coded.sample_rate / 2000),
        )  # fmt: skip
    for axes in panels[2:]:
        axes.set_xlabel("seconds")
    for axes in panels[::2]:
        axes.set_ylabel("kHz")
    _save(figure, path)


def draw_prompts(path: Path, prompts: Sequence[Mapping[str, Any]]) -> None:
    """Writes bar charts of onset rate and percussive share by prompt."""
    figure = _figure(10, 4.2, "generated music, mean of each prompt's clips")
    left, right = figure.subplots(1, 2, sharey=True)
    places = range(len(prompts))
    names = [str(prompt["text"]) for prompt in prompts]
    fast = [_GREEN if prompt["tempo"] == "fast" else _BLUE for prompt in prompts]
    drums = [_RED if prompt["drums"] else _BLUE for prompt in prompts]
    left.barh(places, [prompt["onset_rate"] for prompt in prompts], color=fast)
    right.barh(places, [prompt["percussive"] for prompt in prompts], color=drums)
    left.set(yticks=list(places), yticklabels=names, xlabel="onsets per second", title="green: asked fast")
    right.set(xlabel="percussive share of the energy", title="orange: asked with drums")
    left.invert_yaxis()
    for axes in (left, right):
        axes.tick_params(labelsize=8)
        axes.title.set_fontsize(9)
    _save(figure, path)


def draw_reliability(
    path: Path, reliability: Sequence[Mapping[str, float]], realness: Mapping[str, Sequence[float]]
) -> None:
    """Writes the reliability diagram, and every clip's realness by the clip's origin."""
    figure = _figure(10, 3.8, "discriminators")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    left.plot([row["score"] for row in reliability], [row["real"] for row in reliability], "o-", color=_BLUE)
    left.set(xlabel="realness", ylabel="share of real clips", xlim=(0, 1), ylim=(-0.03, 1.03))
    for place, values in enumerate(realness.values()):
        right.plot(values, np.linspace(place - 0.25, place + 0.25, len(values)), ".", color=_BLUE, alpha=0.6)
    right.set(xlabel="realness", xlim=(0, 1), yticks=list(range(len(realness))), yticklabels=list(realness))
    right.invert_yaxis()
    _save(figure, path)


def _figure(width: float, height: float, title: str) -> Figure:
    matplotlib.use("Agg")
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def _levels(waveform: Mono, sample_rate: int) -> Any:
    """Returns the spectrogram in dB relative to the loudest bin, [bins, columns]."""
    samples = int(SECONDS * sample_rate)
    clip = torch.from_numpy(np.resize(waveform, samples) if len(waveform) < samples else waveform[:samples])
    spectrum = torch.stft(
        clip, 1024, samples // SPECTROGRAM_COLUMNS, window=torch.hann_window(1024), return_complex=True
    ).abs()
    spectrum = torch.nn.functional.avg_pool1d(spectrum.T[None], 3)[0].T  # one row per row of the picture
    return (20 * torch.log10(spectrum / spectrum.max().clamp(min=1e-9) + 1e-9)).numpy()


def _save(figure: Figure, path: Path) -> None:
    """Saves a figure with a palette, which takes a third of the bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90)
    picture.seek(0)
    colors = Image.open(picture).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    colors.save(path, format="PNG", optimize=True)
