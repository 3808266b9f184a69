"""What predictions are worth, class by class and by their confidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from svhncli.core.labels import BLANK
from svhncli.stats.intervals import wilson
from svhncli.stats.scores import by_class, confidence, confusion, is_right, reliability


@dataclass(frozen=True)
class Judged:
    """right: bool (N,), whether a picture was read right as a whole.
    matrix: counts int64 (K, K), a row a true class.
    classes: see `scores.by_class`, with 95% Wilson intervals.
    bins: see `scores.reliability`.
    """

    right: np.ndarray
    matrix: np.ndarray
    classes: list[dict[str, Any]]
    bins: list[dict[str, Any]]

    @property
    def wrong(self) -> int:
        """How many pictures were not read right."""
        return int((~self.right).sum())


def judged(labels: np.ndarray, probabilities: np.ndarray) -> Judged:
    """labels: int64 (N, L). probabilities: float (N, L, K) of the same pictures."""
    read = probabilities.argmax(-1)
    right = is_right(read, labels, BLANK)
    matrix = confusion(read, labels, probabilities.shape[-1])
    return Judged(right, matrix, _classes(matrix), reliability(confidence(probabilities), right))


def _classes(matrix: np.ndarray) -> list[dict[str, Any]]:
    def interval(hits: int, n: int) -> dict[str, Any] | None:
        return asdict(wilson(hits, n)) if n else None

    return [
        {
            **scores,
            "precision_interval": interval(hits, scores["read"]),
            "recall_interval": interval(hits, scores["support"]),
        }
        for scores, hits in zip(by_class(matrix), matrix.diagonal().tolist(), strict=True)
    ]
