"""What probabilities are worth: confusion, precision and recall by class, calibration, how to mix several."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

BINS = 15
ROUNDS = 5_000
PRECISE = 1e-6
"""Nats of log-loss within which fitted weights are the best ones."""
COLDEST, HOTTEST = 0.05, 20.0
"""Between these a temperature is sought; where no error pulls back, the fit ends beside one of them."""


def confusion(read: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was read as each: int64 (classes, classes), a row a true class.

    read, labels: int64, of one shape; every position of every picture counts.
    """
    pairs = np.bincount((labels * classes + read).ravel(), minlength=classes * classes)
    return pairs.reshape(classes, classes)


def by_class(matrix: np.ndarray) -> list[dict[str, Any]]:
    """Scores of each class of a confusion matrix.

    Returns:
        {"class", "precision", "recall", "f1", "support" (true ones), "read"} a class. None stands where a
        share is of nothing: precision of a class never read, recall of one that never occurs, F1 of both.
    """
    support, read, hits = matrix.sum(1).tolist(), matrix.sum(0).tolist(), matrix.diagonal().tolist()
    return [
        {
            "class": k,
            "precision": _share(hits[k], read[k]),
            "recall": _share(hits[k], support[k]),
            "f1": _share(2 * hits[k], read[k] + support[k]),
            "support": support[k],
            "read": read[k],
        }
        for k in range(len(matrix))
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def is_right(read: np.ndarray, labels: np.ndarray, blank: int) -> np.ndarray:
    """Whether a reading is the label as a string: bool (N,). Blanks are left out, wherever they stand.

    read, labels: int64 (N, L).
    """
    return (_closed_up(read, blank) == _closed_up(labels, blank)).all(1)


def _closed_up(classes: np.ndarray, blank: int) -> np.ndarray:
    """The digits in their order, then the blanks."""
    return np.take_along_axis(classes, np.argsort(classes == blank, axis=1, kind="stable"), axis=1)


# ----------------------------------------------------------------------------- calibration


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """How sure a reading of (N, L, K) is: the product over its positions of the largest, float64 (N,)."""
    return probabilities.max(-1).astype(np.float64).prod(-1)


def reliability(confidences: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    """What share of the readings is right among those that are about equally sure.

    Args:
        confidences: float (N,) in [0, 1]. A bin holds low < confidence <= high; the first holds 0, too.
        right: bool (N,).

    Returns:
        {"low", "high", "count", "confidence" (mean), "accuracy"} for each of `BINS` bins of equal width;
        the last two are None where a bin is empty.
    """
    edges = np.arange(BINS + 1) / BINS
    places = np.searchsorted(edges[1:-1], confidences)
    counts = np.bincount(places, minlength=BINS).tolist()
    sure = np.bincount(places, confidences, BINS).tolist()
    hits = np.bincount(places, right, BINS).tolist()
    return [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "count": count,
            "confidence": sure[i] / count if count else None,
            "accuracy": hits[i] / count if count else None,
        }
        for i, count in enumerate(counts)
    ]


def calibration_error(bins: list[dict[str, Any]]) -> float:
    """Mean over readings of their bin's |accuracy - confidence|, the ECE of Guo et al. (2017)."""
    held = [one for one in bins if one["count"]]
    gaps = [one["count"] * abs(one["accuracy"] - one["confidence"]) for one in held]
    return sum(gaps) / sum(one["count"] for one in held)


def reshaped(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / temperature) over the last axis, float64; above 1 it is less sure (Guo et al. 2017)."""
    return np.exp(_log_reshaped(_logs(probabilities), temperature))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature whose `reshaped` has the least mean negative log-likelihood over all positions.

    probabilities: float (N, L, K). labels: int64 (N, L). It lies between `COLDEST` and `HOTTEST`.
    """
    logs = _logs(probabilities)

    def loss(log_temperature: float) -> float:
        likely = _log_reshaped(logs, float(np.exp(log_temperature)))
        return -float(np.take_along_axis(likely, labels[..., None], axis=-1).mean())

    found = minimize_scalar(
        loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-5}
    )
    return float(np.exp(found.x))


def _logs(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms; a 0, which only stands for what float32 cannot tell from it, is its smallest number."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def _log_reshaped(logs: np.ndarray, temperature: float) -> np.ndarray:
    scaled = (logs - logs.max(-1, keepdims=True)) / temperature  # the largest is 0, so the sum is not
    return scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))


# ----------------------------------------------------------------------------- mixing


def fit_weights(likely: np.ndarray) -> np.ndarray:
    """Convex weights of M models whose mixture has the least mean negative log-likelihood: float64 (M,).

    Expectation maximisation of the proportions of a mixture (Dempster, Laird & Rubin 1977), from equal ones;
    no round raises the loss. By Jensen's inequality the loss is at most log(max gain) above the lowest, so it
    ends where that is below `PRECISE`; after `ROUNDS` the loss is within log(M) / ROUNDS of it at worst.

    likely: float (N, M), the probability that each model gave to what was true.
    """
    likely = np.maximum(likely.astype(np.float64), np.finfo(np.float32).tiny)
    weights = np.full(likely.shape[1], 1 / likely.shape[1])
    for _ in range(ROUNDS):
        gain = (likely / (likely @ weights)[:, None]).mean(0)
        if np.log(gain.max()) < PRECISE:
            break
        weights = weights * gain
    return weights
