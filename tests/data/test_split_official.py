"""The split that comes with the data: its training part, and its own validation part."""

from __future__ import annotations

import pytest

from svhncli.core.errors import DataError
from svhncli.data.split import official


def test_official_trains_on_one_part_and_validates_on_the_other() -> None:
    (fold,) = official(5, 3)
    assert (fold.name, fold.val_part) == ("official", "val")
    assert (fold.train.tolist(), fold.val.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2])


@pytest.mark.parametrize(("n_train", "n_val"), [(0, 3), (3, 0)])
def test_official_needs_both_parts(n_train: int, n_val: int) -> None:
    with pytest.raises(DataError, match="empty"):
        official(n_train, n_val)
