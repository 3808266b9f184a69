"""Two sides on the pictures that both read, and on the folds or seeds that both trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal

import numpy as np

from svhncli.analysis.compare.sides import Side, Training
from svhncli.core.errors import CheckpointError, UsageError

SAME = "compare what was trained on the same data with the same seed and split"
TEST_PART = "or on a test part: svhn eval RUN for each, then svhn compare ... part=test"
OTHER_TEST_PART = (
    "or on one test part: svhn eval RUN data=NAME for each, then svhn compare ... part=test tested_on=NAME"
)


@dataclass(frozen=True)
class Pair:
    """Two sides' scores of the pictures that both read.

    a_scores, b_scores: float (N,), the share of a picture's readings in which its whole number is right.
    groups: int64 (N,), pictures of one house number share one; all differ where nobody knows them.
    index: int64 (N,), ascending.
    """

    a: Side
    b: Side
    index: np.ndarray
    a_scores: np.ndarray
    b_scores: np.ndarray
    groups: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        """float (N,): B minus A."""
        return self.b_scores - self.a_scores

    @cached_property
    def houses(self) -> int:
        """How many house numbers the pictures are of."""
        return len(np.unique(self.groups))

    @cached_property
    def is_read_once(self) -> bool:
        """Whether each side read each picture once, so that it is right or wrong."""
        return all(len(one.by_picture[0]) == len(one.readings.index) for one in (self.a, self.b))

    @property
    def left_out(self) -> tuple[int, int]:
        """How many pictures A alone and B alone read."""
        return len(self.a.by_picture[0]) - len(self.index), len(self.b.by_picture[0]) - len(self.index)


@dataclass(frozen=True)
class Trainings:
    """B's accuracy minus A's in each of J folds or seeds that both trained.

    n_train, n_val: pictures of a fold, on average.
    """

    over: Literal["folds", "seeds"]
    differences: list[float]
    n_train: float
    n_val: float


def pair(a: Side, b: Side) -> Pair:
    """Both sides on the pictures that both read.

    Raises:
        UsageError: they read no picture in common, or pictures of other data.
        CheckpointError: a picture has two labels, so one of the two files is not what it says.
    """
    both = f"'{a.path}' and '{b.path}'"
    if a.fingerprint != b.fingerprint:
        names = a.data if a.data == b.data else f"{a.data}, {b.data}"
        raise UsageError(f"{both} read other pictures or labels ({names})", f"{SAME},\n{OTHER_TEST_PART}")
    (a_index, a_scores, a_groups), (b_index, b_scores, b_groups) = a.by_picture, b.by_picture
    index, in_a, in_b = np.intersect1d(a_index, b_index, assume_unique=True, return_indices=True)
    if a.part != b.part or not len(index):
        raise UsageError(f"{both} validated on different pictures, none in common", f"{SAME},\n{TEST_PART}")
    differ = _labels(a, index) != _labels(b, index)
    if differ.any():
        raise CheckpointError(
            f"{both} have different labels for picture {index[differ][0]}",
            "one of the two was changed after it was written: train or evaluate it again",
        )
    groups = a_groups[in_a] if (a_groups != a_index).any() else b_groups[in_b]
    return Pair(a, b, index, a_scores[in_a], b_scores[in_b], groups)


def _labels(side: Side, index: np.ndarray) -> np.ndarray:
    """The labels of the pictures `index`, all of which the side read."""
    order = np.argsort(side.readings.index, kind="stable")
    return side.readings.label[order[np.searchsorted(side.readings.index, index, sorter=order)]]


def trainings(pair: Pair) -> Trainings | None:
    """Paired differences of folds that both trained, or else of seeds; None where fewer than two pair.

    A fold that several seeds trained counts once, by their mean: its seeds share what it trained on. Folds'
    scores of a test part do not count, since all read the same pictures and share most of what they trained
    on; nothing says by how much their spread is then too small.
    """
    if pair.a.part != "test":
        folds = _paired(pair, lambda one: one.split)
        if len(folds) > 1:
            both = [one for one in pair.a.trainings if one.split in folds]
            n_train, n_val = fmean(one.n_train for one in both), fmean(one.n_val for one in both)
            return Trainings("folds", list(folds.values()), n_train, n_val)
    seeds = _paired(pair, lambda one: one.seed)
    return Trainings("seeds", list(seeds.values()), 0, 0) if len(seeds) > 1 else None


def _paired(pair: Pair, key: Callable[[Training], object]) -> dict[object, float]:
    """Key of the trainings that both sides have -> B's accuracy minus A's on the common pictures."""

    def accuracies(side: Sequence[Training]) -> dict[object, float]:
        each: dict[object, list[float]] = {}
        for one in side:
            right = one.readings.right[np.isin(one.readings.index, pair.index)]
            if len(right):
                each.setdefault(key(one), []).append(float(right.mean()))
        return {name: float(np.mean(found)) for name, found in each.items()}

    a, b = accuracies(pair.a.trainings), accuracies(pair.b.trainings)
    return {name: b[name] - accuracy for name, accuracy in a.items() if name in b}
