"""Early stopping counts epochs without improvement, in either direction."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.engine.stopping import EarlyStopping


@pytest.mark.parametrize(("higher_is_better", "sign"), [(False, 1), (True, -1)])
def test_early_stopping_counts_epochs_since_the_best(higher_is_better: bool, sign: int) -> None:
    stopper = EarlyStopping(patience=2, higher_is_better=higher_is_better)
    observations = [
        (stopper.observe(sign * value), stopper.should_stop) for value in (3.0, 2.0, 2.5, 1.0, 1.0, 4.0)
    ]
    assert [improved for improved, _ in observations] == [True, True, False, True, False, False]
    assert [stop for _, stop in observations] == [False, False, False, False, False, True]
    assert stopper.best == sign * 1.0


def test_a_gain_of_min_delta_is_not_enough() -> None:
    stopper = EarlyStopping(patience=1, min_delta=0.25)
    assert [stopper.observe(value) for value in (1.0, 0.75, 0.5)] == [True, False, True]


@pytest.mark.parametrize("higher_is_better", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_never_improve(higher_is_better: bool, value: float) -> None:
    stopper = EarlyStopping(patience=2, higher_is_better=higher_is_better)
    assert not stopper.observe(value)
    assert stopper.best is None
    assert stopper.observe(1.0)
    assert not stopper.observe(value)
    assert stopper.best == 1.0


@given(st.lists(st.floats(), max_size=30))
def test_patience_0_never_stops(values: list[float]) -> None:
    stopper = EarlyStopping(patience=0)
    for value in values:
        stopper.observe(value)
        assert not stopper.should_stop


@given(st.lists(st.floats(), max_size=30), st.integers(0, 30), st.booleans())
def test_stopping_continues_from_its_state(values: list[float], cut: int, higher_is_better: bool) -> None:
    uninterrupted, first, second = (EarlyStopping(3, 0.1, higher_is_better) for _ in range(3))
    for value in values:
        uninterrupted.observe(value)
    for value in values[:cut]:
        first.observe(value)
    second.load_state_dict(first.state_dict())
    for value in values[cut:]:
        second.observe(value)
    assert second.state_dict() == uninterrupted.state_dict()
    assert second.should_stop == uninterrupted.should_stop
