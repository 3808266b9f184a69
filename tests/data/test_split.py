from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from svhncli.core.errors import DataError, UsageError
from svhncli.core.labels import BLANK
from svhncli.core.rng import numpy_generator
from svhncli.data.split import Fold, bootstrap, holdout, kfold, ordered


def labels_of(classes: list[int]) -> np.ndarray:
    return np.array(classes, np.int64)[:, None]


def singletons(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int64)


def house_numbers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n digits, with SVHN's class frequencies, in house numbers of 1-6 digits; some ids are negative."""
    draw = numpy_generator(seed, "house numbers")
    share = np.array([7, 19, 14, 12, 10, 9, 8, 8, 7, 6]) / 100
    runs = np.repeat(np.arange(n), draw.choice([1, 2, 3, 4, 6], n, p=[0.14, 0.54, 0.26, 0.05, 0.01]))[:n]
    return draw.choice(10, (n, 1), p=share), runs * 37 - n


relaxed = settings(max_examples=60, deadline=None)
grouped = st.integers(2, 120).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 9), min_size=n, max_size=n).map(labels_of),
        st.lists(st.integers(-5, 40), min_size=n, max_size=n).map(lambda ids: np.array(ids, np.int64)),
    )
)
ungrouped = st.lists(st.integers(0, 9), min_size=2, max_size=300).map(labels_of)


def assert_valid(fold: Fold, groups: np.ndarray) -> None:
    """Invariants of every fold of a split: sorted int64 indices, no group on both sides, no empty side."""
    assert fold.train.dtype == fold.val.dtype == np.int64
    assert (np.diff(fold.train) >= 0).all()
    assert (np.diff(fold.val) > 0).all()
    assert len(fold.train)
    assert len(fold.val)
    assert not np.isin(groups[fold.train], groups[fold.val]).any()


def same_folds(a: list[Fold], b: list[Fold]) -> bool:
    return [fold.name for fold in a] == [fold.name for fold in b] and all(
        np.array_equal(x.train, y.train) and np.array_equal(x.val, y.val) for x, y in zip(a, b, strict=True)
    )


def class_counts(labels: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    """Images of each class in each part, (parts, 10)."""
    return np.stack([np.bincount(labels[part, 0], minlength=10) for part in parts])


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum(0) / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


# ----------------------------------------------------------------------------- k-fold


@relaxed
@given(grouped, st.integers(2, 6), st.integers(1, 3), st.integers(0, 99), st.booleans())
def test_kfold_validates_on_every_image_once_per_repeat_and_splits_no_group(
    data: tuple[np.ndarray, np.ndarray], k: int, repeats: int, seed: int, stratify: bool
) -> None:
    labels, groups = data
    if len(np.unique(groups)) < k:
        with pytest.raises(UsageError, match="but only"):
            kfold(labels, groups, k=k, repeats=repeats, seed=seed, stratify=stratify)
        return
    folds = kfold(labels, groups, k=k, repeats=repeats, seed=seed, stratify=stratify)
    assert len(folds) == k * repeats
    for start in range(0, len(folds), k):
        parts = [fold.val for fold in folds[start : start + k]]
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for fold in folds:
        assert_valid(fold, groups)
        assert fold.val_part == "train"
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.val])), np.arange(len(labels)))


@relaxed
@given(ungrouped, st.integers(2, 10), st.integers(0, 99))
def test_without_groups_a_class_differs_by_at_most_one_between_folds(
    labels: np.ndarray, k: int, seed: int
) -> None:
    if len(labels) >= k:
        folds = kfold(labels, singletons(len(labels)), k=k, seed=seed)
        assert np.ptp(class_counts(labels, [fold.val for fold in folds]), axis=0).max() <= 1


@relaxed
@given(st.integers(2, 300), st.integers(2, 10), st.integers(0, 99))
def test_without_strata_fold_sizes_differ_by_at_most_one(n: int, k: int, seed: int) -> None:
    if n >= k:
        labels = numpy_generator(seed, "labels").integers(10, size=(n, 1))
        sizes = [len(fold.val) for fold in kfold(labels, singletons(n), k=k, seed=seed, stratify=False)]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_folds_are_as_even_as_scikit_learns_stratified_ones(seed: int) -> None:
    labels, _ = house_numbers(997, seed)
    ours = class_counts(labels, [fold.val for fold in kfold(labels, singletons(997), k=7, seed=seed)])
    reference = StratifiedKFold(7, shuffle=True, random_state=seed).split(labels, labels[:, 0])
    theirs = class_counts(labels, [val for _, val in reference])
    assert np.ptp(ours, axis=0).tolist() == np.ptp(theirs, axis=0).tolist()
    assert np.ptp(ours.sum(1)) <= np.ptp(theirs.sum(1)) + 2


