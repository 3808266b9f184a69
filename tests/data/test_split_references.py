"""Splits compared with scikit-learn's, where both do the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from sklearn.model_selection import (
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
    train_test_split,
)
from sklearn.utils import resample
from test_split import class_counts, grouped, labels_of, relaxed, singletons, ungrouped

from svhncli.core.errors import UsageError
from svhncli.data.split import Fold, bootstrap, holdout, kfold, ordered

# Random streams differ, so only properties that do not depend on the draw are compared for random splits.


def sides(folds: list[Fold]) -> set[tuple[bytes, bytes]]:
    """Training and validation images of each fold, regardless of the folds' order and names."""
    return {(fold.train.tobytes(), fold.val.tobytes()) for fold in folds}


@relaxed
@given(grouped, st.integers(0, 99), st.booleans())
def test_as_many_folds_as_groups_are_scikit_learns_leave_one_group_out(
    data: tuple[np.ndarray, np.ndarray], seed: int, stratify: bool
) -> None:
    labels, groups = data
    if (n_groups := len(np.unique(groups))) > 1:
        theirs = LeaveOneGroupOut().split(labels, groups=groups)
        ours = kfold(labels, groups, k=n_groups, seed=seed, stratify=stratify)
        assert sides(ours) == {(train.tobytes(), val.tobytes()) for train, val in theirs}


@relaxed
@given(ungrouped, st.integers(0, 99), st.booleans())
def test_as_many_folds_as_images_are_scikit_learns_leave_one_out(
    labels: np.ndarray, seed: int, stratify: bool
) -> None:
    ours = kfold(labels, singletons(len(labels)), k=len(labels), seed=seed, stratify=stratify)
    assert sides(ours) == {(train.tobytes(), val.tobytes()) for train, val in LeaveOneOut().split(labels)}


@relaxed
@given(st.integers(2, 300), st.integers(2, 10), st.integers(0, 99))
def test_sizes_of_folds_without_strata_are_scikit_learns(n: int, k: int, seed: int) -> None:
    if n >= k:
        ours = kfold(labels_of([0] * n), singletons(n), k=k, seed=seed, stratify=False)
        theirs = KFold(k, shuffle=True, random_state=seed).split(np.zeros(n))
        assert sorted(len(fold.val) for fold in ours) == sorted(len(val) for _, val in theirs)


@relaxed
@given(st.lists(st.integers(6, 40), min_size=2, max_size=10), st.integers(2, 6), st.integers(0, 99))
def test_class_counts_across_folds_match_scikit_learns_stratified_folds(
    counts: list[int], k: int, seed: int
) -> None:
    labels = labels_of(np.repeat(np.arange(len(counts)), counts).tolist())
    ours = class_counts(labels, [fold.val for fold in kfold(labels, singletons(len(labels)), k=k, seed=seed)])
    reference = StratifiedKFold(k, shuffle=True, random_state=seed).split(labels, labels[:, 0])
    assert np.array_equal(
        np.sort(ours, axis=0), np.sort(class_counts(labels, [v for _, v in reference]), axis=0)
    )


@relaxed
@given(st.lists(st.integers(4, 60), min_size=2, max_size=10), st.floats(0.2, 0.8), st.integers(0, 99))
def test_held_out_class_counts_are_within_one_of_scikit_learns_stratified_shuffle(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = labels_of(np.repeat(np.arange(len(counts)), counts).tolist())
    try:
        (fold,) = holdout(labels, singletons(len(labels)), fraction=fraction, seed=seed)
        theirs = StratifiedShuffleSplit(1, test_size=fraction, random_state=seed).split(labels, labels[:, 0])
        ((_, val),) = theirs
    except (UsageError, ValueError):  # scikit-learn needs as many images on each side as classes
        reject()
    counts_by_class = class_counts(labels, [fold.val, val])
    assert np.abs(counts_by_class[0] - counts_by_class[1]).max() <= 1


@relaxed
@given(st.integers(2, 200), st.floats(0.05, 0.6))
def test_ordered_matches_scikit_learns_unshuffled_split_and_last_time_series_fold(
    n: int, fraction: float
) -> None:
    last = round(fraction * n)
    if 0 < last < n:
        (fold,) = ordered(labels_of([0] * n), singletons(n), fraction=fraction)
        train, val = train_test_split(np.arange(n), test_size=last, shuffle=False)
        assert sides([fold]) == {(train.tobytes(), val.tobytes())}
        if n > 2 * last:
            *_, (train, val) = TimeSeriesSplit(2, test_size=last).split(np.zeros(n))
            assert sides([fold]) == {(train.tobytes(), val.tobytes())}


def test_a_bootstrap_replicate_matches_scikit_learns_resample() -> None:
    n, replicates = 400, 200
    folds = bootstrap(labels_of([0] * n), singletons(n), n=replicates, seed=0)
    ours = [np.bincount(fold.train, minlength=n) for fold in folds]
    theirs = [np.bincount(resample(np.arange(n), random_state=i), minlength=n) for i in range(replicates)]
    assert {len(fold.train) for fold in folds} == {len(resample(np.arange(n), random_state=0))} == {n}
    for times in range(5):  # about e^-1 / times! of them; a share's standard error is below 0.002
        share = [np.mean(np.stack(drawn) == times) for drawn in (ours, theirs)]
        assert share[0] == pytest.approx(share[1], abs=0.006)
