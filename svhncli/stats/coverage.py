"""Coverage: the share of predictions that a threshold of the confidence accepts, and their accuracy.

A system that may reject images is judged by its coverage at a stated accuracy (Goodfellow et al. 2014,
Multi-digit Number Recognition from Street View Imagery).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svhncli.stats.intervals import Interval, wilson
from svhncli.stats.scores import TemperatureFit

TARGET = 0.98
"""The accuracy at which Goodfellow et al. report coverage: that of people who transcribe house numbers."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What a threshold accepts of n predictions: those with at least this confidence.

    coverage: the share that is accepted. accuracy: the share of the accepted that is correct; None where
    nothing is accepted. The intervals are 95% Wilson intervals.
    """

    threshold: float
    n: int
    accepted: int
    coverage: float
    coverage_interval: Interval
    accuracy: float | None
    accuracy_interval: Interval | None


@dataclass(frozen=True)
class ThresholdFit:
    """A threshold that was fitted on validation predictions, or why none was."""

    threshold: float | None
    not_fitted: str | None


@dataclass(frozen=True)
class Fitted:
    """What was fitted on a network's validation predictions."""

    temperature: TemperatureFit
    threshold: ThresholdFit


@dataclass(frozen=True, kw_only=True)
class CoverageScore:
    """Coverage of a part at the target accuracy.

    best: with the threshold that suits this part best; None where no threshold reaches the accuracy.
    val_threshold: with the threshold that suits the validation part best; None where none was fitted.
    """

    target_accuracy: float
    best: Accepted | None
    val_threshold: Accepted | None
    not_fitted: str | None


def as_written(confidences: np.ndarray) -> np.ndarray:
    """With 6 significant digits: a file of predictions, which has as many, tells what is accepted."""
    return np.array([float(f"{confidence:.6g}") for confidence in confidences.tolist()])


def accepted(confidences: np.ndarray, right: np.ndarray, threshold: float) -> Accepted:
    """What a threshold accepts.

    confidences: float (N,). right: bool (N,), whether each prediction is correct.

    Raises:
        ValueError: there are no predictions.
    """
    chosen = confidences >= threshold
    n, count, hits = len(chosen), int(chosen.sum()), int(right[chosen].sum())
    return Accepted(
        threshold=threshold,
        n=n,
        accepted=count,
        coverage=count / n,
        coverage_interval=wilson(count, n),
        accuracy=hits / count if count else None,
        accuracy_interval=wilson(hits, count) if count else None,
    )


def at_accuracy(confidences: np.ndarray, right: np.ndarray, accuracy: float) -> Accepted | None:
    """The largest set of accepted predictions of at least this accuracy; None where there is none.

    The threshold is the lowest confidence in it. Predictions of equal confidence are accepted or rejected
    together. The accuracy may be lower at higher thresholds: only that of the whole set counts.
    """
    thresholds, accuracies = _curve(confidences, right)
    reached = np.flatnonzero(accuracies >= accuracy)
    return accepted(confidences, right, float(thresholds[reached[-1]])) if len(reached) else None


def most_accurate(confidences: np.ndarray, right: np.ndarray) -> Accepted:
    """The accepted predictions of the highest accuracy that a threshold reaches; of several such sets the
    largest."""
    highest = at_accuracy(confidences, right, float(_curve(confidences, right)[1].max()))
    assert highest is not None
    return highest


def coverage_score(confidences: np.ndarray, right: np.ndarray, fit: ThresholdFit) -> CoverageScore:
    """Coverage at `TARGET`, and what the fitted threshold gives."""
    by_val = None if fit.threshold is None else accepted(confidences, right, fit.threshold)
    best = at_accuracy(confidences, right, TARGET)
    return CoverageScore(target_accuracy=TARGET, best=best, val_threshold=by_val, not_fitted=fit.not_fitted)


def _curve(confidences: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every confidence that occurs, the highest first, and the accuracy of what it accepts as a threshold.

    No threshold accepts a NaN.
    """
    order = np.argsort(-confidences, kind="stable")[: np.isfinite(confidences).sum()]
    falling, hits = confidences[order], right[order].cumsum()
    ends = np.flatnonzero(np.diff(falling, append=-np.inf))
    return falling[ends], hits[ends] / (ends + 1)