@pytest.mark.parametrize("seed", range(4))
def test_folds_of_house_numbers_are_within_1_5_images_of_even_or_of_scikit_learns(
    seed: int,
) -> None:
    labels, groups = house_numbers(600, seed)
    ours = class_counts(labels, [fold.val for fold in kfold(labels, groups, k=5, seed=seed)])
    reference = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels[:, 0], groups)
    theirs = class_counts(labels, [val for _, val in reference])
    assert np.abs(ours - ours.mean(0)).max() <= max(1.5, np.abs(theirs - theirs.mean(0)).max())


@pytest.mark.parametrize("mean_size", [8, 20])
def test_folds_of_large_groups_with_skewed_classes_are_on_average_more_even_than_scikit_learns(
    mean_size: int,
) -> None:
    ours, theirs = [], []
    for seed in range(6):
        draw = numpy_generator(seed, "lumps", mean_size)
        groups = np.repeat(np.arange(300), draw.geometric(1 / mean_size, 300))[:300]
        class_shares = draw.dirichlet(np.full(10, 0.7), 300)[groups]
        labels = (draw.random((300, 1)) > class_shares.cumsum(1)[:, :9]).sum(1, keepdims=True)
        ours.append(
            chi_square(class_counts(labels, [fold.val for fold in kfold(labels, groups, k=3, seed=seed)]))
        )
        reference = StratifiedGroupKFold(3, shuffle=True, random_state=seed).split(
            labels, labels[:, 0], groups
        )
        theirs.append(chi_square(class_counts(labels, [val for _, val in reference])))
    assert np.mean(ours) <= np.mean(theirs)


def test_a_large_grouped_set_is_even_to_one_image_per_class() -> None:
    labels, groups = house_numbers(100_000, 0)
    counts = class_counts(labels, [fold.val for fold in kfold(labels, groups, k=5, seed=0)])
    assert np.abs(counts - counts.mean(0)).max() <= 1
    assert np.ptp(counts.sum(1)) <= 4


def test_groups_too_large_for_even_folds_are_spread_as_evenly_as_possible() -> None:
    groups = np.repeat(np.arange(4), [40, 30, 20, 10])
    labels = numpy_generator(0, "labels").integers(10, size=(100, 1))
    sizes = sorted(len(fold.val) for fold in kfold(labels, groups, k=2, seed=0, stratify=False))
    assert sizes == [50, 50]


def test_a_class_with_fewer_images_than_folds_is_in_as_many_folds_as_images() -> None:
    labels = labels_of([0] * 50 + [1] * 3)
    counts = class_counts(labels, [fold.val for fold in kfold(labels, singletons(53), k=5, seed=0)])
    assert sorted(counts[:, 1]) == [0, 0, 1, 1, 1]


@relaxed
@given(st.integers(0, 99))
def test_lengths_of_numbers_are_stratified(seed: int) -> None:
    draw = numpy_generator(seed, "numbers")
    length = draw.choice([1, 2, 3, 4, 6], 200, p=[0.15, 0.54, 0.26, 0.04, 0.01])
    labels = np.where(np.arange(6) < length[:, None], draw.integers(10, size=(200, 6)), BLANK)
    lengths = length[:, None]
    folds = kfold(labels, singletons(200), k=5, seed=seed)
    assert np.ptp(class_counts(lengths, [fold.val for fold in folds]), axis=0).max() <= 1


def test_fold_names_include_the_repeat_if_there_are_several() -> None:
    labels = labels_of([0, 1] * 4)
    assert [f.name for f in kfold(labels, singletons(8), k=2, seed=0)] == ["fold0", "fold1"]
    names = [f.name for f in kfold(labels, singletons(8), k=2, repeats=2, seed=0)]
    assert names == ["repeat0-fold0", "repeat0-fold1", "repeat1-fold0", "repeat1-fold1"]


def test_repeats_differ_and_the_first_does_not_depend_on_their_number() -> None:
    labels, groups = house_numbers(200, 0)
    single, repeated = kfold(labels, groups, k=3, seed=0), kfold(labels, groups, k=3, repeats=2, seed=0)
    assert all(np.array_equal(a.val, b.val) for a, b in zip(single, repeated[:3], strict=True))
    assert not any(np.array_equal(a.val, b.val) for a, b in zip(repeated[:3], repeated[3:], strict=True))


