"""Labels in arrays that could be written in several ways: which convention is taken, and what fits none."""

import numpy as np
import pytest

from svhncli.core.errors import DataError
from svhncli.data.formats.array_labels import convention, integers, read

FITTING = {
    "an equal first column is a digit": ([[2, 1, 3], [2, 4, 5]], [[2, 1, 3], [2, 4, 5]], ""),
    "a first column beyond the others is a digit": ([[3, 1, 2], [1, 4, 2]], [[3, 1, 2], [1, 4, 2]], ""),
    "numbers of one length have no padding": ([[10, 1], [2, 3]], [[0, 1], [2, 3]], "10 is the digit 0"),
    "a zero at the end is a digit where no label is 10": ([[1, 0], [2, 3]], [[1, 0], [2, 3]], ""),
    "and no digit where one is": (
        [[1, 0], [10, 2]],
        [[1, 10], [0, 2]],
        "10 is the digit 0, 0 is no digit",
    ),
    "ten columns of 0 and 1 that are not one-hot are digits": (
        [[0, 1] * 5, [1, 1] * 5],
        [[0, 1] * 5, [1, 1] * 5],
        "",
    ),
}


@pytest.mark.parametrize("kind", FITTING)
def test_labels_are_read_in_the_first_convention_that_none_contradicts(kind: str) -> None:
    values, digits, reported = FITTING[kind]
    labels = integers(np.array(values), "here")
    rule = convention(labels, "here")
    assert read(labels, rule).tolist() == digits
    assert str(rule) == reported


@pytest.mark.parametrize(
    "values",
    [
        [[1, 0, 10, 2], [1, 2, 3, 4]],
        [[1, -1, 2], [1, 2, 3]],
        [[-1, 1], [1, 2]],
        [[10, 1], [0, 2]],
        [[-1, -1], [1, 2]],
    ],
    ids=["10 and 0 within", "-1 within", "-1 first", "10 first and 0", "nothing else"],
)
def test_padding_comes_after_the_last_digit_alone(values: list[list[int]]) -> None:
    with pytest.raises(DataError, match=r"here holds .*, which fits no way of writing digits"):
        convention(np.array(values), "here")
