"""What probabilities are worth: confusion, precision and recall by class, calibration, mixture weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svhncli.core.plain import inlined, keyed
from svhncli.stats.intervals import Interval, wilson

BINS = 15
LEAST = 10
"""Predictions from which on the accuracy of a bin is worth a point in a figure."""
ROUNDS = 5_000
PRECISE = 1e-6
"""Nats of log-loss by which the fitted weights may miss the optimum."""
COLDEST, HOTTEST = 0.05, 20.0
"""The range of temperatures; where no error pulls back, the fit ends near one of its ends."""


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """Scores of one class.

    support: how often it is the label. read: how often it was predicted. None stands where a share is of
    nothing: precision of a class that was never predicted, recall of one that never occurs, F1 of both. The
    intervals are 95% Wilson intervals.
    """

    label: int = keyed("class")
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    read: int
    precision_interval: Interval | None
    recall_interval: Interval | None


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same confidence: low < confidence <= high; the first bin also holds 0.

    confidence, accuracy: their means over the bin, None where it is empty.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature and the file whose predictions it was fitted to, or why none was fitted."""

    temperature: float | None
    fitted_on: str | None
    not_fitted: str | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The expected calibration error and its bins, before a temperature and after it."""

    ece: float
    fit: TemperatureFit = inlined()
    ece_after: float | None
    bins: list[Bin]
    bins_after: list[Bin] | None


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was predicted for each label: int64 (classes, classes), a row for each true class.

    predicted, labels: int64, of one shape; every position of every image counts.
    """
    pairs = np.bincount((labels * classes + predicted).ravel(), minlength=classes * classes)
    return pairs.reshape(classes, classes)


