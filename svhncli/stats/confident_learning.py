"""Confident learning: which labels are likely wrong, judged by networks that did not train on them.

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, 2021. Each
position of a number is judged separately, blanks included; a number is as suspicious as its worst position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RELIABLE = 0.7
"""Share of labels with which the networks must agree before they may doubt one. In 5,000 correct labels of
rendered digits, networks with an accuracy of 24% called 76% wrong, with 36% 52%, 47% 29%, 64% 10%."""


@dataclass(frozen=True)
class LabelErrors:
    """The likely errors among N labels of L positions and K classes.

    thresholds: float64 (L, K), the mean probability of a class over the images with that label; NaN if there
        are none.
    joint: int64 (L, K, K), the confident joint: counts of images labeled i that are confidently j.
    suspicious: bool (N,), images off the diagonal of the joint at some position: likely label errors.
    margin: float64 (N,) in [-1, 1], the probability of the label minus the largest other one, at the worst
        position.
    estimate: the number of wrong labels over all positions, from the joint calibrated to the label counts.
    agreement: share of the images whose most likely class is the label at every position.
    """

    thresholds: np.ndarray
    joint: np.ndarray
    suspicious: np.ndarray
    margin: np.ndarray
    estimate: float
    agreement: float

    def ranked(self) -> np.ndarray:
        """Indices int64 (N,) of all images: likely errors first, then the rest, both by ascending margin."""
        return np.lexsort((self.margin, ~self.suspicious))


def find_label_errors(labels: np.ndarray, probabilities: np.ndarray) -> LabelErrors:
    """Judge labels int64 (N, L) by out-of-sample probabilities float (N, L, K).

    An image is confidently of class j if the probability of j is at least j's threshold; if that holds for
    several classes, of the most likely of them. Images that are confidently of no class are not counted.
    """
    n, positions, classes = probabilities.shape
    thresholds = np.full((positions, classes), np.nan)
    joint = np.zeros((positions, classes, classes), np.int64)
    suspicious, margin, estimate = np.zeros(n, bool), np.full(n, np.inf), 0.0
    for position in range(positions):
        given, predicted = labels[:, position], probabilities[:, position].astype(np.float64)
        counts = np.bincount(given, minlength=classes)
        own = np.take_along_axis(predicted, given[:, None], 1)[:, 0]
        sums = np.bincount(given, weights=own, minlength=classes)
        thresholds[position, counts > 0] = sums[counts > 0] / counts[counts > 0]
        # a class without an example has no threshold, and no image is confidently of it
        above = predicted >= np.where(counts > 0, thresholds[position], np.inf)
        confident = np.where(above, predicted, -1).argmax(1)
        rows = above.any(1)
        np.add.at(joint[position], (given[rows], confident[rows]), 1)
        suspicious |= rows & (confident != given)
        others = predicted.copy()
        others[np.arange(n), given] = -np.inf
        margin = np.minimum(margin, own - others.max(1))
        estimate += _errors(joint[position], counts)
    agreement = float((probabilities.argmax(-1) == labels).all(1).mean())
    return LabelErrors(thresholds, joint, suspicious, margin, estimate, agreement)


def _errors(joint: np.ndarray, counts: np.ndarray) -> float:
    """The number of wrong labels, from a confident joint (K, K) with each row scaled to its label's count."""
    total = joint.sum(1)
    share = 1 - joint.diagonal() / np.maximum(total, 1)
    return float((np.where(total > 0, share, 0) * counts).sum())
