"""The space of a search: which keys a trial has, what a grid holds, and what is tried beforehand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.config.space import Dimension, Space, Value, words
from svhncli.core.errors import UsageError

CHOSEN = {"optim": "adam", "model": "cnn"}
OPTIM = Dimension("optim", "adam,sgd", ("adam", "sgd"))
LR = Dimension("lr", "log(1e-4,1e-2)", low=1e-4, high=1e-2, log=True)
MOMENTUM = Dimension("optim.momentum", "0,0.9", (0.0, 0.9), owners=frozenset({"sgd", "rmsprop", "muon"}))
DEPTH = Dimension("model.depth", "(1,3)", low=1, high=3, whole=True)


def first(dimension: Dimension) -> Value:
    return dimension.ends[0]


def by_name(**values: Value) -> Callable[[Dimension], Value]:
    return lambda dimension: values.get(dimension.key.replace(".", "_"), dimension.ends[0])


def test_a_trial_has_the_keys_of_its_own_choices_alone() -> None:
    space = Space.of([MOMENTUM, LR, OPTIM], CHOSEN)  # in any order: the group is drawn first
    assert space.draw(first) == {"optim": "adam", "lr": 1e-4}
    assert space.draw(by_name(optim="sgd")) == {"optim": "sgd", "optim.momentum": 0.0, "lr": 1e-4}


def test_a_key_of_the_choice_that_is_not_searched_is_in_every_trial() -> None:
    space = Space.of([MOMENTUM], {"optim": "sgd"})
    assert space.draw(first) == {"optim.momentum": 0.0}


def test_a_key_that_no_trial_would_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a key of optim=muon\|rmsprop\|sgd, and no trial has it") as caught:
        Space.of([MOMENTUM, LR], CHOSEN)
    assert caught.value.hint == "search the group, too: optim=adam,muon"


def test_a_grid_holds_every_combination_once() -> None:
    grid = Space.of([OPTIM, MOMENTUM, DEPTH], CHOSEN).grid()
    assert len(grid) == 3 * (1 + 2)
    assert len({tuple(sorted(point.items())) for point in grid}) == len(grid)
    assert {point["model.depth"] for point in grid} == {1, 2, 3}
    assert all(("optim.momentum" in point) == (point["optim"] == "sgd") for point in grid)


def test_a_range_without_steps_has_no_grid() -> None:
    with pytest.raises(UsageError, match=r"lr=log\(1e-4,1e-2\) has no step") as caught:
        Space.of([LR], CHOSEN).grid()
    assert "lr=0.0001,0.00046,0.0022,0.01" in caught.value.hint


@given(st.floats(1e-6, 1e3), st.floats(0, 1))
def test_a_drawn_number_is_short_and_within_the_range(low: float, share: float) -> None:
    dimension = Dimension("lr", "", low=low, high=3 * low)
    value = dimension.number(low + share * 2 * low)
    assert isinstance(value, float)
    assert low <= value <= 3 * low
    assert len(f"{value:.15g}".strip("0").replace(".", "")) <= 21
    assert value in (low, 3 * low) or value == float(f"{value:.4g}")


@given(st.lists(st.integers(2, 4), min_size=1, max_size=3), st.booleans())
def test_probes_try_every_value_and_both_ends(sizes: list[int], has_group: bool) -> None:
    dimensions = [Dimension(f"k{i}", "", tuple(range(size))) for i, size in enumerate(sizes)]
    dimensions += [LR, *([OPTIM, MOMENTUM] if has_group else [])]
    space = Space.of(dimensions, CHOSEN)
    tried = {(key, value) for probe in space.probes() for key, value in probe.items()}
    assert tried == {(d.key, value) for d in space.dimensions for value in d.ends}


def test_a_trial_is_written_as_it_is_typed() -> None:
    assert words({"optim": "sgd", "lr": 0.001, "model.stn": True}) == [
        "optim=sgd",
        "lr=0.001",
        "model.stn=true",
    ]
