"""Growing subsets of a fold, for learning curves."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from svhncli.core.errors import DataError
from svhncli.data.split import Fold, growing


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 40), min_size=60, max_size=200),
    cuts=st.lists(st.integers(1, 20), min_size=2, max_size=4, unique=True),
    seed=st.integers(0, 3),
)
def test_growing_subsets_are_nested_keep_groups_whole_and_have_the_fraction(
    groups: list[int], cuts: list[int], seed: int
) -> None:
    ids = np.array(groups)
    fractions = [cut / 20 for cut in sorted(cuts)]
    fold = Fold("holdout", np.arange(10, len(ids)), np.arange(10))
    try:
        parts = growing(fold, ids, fractions=fractions, seed=seed)
    except DataError:
        return  # too few groups: two subsets would be the same
    largest = np.bincount(ids).max()
    before: set[int] = set()
    for fraction, part in zip(fractions, parts, strict=True):
        subset = np.unique(part.train)
        rest = np.setdiff1d(fold.train, subset)
        assert not np.intersect1d(ids[subset], ids[rest]).size, "whole groups"
        assert before < {*subset.tolist()} or not before, "nested"
        before = {*subset.tolist()}
        expected = round(fraction * len(fold.train), 6)  # 0.55 * 100 is a little above 55
        assert expected <= len(subset) < expected + largest
        assert len(part.train) == len(fold.train), "as many steps as the whole fold"
        times = np.unique(part.train, return_counts=True)[1]
        assert times.max() - times.min() <= 1, "evenly repeated"
        assert part.val is fold.val
    if fractions[-1] == 1:
        assert np.array_equal(parts[-1].train, fold.train)


def test_growing_subsets_depend_on_the_seed() -> None:
    fold = Fold("holdout", np.arange(100), np.arange(100, 110))
    first, repeated, reseeded = (growing(fold, np.arange(110), fractions=[0.3], seed=s)[0] for s in (0, 0, 1))
    assert np.array_equal(first.train, repeated.train)
    assert not np.array_equal(first.train, reseeded.train)
