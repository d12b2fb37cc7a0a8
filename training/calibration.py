"""Calibrates discriminator logits into probabilities, and measures calibration and separation.

`analyze` reports `realness`, the mean of three discriminators' probabilities over all windows of a clip. A mean of
probabilities that are each calibrated is under-confident (R. Ranjan and T. Gneiting, "Combining probability
forecasts", 2010), so the six numbers are fitted together, to the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from audiocraft_triton.contract.errors import InvalidRequest
from audiocraft_triton.contract.models import DISCRIMINATORS
from audiocraft_triton.scoring.realness import Calibration

PRIOR = 1.0  # weighs about one clip: discriminators agree so much that many choices of the six numbers fit equally well
FIT_ITERATIONS = 300

ClipLogits = Mapping[str, NDArray[np.float32]]
"""One clip as `audiocraft_triton.scoring.realness.judge` takes it: per discriminator float32 [windows, parts]."""


def fit_calibration(
    clips: Sequence[ClipLogits], labels: ArrayLike, weights: ArrayLike | None = None
) -> dict[str, Calibration]:
    """Fits the scale and bias of all discriminators together, by the likelihood of the clips' realness.

    This is Platt scaling (J. Platt, "Probabilistic outputs for support vector machines", 1999) with his smoothed
    targets, applied to the reported mean. Scales stay positive: a higher logit always means more real.

    Args:
        clips: logits of each clip.
        labels: 1 where the clip is real, else 0.
        weights: number of clips that each one counts for; None: one each.

    Returns:
        The calibration of each discriminator.

    Raises:
        InvalidRequest: the number of labels differs, or all labels are of one kind.
    """
    truth = _both_kinds(labels, len(clips))
    weight = _weights(weights, len(clips))
    means = np.concatenate([_window_means(clip) for clip in clips])
    owners = np.repeat(np.arange(len(clips)), [len(clip[DISCRIMINATORS[0]]) for clip in clips])
    center, spread = means.mean(axis=0), means.std(axis=0) + 1e-6
    log_scale, bias = _fit((means - center) / spread, owners, _smoothed(truth, weight), weight)
    scale = np.exp(log_scale) / spread
    return {
        name: Calibration(float(scale[index]), float(bias[index] - scale[index] * center[index]))
        for index, name in enumerate(DISCRIMINATORS)
    }


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, bins: int = 10
) -> float:
    """Measures how far probabilities are from frequencies: Σ over bins of n_bin / n · |mean probability - real share|.

    (C. Guo et al., "On calibration of modern neural networks", ICML 2017, eq. 3, for the probability of "real".)

    Args:
        probabilities: [clips], 0 … 1.
        labels: [clips], 1 where the clip is real, else 0.
        weights: [clips], number of clips that each one counts for; None: one each.
        bins: number of bins of equal width.

    Raises:
        InvalidRequest: a probability is out of bounds, or the number of labels differs.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    truth = _labels(labels, len(given))
    if not ((given >= 0.0) & (given <= 1.0)).all():
        raise InvalidRequest("probabilities", [float(given.min()), float(given.max())], "must be between 0 and 1")
    bin_of = np.minimum((given * bins).astype(np.int64), bins - 1)
    weight = _weights(weights, len(given))
    surplus = np.bincount(bin_of, weights=weight * (given - truth), minlength=bins)
    return float(np.abs(surplus).sum() / weight.sum())


def roc_auc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Computes the area under the ROC curve: the chance that a real clip scores above a fake one, ties counting half.

    (J. Hanley and B. McNeil, Radiology 143, 1982: equal to the Mann-Whitney statistic.)

    Args:
        scores: [clips], any numbers; higher means more real.
        labels: [clips], 1 where the clip is real, else 0.
        weights: [clips], number of clips that each one counts for; None: one each.

    Raises:
        InvalidRequest: the number of labels differs, or all labels are of one kind.
    """
    given = np.asarray(scores, dtype=np.float64)
    truth = _both_kinds(labels, len(given))
    weight = _weights(weights, len(given))
    real, fake = given[truth == 1], given[truth == 0]
    order = np.argsort(fake)
    weight_up_to = np.concatenate([[0.0], np.cumsum(weight[truth == 0][order])])
    fake = fake[order]
    below = (weight_up_to[np.searchsorted(fake, real, side=side)] for side in ("left", "right"))
    return float(np.average(sum(below), weights=weight[truth == 1]) / (2 * weight_up_to[-1]))


def _window_means(clip: ClipLogits) -> NDArray[np.float64]:
    """Returns each discriminator's mean logit per window, [windows, discriminators]."""
    means: NDArray[np.float64] = np.stack(
        [clip[name].mean(axis=1, dtype=np.float64) for name in DISCRIMINATORS], axis=1
    )
    return means


def _smoothed(truth: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns Platt's targets: Laplace's rule of succession applied to the weights of real and fake clips."""
    real, fake = (float(weight[truth == kind].sum()) for kind in (1, 0))
    targets: NDArray[np.float64] = np.where(truth == 1, (real + 1) / (real + 2), 1 / (fake + 2))
    return targets


def _fit(
    logits: NDArray[np.float64], owners: NDArray[np.int64], targets: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns log scales and biases, [discriminators] each, for standardized logits [windows, discriminators]."""
    inputs, wanted, owner = torch.from_numpy(logits), torch.from_numpy(targets), torch.from_numpy(owners)
    weights = torch.from_numpy(weight)
    windows = torch.bincount(owner, minlength=len(wanted))
    log_scale = torch.zeros(inputs.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(inputs.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale, bias], max_iter=FIT_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        scores = torch.sigmoid(inputs * log_scale.exp() + bias).mean(dim=1)
        realness = torch.zeros_like(wanted).index_add(0, owner, scores) / windows
        likelihood = torch.nn.functional.binary_cross_entropy(
            realness.clamp(1e-9, 1 - 1e-9), wanted, weights, reduction="sum"
        )
        value = likelihood + PRIOR * (log_scale.square().sum() + bias.square().sum())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return log_scale.detach().numpy(), bias.detach().numpy()


def _labels(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    truth = np.asarray(labels, dtype=np.int64)
    if truth.shape != (count,) or count == 0:
        raise InvalidRequest("labels", truth.shape, f"must be one for each of the {count} clips, and at least one")
    if not np.isin(truth, (0, 1)).all():
        raise InvalidRequest("labels", sorted(set(truth.tolist())), "must be 0 or 1")
    return truth


def _weights(weights: ArrayLike | None, count: int) -> NDArray[np.float64]:
    given = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape != (count,) or not (given > 0).all():
        raise InvalidRequest("weights", given.shape, f"must be above 0, one for each of the {count} clips")
    return given


def _both_kinds(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    truth = _labels(labels, count)
    if len(set(truth.tolist())) < 2:
        raise InvalidRequest("labels", int(truth[0]), "must contain both kinds, real (1) and fake (0)")
    return truth