# ----------------------------------------------------------------------------- hold-out


@relaxed
@given(ungrouped, st.floats(0.01, 0.99), st.integers(0, 99))
def test_holdout_takes_the_fraction_of_every_class_or_of_all_to_the_nearest_image(
    labels: np.ndarray, fraction: float, seed: int
) -> None:
    """Of all, where rounding in every class would miss it by more than a tenth."""
    expected = fraction * np.bincount(labels[:, 0], minlength=10)
    rounded, due = np.rint(expected), expected.sum()
    if np.abs(expected - rounded).max() > 0.49 or abs(due - np.rint(due)) > 0.49:
        return
    by_class = abs(rounded.sum() - due) <= 0.1 * due
    count = rounded.sum() if by_class else np.rint(due)
    if not 0 < count < len(labels):
        with pytest.raises(UsageError, match="empty"):
            holdout(labels, singletons(len(labels)), fraction=fraction, seed=seed)
        return
    (fold,) = holdout(labels, singletons(len(labels)), fraction=fraction, seed=seed)
    counts = class_counts(labels, [fold.val])[0]
    assert len(fold.val) == count
    assert np.abs(counts - expected).max() < 1
    if by_class:
        assert np.array_equal(counts, rounded)


@pytest.mark.parametrize(("each", "fraction", "count"), [(4, 0.1, 4), (3, 0.2, 6), (1, 0.1, 1), (2, 0.9, 18)])
def test_a_few_images_of_each_class_are_held_out_as_the_fraction_says(
    each: int, fraction: float, count: int
) -> None:
    labels = np.repeat(np.arange(10), each)[:, None]
    (fold,) = holdout(labels, singletons(len(labels)), fraction=fraction, seed=0)
    assert len(fold.val) == count
    assert class_counts(labels, [fold.val])[0].max() <= -(-count // 10)


@relaxed
@given(grouped, st.floats(0.2, 0.8), st.integers(0, 99), st.booleans())
def test_holdout_splits_no_group_and_loses_no_image(
    data: tuple[np.ndarray, np.ndarray], fraction: float, seed: int, stratify: bool
) -> None:
    labels, groups = data
    try:
        (fold,) = holdout(labels, groups, fraction=fraction, seed=seed, stratify=stratify)
    except UsageError:
        reject()
    assert_valid(fold, groups)
    assert (fold.name, fold.val_part) == ("holdout", "train")
    assert np.array_equal(np.sort(np.concatenate([fold.train, fold.val])), np.arange(len(labels)))


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5, 0.9])
def test_holdout_of_house_numbers_is_within_one_image_of_even_in_every_class(fraction: float) -> None:
    labels, groups = house_numbers(20_000, 1)
    (fold,) = holdout(labels, groups, fraction=fraction, seed=0)
    expected = fraction * class_counts(labels, [np.arange(20_000)])
    assert np.abs(class_counts(labels, [fold.val]) - expected).max() <= 1


def test_holdout_is_drawn_from_the_whole_file() -> None:
    (fold,) = holdout(labels_of([5] * 1000), singletons(1000), fraction=0.1, seed=0)
    assert np.histogram(fold.val, 5, (0, 1000))[0].min() >= 8


# ----------------------------------------------------------------------------- bootstrap


