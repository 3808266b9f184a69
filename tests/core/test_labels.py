"""The most likely number of an image, against a search through all numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.core.labels import BLANK, decode
from svhncli.core.rng import numpy_generator


def probabilities(seed: int, positions: int, blank: float = 1.0, classes: int = 11) -> np.ndarray:
    """Random probabilities; those of the blank are up to `blank` times as large before all sum to 1."""
    draw = numpy_generator(seed, "readings")
    values = draw.random((positions, classes)) + 1e-6
    values[:, BLANK:] *= blank ** draw.random((positions, 1))
    return values / values.sum(-1, keepdims=True)


def best(values: np.ndarray, least: int) -> tuple[str, float]:
    """The most likely of all texts with `least` digits or more, and the product of its probabilities."""
    candidates = []
    for classes in itertools.product(range(values.shape[1]), repeat=len(values)):
        text = "".join(str(k) for k in classes if k != BLANK)
        if len(text) >= least:
            candidates.append((float(np.prod(values[range(len(values)), classes])), text))
    product, text = max(candidates)
    return text, product


@given(st.integers(0, 10_000), st.integers(1, 3), st.sampled_from([0.1, 1.0, 100.0, 1e4]))
def test_no_other_number_is_more_likely(seed: int, positions: int, blank: float) -> None:
    values = probabilities(seed, positions, blank)
    for demand_digit in (False, True):
        prediction = decode(values, demand_digit)
        text, product = best(values, least=int(demand_digit))
        assert prediction.text == text
        assert prediction.confidence == pytest.approx(product)


def test_blanks_are_left_out_at_any_position_and_leading_zeros_stay() -> None:
    values = np.full((4, 11), 0.01)
    for position, (digit, share) in enumerate([(0, 0.9), (BLANK, 0.8), (7, 0.7), (BLANK, 0.6)]):
        values[position, digit] = share
    prediction = decode(values)
    assert prediction.text == "07"
    assert prediction.digits == (0.9, 0.7)
    assert prediction.confidence == pytest.approx(0.9 * 0.8 * 0.7 * 0.6)


def test_the_demanded_digit_is_put_where_the_blank_is_least_likely() -> None:
    values = np.full((2, 11), 0.01)
    values[0, [4, BLANK]] = 0.30, 0.31
    values[1, [7, BLANK]] = 0.34, 0.60
    assert decode(values).text == ""
    assert decode(values, demand_digit=True).text == "4"


def test_ten_classes_have_no_blank() -> None:
    values = probabilities(0, 1, classes=10)
    assert decode(values) == decode(values, demand_digit=True)
    assert decode(values).text == str(values[0].argmax())


def test_demanding_a_digit_changes_no_prediction_that_has_digits() -> None:
    values = probabilities(1, 4, blank=0.1)
    assert decode(values).text
    assert decode(values) == decode(values, demand_digit=True)
