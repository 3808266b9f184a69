"""Pairing, tests, verdicts and changes against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_rel
from statsmodels.stats.multitest import multipletests

from svhncli.analysis.compare import changes, verdict
from svhncli.analysis.compare.pairing import Pair, pair, trainings
from svhncli.analysis.compare.sides import Side, Training
from svhncli.commands.compare import letters
from svhncli.core.errors import CheckpointError, UsageError
from svhncli.report.comparison import Comparison, DifferingKey
from svhncli.runs.predictions import PredictionRows
from svhncli.stats.significance import images_needed


def training(
    right: Sequence[int],
    index: Sequence[int] | None = None,
    groups: Sequence[int] | None = None,
    *,
    seed: int | None = 0,
    split: str = "s",
    sizes: tuple[int, int] = (80, 20),
) -> Training:
    """Pictures labelled by their index, of which those with a 1 are read as labelled."""
    where = np.arange(len(right)) if index is None else np.array(index)
    label = where.astype(str)
    read = np.where(np.array(right, bool), label, "wrong")
    house = where if groups is None else np.array(groups)
    return Training(seed, split, *sizes, PredictionRows(where, house, label, read, np.full(len(where), "")))


def side(*each: Training, name: str = "run", **more: Any) -> Side:
    known = {"data": "d", "fingerprint": "f", "part": "train", "config": {"lr": 1}}
    return Side(Path(name), trainings=each, **{**known, **more})


def others(a: Sequence[Training], b: Sequence[Training]) -> Pair:
    """Of two configs."""
    return pair(side(*a), side(*b, config={"lr": 2}))


def judged(*pairs: Pair, level: float = 0.95) -> list[Comparison]:
    names = [("A", chr(ord("B") + i)) for i in range(len(pairs))]
    return verdict.judge([verdict.measure(one, level) for one in pairs], names, level)


def halves(only_a: int, only_b: int, both: int, neither: int = 0) -> tuple[Training, Training]:
    """Two trainings with so many pictures that one, the other, both or neither reads rightly."""
    a = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return training(a), training(b)


# ----------------------------------------------------------------------------- pairing


def test_what_both_read_is_paired_and_what_one_alone_read_is_counted() -> None:
    a = side(training([1, 0, 1, 1, 0], [5, 1, 2, 3, 4]))
    b = side(training([0, 1, 1], [7, 3, 1]))
    found = pair(a, b)
    assert found.index.tolist() == [1, 3]
    assert found.differences.tolist() == [1, 0]  # picture 1: A wrong, B right; 3: both right
    assert found.left_out == (3, 1)


def test_a_picture_that_was_read_several_times_has_a_share_for_its_score() -> None:
    a = side(training([1, 1, 0]), training([1, 0, 0], seed=1), training([0, 0, 0], seed=2))
    b = side(training([1, 0, 1]))
    found = pair(a, b)
    assert found.a_scores == pytest.approx([2 / 3, 1 / 3, 0])
    assert found.differences == pytest.approx([1 / 3, -1 / 3, 1])
    assert not found.is_predicted_once
    assert verdict.measure(found, 0.95).counts is None
    assert pair(b, b).is_predicted_once


@pytest.mark.parametrize("known", ["a", "b", "both"])
def test_house_numbers_come_from_the_side_that_knows_them(known: str) -> None:
    groups = {name: [7, 7, 8, 8] if known in (name, "both") else None for name in "ab"}
    found = pair(*(side(training([1, 0, 1, 0], groups=groups[name])) for name in "ab"))
    assert found.groups.tolist() == [7, 7, 8, 8]
    assert found.houses == 2


def test_a_label_that_differs_is_refused() -> None:
    a, b = training([1, 1, 1]), training([1, 1, 1], [2, 0, 1])
    assert pair(side(a), side(b)).index.tolist() == [0, 1, 2]
    label = np.where(b.readings.index == 1, "9", b.readings.label)
    broken = PredictionRows(b.readings.index, b.readings.group, label, b.readings.read, b.readings.fold)
    with pytest.raises(CheckpointError, match="different labels for image 1"):
        pair(side(a), side(Training(0, "s", 1, 1, broken)))


@pytest.mark.parametrize("more", [{"fingerprint": "g"}, {"part": "val"}])
def test_pictures_of_other_data_or_another_part_are_never_paired(more: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"different images or labels|none in common"):
        pair(side(training([1, 0])), side(training([1, 0]), **more))


def test_folds_are_paired_by_their_pictures_and_seeds_of_a_fold_count_once() -> None:
    a = side(
        training([1, 0], [0, 1], split="x", seed=0, sizes=(60, 40)),
        training([1, 1], [0, 1], split="x", seed=1, sizes=(60, 40)),
        training([0, 0], [2, 3], split="y", seed=0, sizes=(80, 20)),
        training([0, 0], [4, 5], split="z", seed=0, sizes=(1, 1)),
    )
    b = side(
        training([1, 1], [2, 3], split="y"),
        training([0, 0], [0, 1], split="x"),
        training([1, 1], [4, 5], split="w"),
    )
    found = trainings(pair(a, b))
    assert found is not None
    assert (found.over, found.differences) == ("folds", [-0.75, 1.0])  # x: 0 - mean(0.5, 1); y: 1 - 0
    assert (found.n_train, found.n_val) == (pytest.approx(200 / 3), pytest.approx(100 / 3))


def test_seeds_are_paired_by_number_on_the_common_pictures() -> None:
    a = side(*(training([1, 0, 1, 1], seed=seed) for seed in (0, 1, 2)))
    b = side(
        training([1, 1], [1, 2], seed=2), training([0, 1], [1, 2], seed=1), training([0, 0], [1, 2], seed=9)
    )
    found = trainings(pair(a, b))
    assert found is not None
    assert (found.over, found.differences) == ("seeds", [0.0, 0.5])  # pictures 1 and 2 alone count


def test_one_training_each_pairs_nothing_and_folds_of_a_test_part_do_not_count() -> None:
    assert trainings(pair(side(training([1, 0])), side(training([0, 1])))) is None
    folds = [training([1, 0], split=name) for name in "xy"]
    assert trainings(pair(side(*folds), side(*folds))) is not None
    assert trainings(pair(side(*folds, part="test"), side(*folds, part="test"))) is None


# ----------------------------------------------------------------------------- the tests


def test_independent_pictures_read_once_are_mcnemars() -> None:
    a, b = halves(5, 18, 70, 7)
    (found,) = judged(others([a], [b]))
    assert (found.only_a, found.only_b, found.pictures) == (5, 18, 100)
    assert found.p == pytest.approx(binomtest(5, 23).pvalue)
    assert found.test == "McNemar, exact"


def test_shared_house_numbers_make_the_p_larger_than_mcnemars() -> None:
    """Every picture ten times over: ten times the pictures, and not more known than before."""
    a, b = halves(5, 18, 70, 7)
    once = judged(others([a], [b]))[0]
    many = [np.repeat(one.readings.right, 10).tolist() for one in (a, b)]
    houses = np.repeat(np.arange(100), 10).tolist()
    (found,) = judged(others(*([training(right, groups=houses)] for right in many)))
    assert (found.only_a, found.only_b) == (50, 180)
    assert binomtest(50, 230).pvalue < 1e-15  # what independent pictures would say
    assert found.p > 1e-3
    assert found.test == "bootstrap over house numbers"
    ends = [found.interval.low, found.interval.high]
    assert ends == pytest.approx([once.interval.low, once.interval.high], abs=0.01)


def test_more_pictures_are_counted_by_how_independent_they_are() -> None:
    a, b = halves(20, 26, 400, 54)
    once = judged(others([a], [b]))[0]
    needed = images_needed(6 / 500, 46 / 500)
    assert needed is not None
    assert once.needed == needed - 500
    many = [np.repeat(one.readings.right, 4).tolist() for one in (a, b)]
    houses = np.repeat(np.arange(500), 4).tolist()
    (found,) = judged(others(*([training(right, groups=houses)] for right in many)))
    assert found.needed + 2000 == pytest.approx(4 * needed, rel=0.05)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
@settings(max_examples=30, deadline=None)
def test_any_scores_give_a_verdict(rows: list[tuple[int, int, int]]) -> None:
    """Each row a picture: its house number, and in how many of three readings each side was right."""
    houses = [house for house, _, _ in rows]
    each = [[training([row[i] > seed for row in rows], groups=houses, seed=seed) for seed in range(3)]
            for i in (1, 2)]  # fmt: skip
    both = others(*each)
    if both.houses < 2:
        with pytest.raises(UsageError, match="not a sample"):
            verdict.measure(both, 0.95)
        return
    (found,) = judged(both)
    assert found.interval.low <= found.difference + 1e-12
    assert found.difference <= found.interval.high + 1e-12
    assert 0 < found.p <= found.p_holm <= found.p_both <= 1
    assert found.needed is None or found.needed > 0


# ----------------------------------------------------------------------------- verdicts


def test_a_difference_is_said_in_one_sentence_either_way() -> None:
    a, b = halves(10, 30, 950, 10)
    better, worse = judged(others([a], [b]))[0], judged(others([b], [a]))[0]
    low, high = (round(100 * end, 1) for end in (better.interval.low, better.interval.high))
    assert f"{binomtest(10, 40).pvalue:.2g}" == "0.0022"
    assert better.verdict == f"B is better by 2.0 points, 95% {low} to {high}, p = 0.0022"
    assert (better.outcome, worse.outcome) == ("better", "worse")
    assert worse.verdict.startswith("B is worse by 2.0 points, 95% ")
    assert worse.interval.high < 0 < better.interval.low


def test_no_difference_comes_with_the_samples_that_it_would_take() -> None:
    a, b = halves(10, 12, 900, 78)
    (found,) = judged(others([a], [b]))
    needed = images_needed(0.002, 0.022)
    assert needed is not None
    rounded = -(-(needed - 1000) // 1000) * 1000
    low, high = (round(100 * end, 1) for end in (found.interval.low, found.interval.high))
    assert found.verdict == (
        f"no significant difference (0.2 points, 95% {low} to {high}, p = 0.83); "
        f"it would take about {rounded:,} more validation images"
    )
    assert found.outcome == "none"


def seeded(differences: Sequence[int], only_a: int) -> Pair:
    """Seeds of two sides on 1,000 pictures: with seed s, B alone is right in only_a + differences[s] of the
    first ones and A alone in only_a of the last."""
    a, b = [], []
    for seed, more in enumerate(differences):
        gain = only_a + more
        b.append(training([1] * gain + [0] * (1000 - gain), seed=seed))
        a.append(training([0] * (1000 - only_a) + [1] * only_a, seed=seed))
    return others(a, b)


def test_a_difference_within_the_seed_spread_is_not_called_better() -> None:
    both = seeded([200, -60, 10, 150, -40], 100)
    (found,) = judged(both)
    assert found.p < 0.05 < found.trainings.p
    assert found.outcome == "unsure"
    assert found.verdict.startswith("these networks of B are better by 5.2 points")
    assert "the +5.2 is within the seed spread (sd 11.6 over 5 seeds, p = 0.37)" in found.verdict
    assert found.p_both == found.trainings.p


def test_a_difference_beyond_both_kinds_of_chance_is_better() -> None:
    (found,) = judged(seeded([200, 190, 210, 205], 100))
    right = [[100 / 1000] * 4, [0.3, 0.29, 0.31, 0.305]]
    assert found.trainings.p == pytest.approx(ttest_rel(right[1], right[0]).pvalue)
    assert found.outcome == "better"
    assert "the +20.1 is beyond the seed spread" in found.verdict
    assert not any("randomness of training" in note for note in found.notes)


def test_seeds_that_agree_do_not_make_up_for_too_few_pictures() -> None:
    (found,) = judged(seeded([10, 11, 12, 10], 120))
    assert found.trainings.p < 0.05 < found.p
    assert found.outcome == "none"
    assert found.verdict.startswith("no significant difference (1.1 points")
    assert "beyond the seed spread" in found.verdict


def test_one_config_is_never_called_better_than_itself() -> None:
    a, b = halves(10, 60, 930)
    found = judged(pair(side(a), side(b)), pair(side(a, config={"seed": 0}), side(b, config={"seed": 1})))
    assert [one.outcome for one in found] == ["unsure", "unsure"]
    assert found[0].verdict.endswith("but this may not hold for another seed: both have the same config")
    assert judged(others([a], [b]))[0].outcome == "better"
    person = pair(side(a, config={}), side(b))
    assert judged(person)[0].outcome == "better"


def test_comparisons_are_corrected_together_by_the_larger_p() -> None:
    weak, strong = halves(10, 23, 967), halves(10, 60, 930)
    pairs = [others([a], [b]) for a, b in (weak, strong)] + [seeded([200, -60, 10, 150, -40], 100)]
    found = judged(*pairs)
    assert judged(pairs[0])[0].outcome == "better"
    assert [one.outcome for one in found] == ["none", "better", "unsure"]
    expected = multipletests([worst(one) for one in found], method="holm")[1]
    assert [one.p_both for one in found] == pytest.approx(expected.tolist())
    assert found[2].p_holm == pytest.approx(2 * found[2].p)  # as if its seeds had agreed
    assert found[0].verdict.startswith("no significant difference")
    assert ", 0.07 by Holm over 3" in found[0].verdict


def worst(found: dict[str, Any]) -> float:
    return max(found.p, found.trainings.p if found.trainings else 0.0)


def test_a_verdict_that_holm_takes_back_asks_for_more_samples() -> None:
    one = others(*([each] for each in halves(10, 23, 967)))
    (alone,), many = judged(one), judged(*[one] * 4)
    assert alone.outcome == "better"
    assert {found.outcome for found in many} == {"none"}
    needed = images_needed(0.013, 0.033, 1 - 0.05 / 4)
    assert needed is not None
    assert {found.needed for found in many} == {needed - 1000}


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "p = 0.05"), (0.0041, "p = 0.0041"), (0.6, "p = 0.6"), (9e-5, "p < 0.0001")]
)
def test_a_p_is_written_in_two_digits(value: float, text: str) -> None:
    assert verdict.chance(value) == text


def test_points_are_never_minus_zero() -> None:
    assert verdict.points(-0.0001) == "0.0"
    assert verdict.points(0.0024, sign=True) == "+0.2"
    assert verdict.points(-0.0024, 2) == "-0.24"


@pytest.mark.parametrize(
    ("low", "high", "digits"), [(-0.0004, 0.0053, 2), (0.002, 0.01, 1), (0.002, 0.003, 2), (0, 0, 2)]
)
def test_an_end_of_an_interval_that_is_not_zero_is_not_written_as_zero(
    low: float, high: float, digits: int
) -> None:
    assert verdict.digits_of(low, high) == digits


def test_few_house_numbers_are_warned_of() -> None:
    right = [[1, 0] * 20, [1, 1] * 20]
    notes = judged(others(*([training(one, groups=[0, 1, 2, 3] * 10)] for one in right)))[0].notes
    assert any("with only 4 house numbers" in note for note in notes)


# ----------------------------------------------------------------------------- settings


def configured(**config: Any) -> Side:
    flat = {"lr": 0.1, "seed": 0, "model.name": "cnn", "model.width": 1.0, "reg.name": "light", "reg.l1": 0}
    return side(training([1]), config={**flat, **{name.replace("__", "."): v for name, v in config.items()}})


CHANGES: dict[str, tuple[Side, list[str], str | None]] = {
    "none": (configured(), [], "the same config: any difference is due to chance"),
    "seed": (
        configured(seed=3), ["seed"], "the same config apart from the seed: any difference is due to chance"
    ),
    "one key": (configured(lr=0.2), ["lr"], None),
    "two keys": (
        configured(lr=0.2, model__width=2.0), ["lr", "model.width"], "2 settings differ (lr, model.width)"
    ),
    "a group": (
        configured(model__name="mlp", model__width=None, model__widths=[5]), ["model"], None
    ),
    "a preset": (configured(reg__name="none", reg__l1=1), ["reg"], None),
    "a group and a key": (
        configured(model__name="mlp", model__width=2.0, seed=1),
        ["model", "seed"], "2 settings differ (model, seed)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_counted_one_a_key_or_one_a_choice(name: str) -> None:
    other, expected, warning = CHANGES[name]
    assert changes.changed(configured(), other) == expected
    found = changes.warning(configured(), other)
    assert (found is None) == (warning is None)
    assert found is None or found.startswith(str(warning))


def test_the_table_shows_a_choice_and_the_keys_that_all_choices_have() -> None:
    mlp = configured(model__name="mlp", model__width=2.0, model__widths=[5], lr=0.2)
    person = side(training([1]), config={})
    assert changes.differing_keys([configured(), mlp, person]) == [
        DifferingKey("lr", [0.1, 0.2, None], "config"),
        DifferingKey("model", ["cnn", "mlp", None], "config"),
        DifferingKey("model.width", [1.0, 2.0, None], "config"),
    ]
    assert changes.warning(configured(), person) is None


def test_names_go_on_after_z() -> None:
    assert [letters(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        *("A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA")
    ]
