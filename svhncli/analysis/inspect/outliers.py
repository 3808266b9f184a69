"""Images unlike the others, by their coarse appearance."""

from __future__ import annotations

import numpy as np

from svhncli.analysis.inspect.duplicates import resized

SIDE = 8
"""Side in pixels of the thumbnails that are compared: coarse appearance, not which digit it is."""
KEPT = 0.9
"""Share of the images, the nearest ones, on which the distance is fitted again, so that outliers do not
influence it."""
ROUNDS = 3
EXAMPLES = 10
"""The fewest images for each principal component: with fewer, those that the distance is fitted to seem too
near."""
SHARE = 0.95
"""Share of the variance that the principal components hold; the rest counts as isotropic noise."""
LEAST = 50
"""With fewer images than this there are no outliers."""


def looks(images: np.ndarray) -> np.ndarray:
    """Images uint8 (N, C, H, W) as SIDE x SIDE colors: float32 (N, C * SIDE * SIDE)."""
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
    deviation = np.zeros(len(features))
    own = np.sort(first)  # the distance is fitted to the first of equal rows
    deviation[own] = _deviations(features[own])
    return deviation[first][which.ravel()]


def _deviations(features: np.ndarray) -> np.ndarray:
    if len(features) < LEAST:
        return np.zeros(len(features))
    middle = np.median(features, 0)
    spread = np.median(np.abs(features - middle), 0)
    # the first distance uses no covariance: that of all rows is drawn toward the outliers, and hides them
    distance = np.square((features - middle) / np.maximum(spread, 1)).sum(1)
    half = np.arange(len(features)) % 2 == 0
    for _ in range(ROUNDS):
        kept = distance <= np.quantile(distance, KEPT)
        # rows seem nearer by a distance that was fitted to them
        for rows, others in ((half, ~half), (~half, half)):
            distance[rows] = _distance(features[rows], features[kept & others])
    logs = np.log(np.maximum(distance, 1e-12))
    deviation = 1.4826 * np.median(np.abs(logs - np.median(logs)))
    return (logs - np.median(logs)) / max(deviation, 1e-12)


def _distance(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The Mahalanobis distance of rows from the mean of others, by the others' covariance."""
    center = others.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(others.T.astype(np.float64)))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    held = np.cumsum(values) / max(values.sum(), 1e-12)
    count = min(int(np.searchsorted(held, SHARE)) + 1, len(others) // EXAMPLES, len(values) - 1)
    noise = max(float(values[count:].mean()), 1e-6)
    away = features - center
    parts = away @ vectors[:, :count]
    rest = np.maximum((away**2).sum(1) - (parts**2).sum(1), 0)
    return np.sqrt((parts**2 / np.maximum(values[:count], noise)).sum(1) + rest / noise)
