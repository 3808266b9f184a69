"""Pictures unlike the others, by their coarse look."""

from __future__ import annotations

import numpy as np

from svhncli.analysis.inspect.duplicates import resized

SIDE = 8
"""Pixels of the side of what is compared: the coarse look, not which digit it is."""
KEPT = 0.9
"""Share of the pictures, the nearest ones, by which the measure is taken again, so that outliers do not set
it."""
ROUNDS = 3
EXAMPLES = 10
"""Pictures for each principal component, at least: with fewer, those that set the measure seem too near."""
SHARE = 0.95
"""Of the variance that the principal components hold; the rest counts as noise of one variance."""
LEAST = 50
"""Fewer pictures than this have no shape that one could be outside of."""


def looks(images: np.ndarray) -> np.ndarray:
    """Pictures uint8 (N, C, H, W) as SIDE x SIDE colours: float32 (N, C * SIDE * SIDE)."""
    return resized(images.astype(np.float32), SIDE).reshape(len(images), -1)


def deviations(features: np.ndarray) -> np.ndarray:
    """How far each row of float (N, D) is from the others: float64 (N,), in robust standard deviations.

    The Mahalanobis distance by a covariance of few principal components and one variance for all other
    directions (probabilistic PCA: Tipping & Bishop 1999), measured over the nearest `KEPT` of the rows, for
    each half of them over the other half. Its logarithm, which is about normal, less the median, over 1.4826
    times the median absolute deviation. Zeros where there are fewer than `LEAST`
    different rows.
    """
    _, first, which = np.unique(features, axis=0, return_index=True, return_inverse=True)
    found = np.zeros(len(features))
    own = np.sort(first)  # of equal rows the first one sets the measure
    found[own] = _deviations(features[own])
    return found[first][which.ravel()]


def _deviations(features: np.ndarray) -> np.ndarray:
    if len(features) < LEAST:
        return np.zeros(len(features))
    middle = np.median(features, 0)
    spread = np.median(np.abs(features - middle), 0)
    # the first distance knows no covariance: that of all rows is drawn towards the outliers, and hides them
    distance = np.square((features - middle) / np.maximum(spread, 1)).sum(1)
    half = np.arange(len(features)) % 2 == 0
    for _ in range(ROUNDS):
        kept = distance <= np.quantile(distance, KEPT)
        # rows seem nearer to a measure that they have set themselves
        for one, other in ((half, ~half), (~half, half)):
            distance[one] = _distance(features[one], features[kept & other])
    logs = np.log(np.maximum(distance, 1e-12))
    deviation = 1.4826 * np.median(np.abs(logs - np.median(logs)))
    return (logs - np.median(logs)) / max(deviation, 1e-12)


def _distance(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The Mahalanobis distance of rows from the mean of others, by the others' covariance."""
    centre = others.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(others.T.astype(np.float64)))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    held = np.cumsum(values) / max(values.sum(), 1e-12)
    count = min(int(np.searchsorted(held, SHARE)) + 1, len(others) // EXAMPLES, len(values) - 1)
    noise = max(float(values[count:].mean()), 1e-6)
    away = features - centre
    parts = away @ vectors[:, :count]
    rest = np.maximum((away**2).sum(1) - (parts**2).sum(1), 0)
    return np.sqrt((parts**2 / np.maximum(values[:count], noise)).sum(1) + rest / noise)
