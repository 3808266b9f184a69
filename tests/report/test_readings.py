"""PredictionRows: the likeliest of all, found by trying all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.core.labels import BLANK, decode
from svhncli.core.rng import numpy_generator


def probabilities(seed: int, positions: int, blank: float = 1.0, classes: int = 11) -> np.ndarray:
    """Random ones; those of the blank are up to `blank` times as large before all sum to 1."""
    draw = numpy_generator(seed, "readings")
    values = draw.random((positions, classes)) + 1e-6
    values[:, BLANK:] *= blank ** draw.random((positions, 1))
    return values / values.sum(-1, keepdims=True)


def best(values: np.ndarray, least: int) -> tuple[str, float]:
    """The likeliest of all readings with `least` digits or more, and its product of probabilities."""
    found = []
    for classes in itertools.product(range(values.shape[1]), repeat=len(values)):
        text = "".join(str(k) for k in classes if k != BLANK)
        if len(text) >= least:
            found.append((float(np.prod(values[range(len(values)), classes])), text))
    product, text = max(found)
    return text, product


@given(st.integers(0, 10_000), st.integers(1, 3), st.sampled_from([0.1, 1.0, 100.0, 1e4]))
def test_no_reading_is_likelier(seed: int, positions: int, blank: float) -> None:
    values = probabilities(seed, positions, blank)
    for demand_digit in (False, True):
        reading = decode(values, demand_digit)
        text, product = best(values, least=int(demand_digit))
        assert reading.text == text
        assert reading.confidence == pytest.approx(product)


def test_blanks_are_left_out_wherever_they_stand_and_leading_zeros_stay() -> None:
    values = np.full((4, 11), 0.01)
    for position, (digit, share) in enumerate([(0, 0.9), (BLANK, 0.8), (7, 0.7), (BLANK, 0.6)]):
        values[position, digit] = share
    reading = decode(values)
    assert reading.text == "07"
    assert reading.digits == (0.9, 0.7)
    assert reading.confidence == pytest.approx(0.9 * 0.8 * 0.7 * 0.6)


def test_the_digit_that_is_demanded_stands_where_its_blank_is_weakest() -> None:
    values = np.full((2, 11), 0.01)
    values[0, [4, BLANK]] = 0.30, 0.31
    values[1, [7, BLANK]] = 0.34, 0.60
    assert decode(values).text == ""
    assert decode(values, demand_digit=True).text == "4"


def test_ten_classes_have_no_blank() -> None:
    values = probabilities(0, 1, classes=10)
    assert decode(values) == decode(values, demand_digit=True)
    assert decode(values).text == str(values[0].argmax())


def test_a_reading_with_digits_is_not_changed_by_the_demand_for_one() -> None:
    values = probabilities(1, 4, blank=0.1)
    assert decode(values).text
    assert decode(values) == decode(values, demand_digit=True)
