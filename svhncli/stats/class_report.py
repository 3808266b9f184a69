"""What predictions are worth, class by class and by their confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svhncli.core.labels import BLANK
from svhncli.stats.scores import Bin, ClassScore, by_class, confidence, confusion, is_right, reliability


@dataclass(frozen=True)
class ClassReport:
    """right: bool (N,), whether all of an image's label was predicted.
    matrix: counts int64 (K, K), a row for each true class.
    classes: with 95% Wilson intervals.
    """

    right: np.ndarray
    matrix: np.ndarray
    classes: list[ClassScore]
    bins: list[Bin]

    @property
    def wrong(self) -> int:
        """How many images were misclassified."""
        return int((~self.right).sum())


def class_report(labels: np.ndarray, probabilities: np.ndarray) -> ClassReport:
    """labels: int64 (N, L). probabilities: float (N, L, K) of the same images."""
    predicted = probabilities.argmax(-1)
    right = is_right(predicted, labels, BLANK)
    matrix = confusion(predicted, labels, probabilities.shape[-1])
    return ClassReport(right, matrix, by_class(matrix), reliability(confidence(probabilities), right))
