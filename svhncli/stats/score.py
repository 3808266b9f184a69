"""How well a model does on a set of images: counts, loss and accuracy as one value."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.core.plain import optional
from svhncli.stats.intervals import Interval


@dataclass(frozen=True)
class LengthScore:
    """Accuracy on the numbers of one length."""

    n: int
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Score:
    """The result of one pass over n images.

    loss: mean cross-entropy per image. accuracy: share of images whose whole string is predicted correctly.
    digit_accuracy, length_accuracy, by_length: only for numbers of several positions: the share of true
    digits that are correct in their position, the share of images whose predicted length is correct, and the
    accuracy for each true length (the length as text, as in JSON).
    interval: 95% Wilson interval of the accuracy.
    """

    loss: float
    accuracy: float
    n: int
    digit_accuracy: float | None = optional()
    length_accuracy: float | None = optional()
    by_length: dict[str, LengthScore] | None = optional()
    interval: Interval
