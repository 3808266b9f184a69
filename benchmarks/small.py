"""Rendered digits as 128 features each, and classifiers that train on them in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from svhncli.data.sources import synth
from svhncli.data.split import Fold
from svhncli.data.store.cache import Cache, default_root

CELL, DIRECTIONS = 8, 8


@dataclass(frozen=True)
class Samples:
    """features: float32 (N, 128); labels, groups: int64 (N,)"""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Samples:
        return Samples(self.features[rows], self.labels[rows], self.groups[rows])


Classifier = Callable[[Samples, np.ndarray], np.ndarray]
"""Takes training samples and the features of others; returns the predicted labels of the others."""


def edge_histograms(images: np.ndarray) -> np.ndarray:
    """The strength of edges in 8 directions for each 8x8 cell of images uint8 (N, 3, 32, 32).

    Like HOG (Dalal & Triggs 2005), but without blocks and with unsigned gradients.
    """
    down, right = np.gradient(images.mean(1, dtype=np.float32), axis=(1, 2))
    strength = np.hypot(down, right)
    direction = np.floor(np.arctan2(down, right) / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    maps = np.stack([np.where(direction == number, strength, 0) for number in range(DIRECTIONS)], axis=1)
    cells = maps.reshape(len(images), DIRECTIONS, 32 // CELL, CELL, 32 // CELL, CELL)
    sums = cells.sum((3, 5)).reshape(len(images), -1)
    return np.sqrt(sums / (sums.sum(1, keepdims=True) + 1))


def rendered_digits(count: int = 60_000, n_held_out: int = 40_000) -> tuple[Samples, Samples]:
    """A pool of digits to draw from, and at least `n_held_out` others; no house number is in both."""
    train = synth.load(n_train=count, n_test=0, seed=0, size=32, cache=Cache(default_root())).train
    starts = range(0, count, 2000)
    features = [edge_histograms(np.asarray(train.images[start : start + 2000])) for start in starts]
    samples = Samples(np.concatenate(features), train.labels[:, 0], train.groups)
    held_out = train.groups <= train.groups[n_held_out]
    return samples[~held_out], samples[held_out]


def nearest(train: Samples, features: np.ndarray) -> np.ndarray:
    """Labels of the nearest neighbors: a classifier that memorizes its training images."""
    distance = (train.features**2).sum(1) - 2 * features @ train.features.T
    return train.labels[distance.argmin(1)]


def ridge(train: Samples, features: np.ndarray) -> np.ndarray:
    """Labels from one-vs-rest ridge regression: a classifier that does not memorize its training images."""
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier().fit(train.features, train.labels).predict(features)


def is_correct(classify: Classifier, samples: Samples, fold: Fold) -> np.ndarray:
    """Whether each validation label of a fold is predicted correctly, bool (n_val,)."""
    return classify(samples[fold.train], samples.features[fold.val]) == samples.labels[fold.val]


def mean_sizes(folds: Sequence[Fold]) -> tuple[float, float]:
    """The mean number of training and of validation images per fold."""
    return float(np.mean([len(fold.train) for fold in folds])), float(
        np.mean([len(fold.val) for fold in folds])
    )
