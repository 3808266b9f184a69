"""Two sides on the images that both predicted, and on the folds or seeds that both trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Literal

import numpy as np

from svhncli.analysis.compare.sides import Side, Training
from svhncli.core.errors import CheckpointError, UsageError

SAME = "compare runs that were trained on the same data with the same seed and split"
TEST_PART = "or on a test part: svhn eval RUN for each, then svhn compare ... part=test"
OTHER_TEST_PART = (
    "or on one test part: svhn eval RUN data=NAME for each, then svhn compare ... part=test tested_on=NAME"
)


@dataclass(frozen=True)
class Pair:
    """Two sides' scores on the images that both predicted.

    a_scores, b_scores: float (N,), the share of an image's predictions in which its whole number is correct.
    groups: int64 (N,), those that belong together share one; all differ where they are unknown.
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
    def group_count(self) -> int:
        """How many groups the images are of."""
        return len(np.unique(self.groups))

    @cached_property
    def is_predicted_once(self) -> bool:
        """Whether each side predicted each image once, so that it is right or wrong."""
        return all(len(side.by_image[0]) == len(side.rows.index) for side in (self.a, self.b))

    @property
    def left_out(self) -> tuple[int, int]:
        """How many images A alone and B alone predicted."""
        return len(self.a.by_image[0]) - len(self.index), len(self.b.by_image[0]) - len(self.index)


@dataclass(frozen=True)
class Trainings:
    """B's accuracy minus A's in each of J folds or seeds that both trained.

    n_train, n_val: images of a fold, on average.
    """

    over: Literal["folds", "seeds"]
    differences: list[float]
    n_train: float
    n_val: float


def pair(a: Side, b: Side) -> Pair:
    """Both sides on the images that both predicted.

    Raises:
        UsageError: they have no images in common, or images of different data.
        CheckpointError: an image has two labels, so one of the two files was changed.
    """
    both = f"'{a.path}' and '{b.path}'"
    if a.fingerprint != b.fingerprint and a.part == b.part != "test" and a.whole and a.whole == b.whole:
        a, b = _by_name(a, b)
    if a.fingerprint != b.fingerprint:
        names = a.data if a.data == b.data else f"{a.data}, {b.data}"
        raise UsageError(
            f"{both} have predictions for different images or labels ({names})", f"{SAME},\n{OTHER_TEST_PART}"
        )
    (a_index, a_scores, a_groups), (b_index, b_scores, b_groups) = a.by_image, b.by_image
    index, in_a, in_b = np.intersect1d(a_index, b_index, assume_unique=True, return_indices=True)
    if a.part != b.part or not len(index):
        raise UsageError(f"{both} validated on different images, none in common", f"{SAME},\n{TEST_PART}")
    differ = _labels(a, index) != _labels(b, index)
    if differ.any():
        raise CheckpointError(
            f"{both} have different labels for image {index[differ][0]}",
            "one of the two files was changed after it was written: train or evaluate that run again",
        )
    groups = a_groups[in_a] if (a_groups != a_index).any() else b_groups[in_b]
    return Pair(a, b, index, a_scores[in_a], b_scores[in_b], groups)


def _by_name(a: Side, b: Side) -> tuple[Side, Side]:
    """Sides of the same data, of which `data.exclude` left out different images, with indices in common."""
    _, places = np.unique(np.concatenate([a.rows.name, b.rows.name]), return_inverse=True)
    numbered: list[Side] = []
    for side in (a, b):
        trainings = []
        for training in side.trainings:
            index, places = np.split(places, [len(training.rows.index)])
            trainings.append(replace(training, rows=replace(training.rows, index=index)))
        numbered.append(replace(side, trainings=trainings, fingerprint=str(side.whole)))
    return numbered[0], numbered[1]


def _labels(side: Side, index: np.ndarray) -> np.ndarray:
    """The labels of the images `index`, all of which the side predicted."""
    order = np.argsort(side.rows.index, kind="stable")
    return side.rows.label[order[np.searchsorted(side.rows.index, index, sorter=order)]]


def trainings(pair: Pair) -> Trainings | None:
    """Paired differences of folds that both trained, or else of seeds; None where fewer than two pair.

    A fold that several seeds trained counts once, by their mean: its seeds share the training part. Folds'
    scores on a test part do not count, since all predict the same images and share most of their training
    images; how much too small their spread is, is unknown.
    """
    if pair.a.part != "test":
        folds = _paired(pair, lambda training: training.split)
        if len(folds) > 1:
            both = [training for training in pair.a.trainings if training.split in folds]
            n_train = fmean(training.n_train for training in both)
            n_val = fmean(training.n_val for training in both)
            return Trainings("folds", list(folds.values()), n_train, n_val)
    seeds = _paired(pair, lambda training: training.seed)
    return Trainings("seeds", list(seeds.values()), 0, 0) if len(seeds) > 1 else None


def _paired(pair: Pair, key: Callable[[Training], object]) -> dict[object, float]:
    """Key of the trainings that both sides have -> B's accuracy minus A's on the common images."""

    def accuracies(side: Sequence[Training]) -> dict[object, float]:
        by_key: dict[object, list[float]] = {}
        for training in side:
            right = training.rows.correct[np.isin(training.rows.index, pair.index)]
            if len(right):
                by_key.setdefault(key(training), []).append(float(right.mean()))
        return {name: float(np.mean(values)) for name, values in by_key.items()}

    a, b = accuracies(pair.a.trainings), accuracies(pair.b.trainings)
    return {name: b[name] - accuracy for name, accuracy in a.items() if name in b}