def by_class(matrix: np.ndarray) -> list[ClassScore]:
    """Scores of each class of a confusion matrix."""
    support, predicted, hits = matrix.sum(1).tolist(), matrix.sum(0).tolist(), matrix.diagonal().tolist()
    return [
        ClassScore(
            label=k,
            precision=_share(hits[k], predicted[k]),
            recall=_share(hits[k], support[k]),
            f1=_share(2 * hits[k], predicted[k] + support[k]),
            support=support[k],
            read=predicted[k],
            precision_interval=wilson(hits[k], predicted[k]) if predicted[k] else None,
            recall_interval=wilson(hits[k], support[k]) if support[k] else None,
        )
        for k in range(len(matrix))
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def is_right(predicted: np.ndarray, labels: np.ndarray, blank: int) -> np.ndarray:
    """Whether a prediction spells the same string as the label: bool (N,). Blanks are left out, wherever they
    are.

    predicted, labels: int64 (N, L).
    """
    return (_closed_up(predicted, blank) == _closed_up(labels, blank)).all(1)


def _closed_up(classes: np.ndarray, blank: int) -> np.ndarray:
    """The digits in their order, then the blanks."""
    return np.take_along_axis(classes, np.argsort(classes == blank, axis=1, kind="stable"), axis=1)


# ----------------------------------------------------------------------------- calibration


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """Of probabilities (N, L, K) the product over the positions of the largest one: float64 (N,)."""
    return probabilities.max(-1).astype(np.float64).prod(-1)


def reliability(confidences: np.ndarray, right: np.ndarray) -> list[Bin]:
    """The accuracy of predictions of about the same confidence, in `BINS` bins of equal width.

    confidences: float (N,) in [0, 1]. right: bool (N,).
    """
    edges = np.arange(BINS + 1) / BINS
    places = np.searchsorted(edges[1:-1], confidences)
    counts = np.bincount(places, minlength=BINS).tolist()
    sums = np.bincount(places, confidences, BINS).tolist()
    hits = np.bincount(places, right, BINS).tolist()
    return [
        Bin(
            float(edges[i]),
            float(edges[i + 1]),
            count,
            sums[i] / count if count else None,
            hits[i] / count if count else None,
        )
        for i, count in enumerate(counts)
    ]


def filled(bins: Sequence[Bin]) -> list[tuple[float, float, Bin]]:
    """Confidence and accuracy of each bin that holds predictions, and the bin."""
    return [
        (row.confidence, row.accuracy, row)
        for row in bins
        if row.confidence is not None and row.accuracy is not None
    ]


@dataclass(frozen=True)
class Joined:
    """Neighboring bins as one point of a figure, with the Wilson interval of its accuracy."""

    count: int
    confidence: float
    accuracy: float
    interval: Interval


def joined(bins: Sequence[Bin], least: int = LEAST) -> list[Joined]:
    """Neighboring bins joined, from the lowest one on, until each point stands for `least` predictions.

    What remains at the end is joined to the last point, so that only a single point can stand for fewer. The
    calibration error is not computed from these.
    """
    groups: list[list[tuple[float, float, Bin]]] = []
    for held in filled(bins):
        if not groups or _count(groups[-1]) >= least:
            groups.append([])
        groups[-1].append(held)
    if len(groups) > 1 and _count(groups[-1]) < least:
        rest = groups.pop()
        groups[-1] += rest
    points = []
    for group in groups:
        count = _count(group)
        hits = round(sum(accuracy * row.count for _, accuracy, row in group))
        confidence = sum(sure * row.count for sure, _, row in group) / count
        points.append(Joined(count, confidence, hits / count, wilson(hits, count)))
    return points


def _count(group: Sequence[tuple[float, float, Bin]]) -> int:
    return sum(row.count for _, _, row in group)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Mean over predictions of their bin's |accuracy - confidence|, the ECE of Guo et al. (2017)."""
    gaps = [row.count * abs(accuracy - sure) for sure, accuracy, row in filled(bins)]
    return sum(gaps) / sum(row.count for row in bins)


def calibrate(
    bins: list[Bin], probabilities: np.ndarray, right: np.ndarray, fit: TemperatureFit
) -> Calibration:
    """How well confidence matches accuracy, as it is (`bins`) and after the temperature, where there is one.

    probabilities: float (N, L, K). right: bool (N,), whether each prediction of theirs is right.
    """
    after = None
    if fit.temperature is not None:
        after = reliability(confidence(reshaped(probabilities, fit.temperature)), right)
    return Calibration(
        ece=calibration_error(bins),
        fit=fit,
        ece_after=calibration_error(after) if after else None,
        bins=bins,
        bins_after=after,
    )


def reshaped(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / temperature) over the last axis, float64; above 1 it lowers the confidence (Guo et al.
    2017)."""
    return np.exp(_log_reshaped(_logs(probabilities), temperature))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature whose `reshaped` has the least mean negative log-likelihood over all positions.

    probabilities: float (N, L, K). labels: int64 (N, L). It lies between `COLDEST` and `HOTTEST`.
    """
    from scipy.optimize import minimize_scalar

    logs = _logs(probabilities)

    def loss(log_temperature: float) -> float:
        likely = _log_reshaped(logs, float(np.exp(log_temperature)))
        return -float(np.take_along_axis(likely, labels[..., None], axis=-1).mean())

    fitted = minimize_scalar(
        loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-5}
    )
    return float(np.exp(fitted.x))


def _logs(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms; a 0, which float32 gives for anything smaller, becomes its smallest number."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def _log_reshaped(logs: np.ndarray, temperature: float) -> np.ndarray:
    scaled = (logs - logs.max(-1, keepdims=True)) / temperature  # the largest is 0, so the sum is not
    return scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))


# ----------------------------------------------------------------------------- mixing


def fit_weights(likely: np.ndarray) -> np.ndarray:
    """Convex weights of M models whose mixture has the least mean negative log-likelihood: float64 (M,).

    Expectation maximization of the proportions of a mixture (Dempster, Laird & Rubin 1977), from equal ones;
    no round raises the loss. By Jensen's inequality the loss is at most log(max gain) above the lowest, so it
    ends once that is below `PRECISE`; after `ROUNDS` the loss is within log(M) / ROUNDS of it at worst.

    likely: float (N, M), the probability that each model gave to the label.
    """
    likely = np.maximum(likely.astype(np.float64), np.finfo(np.float32).tiny)
    weights = np.full(likely.shape[1], 1 / likely.shape[1])
    for _ in range(ROUNDS):
        gain = (likely / (likely @ weights)[:, None]).mean(0)
        if np.log(gain.max()) < PRECISE:
            break
        weights = weights * gain
    return weights