@relaxed
@given(grouped, st.integers(1, 4), st.integers(0, 99))
def test_bootstrap_draws_whole_groups_and_validates_on_those_never_drawn(
    data: tuple[np.ndarray, np.ndarray], n: int, seed: int
) -> None:
    labels, groups = data
    try:
        folds = bootstrap(labels, groups, n=n, seed=seed)
    except DataError:
        reject()
    ids, members = np.unique(groups, return_counts=True)
    for fold in folds:
        assert_valid(fold, groups)
        times = np.bincount(fold.train, minlength=len(labels))
        assert np.array_equal(fold.val, np.flatnonzero(times == 0))
        drawn = np.array([times[groups == group].sum() for group in ids])
        assert (drawn % members == 0).all()
        assert (times * members[np.searchsorted(ids, groups)] == drawn[np.searchsorted(ids, groups)]).all()
        assert (drawn // members).sum() == len(ids)


def test_bootstrap_leaves_out_about_37_percent_and_replicates_differ() -> None:
    labels, groups = house_numbers(5000, 0)
    folds = bootstrap(labels, groups, n=12, seed=0)
    assert [fold.name for fold in folds] == [f"boot{i:02d}" for i in range(12)]
    share = [len(fold.val) / 5000 for fold in folds]
    assert abs(np.mean(share) - np.exp(-1)) < 0.01
    assert len({fold.train.tobytes() for fold in folds}) == 12


def test_more_replicates_keep_the_earlier_ones() -> None:
    labels, groups = house_numbers(100, 0)
    assert same_folds(bootstrap(labels, groups, n=3, seed=4), bootstrap(labels, groups, n=5, seed=4)[:3])


def test_names_of_a_hundred_and_one_replicates_sort_in_order() -> None:
    names = [fold.name for fold in bootstrap(labels_of([0] * 30), singletons(30), n=101, seed=0)]
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("boot000", "boot100")


def test_bootstrap_of_a_single_group_is_refused() -> None:
    with pytest.raises(DataError, match="out of bag") as error:
        bootstrap(labels_of([0, 1, 2]), np.zeros(3, np.int64), n=1, seed=0)
    assert error.value.hint


# ----------------------------------------------------------------------------- ordered


def test_ordered_validates_on_the_last_images() -> None:
    (fold,) = ordered(labels_of([0] * 10), singletons(10), fraction=0.3)
    assert (fold.name, fold.val.tolist()) == ("ordered", [7, 8, 9])
    assert_valid(fold, singletons(10))


def test_ordered_trains_on_a_group_that_straddles_the_border() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2, 2, 2, 3, 3])  # the border, 7, is inside group 2
    (fold,) = ordered(labels_of([0] * 10), groups, fraction=0.3)
    assert fold.val.tolist() == [8, 9]
    assert_valid(fold, groups)


@relaxed
@given(grouped, st.floats(0.05, 0.95))
def test_ordered_never_validates_on_images_before_the_border(
    data: tuple[np.ndarray, np.ndarray], fraction: float
) -> None:
    labels, groups = data
    try:
        (fold,) = ordered(labels, groups, fraction=fraction)
    except UsageError:
        reject()
    assert_valid(fold, groups)
    assert fold.val[0] >= len(labels) - round(fraction * len(labels))
    assert len(fold.train) + len(fold.val) == len(labels)


# ----------------------------------------------------------------------------- all


@pytest.mark.parametrize(
    "split",
    [
        lambda labels, groups, seed: holdout(labels, groups, fraction=0.2, seed=seed),
        lambda labels, groups, seed: kfold(labels, groups, k=4, repeats=2, seed=seed),
        lambda labels, groups, seed: bootstrap(labels, groups, n=3, seed=seed),
    ],
    ids=["holdout", "kfold", "bootstrap"],
)
def test_the_same_seed_gives_the_same_split_and_another_seed_gives_another(
    split: Callable[..., list[Fold]],
) -> None:
    labels, groups = house_numbers(400, 0)
    first = split(labels, groups, 7)
    assert same_folds(first, split(labels.copy(), groups.copy(), 7))
    assert not same_folds(first, split(labels, groups, 8))


def test_group_ids_are_arbitrary() -> None:
    labels, groups = house_numbers(400, 0)
    renamed = groups * 10**12 + 5
    assert same_folds(kfold(labels, groups, k=4, seed=0), kfold(labels, renamed, k=4, seed=0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda y, g: kfold(y, g, k=5, seed=0), "5 folds, but only 4 groups"),
        (lambda y, g: kfold(y, g * 0, k=2, seed=0), "2 folds, but only 1 group:"),
        (lambda y, g: kfold(y, g, k=1, seed=0), "at least 2 folds"),
        (lambda y, g: kfold(y, g, k=2, repeats=0, seed=0), "1 repeat are needed"),
        (lambda y, g: holdout(y, g, fraction=0.01, seed=0), "validation side empty"),
        (lambda y, g: holdout(y, g, fraction=0.99, seed=0), "training side empty"),
        (lambda y, g: holdout(y, g * 0, fraction=0.4, seed=0), "validation side empty"),
        (lambda y, g: holdout(y, g, fraction=1.0, seed=0), "below 1"),
        (lambda y, g: ordered(y, g, fraction=0.0), "above 0"),
        (lambda y, g: ordered(y, g, fraction=0.1), "validation side empty"),
        (lambda y, g: ordered(y, g, fraction=0.9), "training side empty"),
        (lambda y, g: bootstrap(y, g, n=0, seed=0), "at least 1 is needed"),
    ],
)
def test_impossible_splits_are_refused_in_one_line(
    make: Callable[[np.ndarray, np.ndarray], list[Fold]], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        make(labels_of([0, 1, 2, 3]), singletons(4))
    assert "\n" not in str(error.value)
