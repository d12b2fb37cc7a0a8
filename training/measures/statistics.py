"""Statistics for the measures: a rank test, a permutation test, a linear classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from audiocraft_triton.contract.errors import InvalidRequest

RIDGE = 0.01
NEWTON_STEPS = 200
PERMUTATIONS = 2000


@dataclass(frozen=True, slots=True)
class RankTest:
    """The result of `mann_whitney`.

    Attributes:
        statistic: U of the first sample: the number of pairs in which its value is larger, ties counting half.
        auc: U as a share of all pairs: the probability that a value of the first is larger than one of the second.
        p: one-sided: the probability of this U or a larger one if both samples come from one distribution.
    """

    statistic: float
    auc: float
    p: float


def mann_whitney(larger: Sequence[float], smaller: Sequence[float]) -> RankTest:
    """Tests whether the first sample tends to larger values.

    This is the test of H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
    stochastically larger than the other", Ann. Math. Statist. 18 (1947), by normal approximation with continuity and
    tie corrections.

    Raises:
        InvalidRequest: a sample is empty.
    """
    first, second = np.asarray(larger, dtype=np.float64), np.asarray(smaller, dtype=np.float64)
    if not len(first) or not len(second):
        raise InvalidRequest("samples", (len(first), len(second)), "must both have at least one value")
    pairs = len(first) * len(second)
    difference = first[:, None] - second[None, :]
    statistic = float((difference > 0).sum() + 0.5 * (difference == 0).sum())
    total = len(first) + len(second)
    _, counts = np.unique(np.concatenate([first, second]), return_counts=True)
    ties = float((counts.astype(np.float64) ** 3 - counts).sum()) / (total * (total - 1))
    deviation = math.sqrt(pairs / 12 * (total + 1 - ties))
    z = (statistic - pairs / 2 - 0.5) / deviation if deviation else 0.0
    return RankTest(statistic, statistic / pairs, 0.5 * math.erfc(z / math.sqrt(2)))


def permutation_p(scores: NDArray[np.float64], asked: Sequence[int], seed: int) -> float:
    """Tests whether clips score higher on their own prompt's choice than on other prompts' choices.

    The test compares the mean of `scores[i, asked[i]]` with its mean for shuffled `asked`
    (P. Good, "Permutation Tests", 1994).

    Args:
        scores: [clips, choices].
        asked: index of each clip's choice.
        seed: for the shuffles.

    Returns:
        One-sided p, at least 1 / (1 + 2000).
    """
    rows = np.arange(len(asked))
    chosen = np.asarray(asked)
    observed = scores[rows, chosen].mean()
    draw = np.random.Generator(np.random.PCG64(seed))
    shuffled = [scores[rows, draw.permutation(chosen)].mean() for _ in range(PERMUTATIONS)]
    return (1 + int(np.sum(np.asarray(shuffled) >= observed - 1e-12))) / (1 + PERMUTATIONS)


class LogisticRegression:
    """Multinomial logistic regression on standardized features with a small ridge penalty, fitted to the optimum."""

    def __init__(self, features: NDArray[np.float32], labels: Sequence[str]) -> None:
        """Fits the regression.

        Args:
            features: float32 [examples, features].
            labels: one label per example.

        Raises:
            InvalidRequest: fewer than two different labels.
        """
        self.names = sorted(set(labels))
        if len(self.names) < 2:
            raise InvalidRequest("labels", self.names, "must be of at least two kinds")
        self._mean = features.mean(axis=0)
        self._deviation = features.std(axis=0) + 1e-6
        inputs = self._standardized(features)
        targets = torch.tensor([self.names.index(label) for label in labels])
        self._weights = torch.zeros(inputs.shape[1], len(self.names), requires_grad=True)
        self._biases = torch.zeros(len(self.names), requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [self._weights, self._biases], max_iter=NEWTON_STEPS, line_search_fn="strong_wolfe"
        )

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(inputs @ self._weights + self._biases, targets)
            value = value + RIDGE * self._weights.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]

    def predict(self, features: NDArray[np.float32]) -> list[str]:
        """Returns the likeliest label of each row."""
        with torch.no_grad():
            logits = self._standardized(features) @ self._weights + self._biases
        return [self.names[index] for index in logits.argmax(dim=1).tolist()]

    def _standardized(self, features: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(((features - self._mean) / self._deviation).astype(np.float32))


def confusion(truth: Sequence[str], said: Sequence[str]) -> dict[str, dict[str, int]]:
    """Counts how often each true label (outer) was predicted as each label (inner)."""
    names = sorted(set(truth) | set(said))
    return {
        name: {other: sum(t == name and s == other for t, s in zip(truth, said, strict=True)) for other in names}
        for name in names
    }


def accuracy(truth: Sequence[str], said: Sequence[str]) -> float:
    """Returns the share of correct predictions."""
    return float(np.mean([t == s for t, s in zip(truth, said, strict=True)]))
