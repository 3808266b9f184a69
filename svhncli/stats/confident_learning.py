"""Confident learning: which labels are likely wrong, by what networks say that did not train on them.

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, 2021. A
number is judged position by position, its blanks included, and is as suspicious as its worst position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Judged:
    """What N labels of L positions and K classes look like.

    thresholds: float64 (L, K), the mean probability of a class over the pictures that are labelled so; NaN:
        there are none.
    joint: int64 (L, K, K), the confident joint: pictures labelled i that are confidently j.
    suspicious: bool (N,), pictures that stand off its diagonal in some position: likely label errors.
    margin: float64 (N,) in [-1, 1], the label's probability less the largest other one, of the worst
        position.
    estimate: how many labels of positions are wrong, by the joint calibrated to the counts of the labels.
    agreement: share of the pictures whose likeliest classes are the label in every position.
    """

    thresholds: np.ndarray
    joint: np.ndarray
    suspicious: np.ndarray
    margin: np.ndarray
    estimate: float
    agreement: float

    def ranked(self) -> np.ndarray:
        """All N pictures, int64, the likely errors first, each kind by its margin."""
        return np.lexsort((self.margin, ~self.suspicious))


def judge(labels: np.ndarray, probabilities: np.ndarray) -> Judged:
    """Judge labels int64 (N, L) by out-of-sample probabilities float (N, L, K).

    A picture is confidently of class j where the probability of j is at least j's threshold; where that holds
    for several, it is of the likeliest. Pictures that are confidently of none do not count.
    """
    n, positions, classes = probabilities.shape
    thresholds = np.full((positions, classes), np.nan)
    joint = np.zeros((positions, classes, classes), np.int64)
    suspicious, margin, estimate = np.zeros(n, bool), np.full(n, np.inf), 0.0
    for place in range(positions):
        given, said = labels[:, place], probabilities[:, place].astype(np.float64)
        counts = np.bincount(given, minlength=classes)
        own = np.take_along_axis(said, given[:, None], 1)[:, 0]
        held = np.bincount(given, weights=own, minlength=classes)
        thresholds[place, counts > 0] = held[counts > 0] / counts[counts > 0]
        # without an example there is no threshold, and nothing is confidently of that class
        above = said >= np.where(counts > 0, thresholds[place], np.inf)
        confident = np.where(above, said, -1).argmax(1)
        rows = above.any(1)
        np.add.at(joint[place], (given[rows], confident[rows]), 1)
        suspicious |= rows & (confident != given)
        others = said.copy()
        others[np.arange(n), given] = -np.inf
        margin = np.minimum(margin, own - others.max(1))
        estimate += _errors(joint[place], counts)
    agreement = float((probabilities.argmax(-1) == labels).all(1).mean())
    return Judged(thresholds, joint, suspicious, margin, estimate, agreement)


def _errors(joint: np.ndarray, counts: np.ndarray) -> float:
    """Wrong labels by a confident joint whose rows are scaled to how many pictures have each label."""
    total = joint.sum(1)
    share = 1 - joint.diagonal() / np.maximum(total, 1)
    return float((np.where(total > 0, share, 0) * counts).sum())
