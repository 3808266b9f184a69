"""Rendered digits as 128 numbers each, and classifiers that train in milliseconds, for scripts beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svhncli.data.sources import synth
from svhncli.data.store.cache import Cache, default_root

CELL, TURNS = 8, 8


@dataclass(frozen=True)
class Small:
    """features: float32 (N, 128); labels, groups: int64 (N,)"""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Small:
        return Small(self.features[rows], self.labels[rows], self.groups[rows])


def gradients(images: np.ndarray) -> np.ndarray:
    """How much edge of each of 8 directions each 8x8 pixels of images uint8 (N, 3, 32, 32) hold.

    As HOG (Dalal & Triggs 2005), without blocks; the sign of an edge does not count.
    """
    down, right = np.gradient(images.mean(1, dtype=np.float32), axis=(1, 2))
    size = np.hypot(down, right)
    turn = np.floor(np.arctan2(down, right) / np.pi * TURNS).astype(int) % TURNS
    cells = np.stack([np.where(turn == each, size, 0) for each in range(TURNS)], axis=1)
    sums = (
        cells.reshape(len(images), TURNS, 32 // CELL, CELL, 32 // CELL, CELL)
        .sum((3, 5))
        .reshape(len(images), -1)
    )
    return np.sqrt(sums / (sums.sum(1, keepdims=True) + 1))


def digits(n: int = 60_000, truth: int = 40_000) -> tuple[Small, Small]:
    """Digits to draw from, and at least `truth` others to judge by; no house number in both."""
    train = synth.load(n_train=n, n_test=0, seed=0, size=32, cache=Cache(default_root())).train
    features = [gradients(np.asarray(train.images[at : at + 2000])) for at in range(0, n, 2000)]
    all_of_them = Small(np.concatenate(features), train.labels[:, 0], train.groups)
    judges = train.groups <= train.groups[truth]
    return all_of_them[~judges], all_of_them[judges]


def nearest(train: Small, features: np.ndarray) -> np.ndarray:
    """Labels of the nearest neighbours: a classifier that knows its training pictures by heart."""
    distance = (train.features**2).sum(1) - 2 * features @ train.features.T
    return train.labels[distance.argmin(1)]


def ridge(train: Small, features: np.ndarray) -> np.ndarray:
    """Labels by ridge regression, one class against the others: a classifier that does not."""
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier().fit(train.features, train.labels).predict(features)
