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


def run(
    correct: Sequence[int],
    index: Sequence[int] | None = None,
    groups: Sequence[int] | None = None,
    *,
    seed: int | None = 0,
    split: str = "s",
    sizes: tuple[int, int] = (80, 20),
) -> Training:
    """A run on images labelled by their index; those with a 1 are predicted correctly."""
    indices = np.arange(len(correct)) if index is None else np.array(index)
    labels = indices.astype(str)
    predicted = np.where(np.array(correct, bool), labels, "wrong")
    houses = indices if groups is None else np.array(groups)
    return Training(
        seed,
        split,
        *sizes,
        PredictionRows(indices, houses, labels, predicted, *np.full((2, len(indices)), "")),
    )


def side(*runs: Training, name: str = "run", **fields: Any) -> Side:
    defaults = {"data": "d", "fingerprint": "f", "part": "train", "config": {"lr": 1}}
    return Side(Path(name), trainings=runs, **{**defaults, **fields})


def two_configs(a: Sequence[Training], b: Sequence[Training]) -> Pair:
    """The runs of two configs, paired."""
    return pair(side(*a), side(*b, config={"lr": 2}))


def comparisons(*pairs: Pair, level: float = 0.95) -> list[Comparison]:
    names = [("A", chr(ord("B") + i)) for i in range(len(pairs))]
    return verdict.judge([verdict.measure(paired, level) for paired in pairs], names, level)


def two_runs(only_a: int, only_b: int, both: int, neither: int = 0) -> tuple[Training, Training]:
    """Two runs; the counts are of images that only A, only B, both or neither predicts correctly."""
    a = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return run(a), run(b)


# ----------------------------------------------------------------------------- pairing


def test_common_images_are_paired_and_images_of_a_single_side_are_counted() -> None:
    a = side(run([1, 0, 1, 1, 0], [5, 1, 2, 3, 4]))
    b = side(run([0, 1, 1], [7, 3, 1]))
    paired = pair(a, b)
    assert paired.index.tolist() == [1, 3]
    assert paired.differences.tolist() == [1, 0]  # image 1: A wrong, B correct; 3: both correct
    assert paired.left_out == (3, 1)


def test_an_image_predicted_several_times_scores_its_share_of_correct_predictions() -> None:
    a = side(run([1, 1, 0]), run([1, 0, 0], seed=1), run([0, 0, 0], seed=2))
    b = side(run([1, 0, 1]))
    paired = pair(a, b)
    assert paired.a_scores == pytest.approx([2 / 3, 1 / 3, 0])
    assert paired.differences == pytest.approx([1 / 3, -1 / 3, 1])
    assert not paired.is_predicted_once
    assert verdict.measure(paired, 0.95).counts is None
    assert pair(b, b).is_predicted_once


@pytest.mark.parametrize("known", ["a", "b", "both"])
def test_house_numbers_come_from_the_side_that_knows_them(known: str) -> None:
    groups = {name: [7, 7, 8, 8] if known in (name, "both") else None for name in "ab"}
    paired = pair(*(side(run([1, 0, 1, 0], groups=groups[name])) for name in "ab"))
    assert paired.groups.tolist() == [7, 7, 8, 8]
    assert paired.group_count == 2


def test_a_label_that_differs_is_refused() -> None:
    a, b = run([1, 1, 1]), run([1, 1, 1], [2, 0, 1])
    assert pair(side(a), side(b)).index.tolist() == [0, 1, 2]
    label = np.where(b.rows.index == 1, "9", b.rows.label)
    broken = PredictionRows(b.rows.index, b.rows.group, label, b.rows.prediction, b.rows.fold, b.rows.name)
    with pytest.raises(CheckpointError, match="different labels for image 1"):
        pair(side(a), side(Training(0, "s", 1, 1, broken)))


@pytest.mark.parametrize("more", [{"fingerprint": "g"}, {"part": "val"}])
def test_images_of_other_data_or_another_part_are_never_paired(more: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"different images or labels|none in common"):
        pair(side(run([1, 0])), side(run([1, 0]), **more))


def test_folds_are_paired_by_their_images_and_seeds_of_a_fold_count_once() -> None:
    a = side(
        run([1, 0], [0, 1], split="x", seed=0, sizes=(60, 40)),
        run([1, 1], [0, 1], split="x", seed=1, sizes=(60, 40)),
        run([0, 0], [2, 3], split="y", seed=0, sizes=(80, 20)),
        run([0, 0], [4, 5], split="z", seed=0, sizes=(1, 1)),
    )
    b = side(
        run([1, 1], [2, 3], split="y"),
        run([0, 0], [0, 1], split="x"),
        run([1, 1], [4, 5], split="w"),
    )
    folds = trainings(pair(a, b))
    assert folds is not None
    assert (folds.over, folds.differences) == ("folds", [-0.75, 1.0])  # x: 0 - mean(0.5, 1); y: 1 - 0
    assert (folds.n_train, folds.n_val) == (pytest.approx(200 / 3), pytest.approx(100 / 3))


def test_seeds_are_paired_by_number_on_the_common_images() -> None:
    a = side(*(run([1, 0, 1, 1], seed=seed) for seed in (0, 1, 2)))
    b = side(run([1, 1], [1, 2], seed=2), run([0, 1], [1, 2], seed=1), run([0, 0], [1, 2], seed=9))
    seeds = trainings(pair(a, b))
    assert seeds is not None
    assert (seeds.over, seeds.differences) == ("seeds", [0.0, 0.5])  # images 1 and 2 alone count


def test_single_runs_give_no_pairs_and_folds_of_a_test_part_do_not_count() -> None:
    assert trainings(pair(side(run([1, 0])), side(run([0, 1])))) is None
    folds = [run([1, 0], split=name) for name in "xy"]
    assert trainings(pair(side(*folds), side(*folds))) is not None
    assert trainings(pair(side(*folds, part="test"), side(*folds, part="test"))) is None


# ----------------------------------------------------------------------------- the tests


def test_independent_images_predicted_once_get_mcnemars_test() -> None:
    a, b = two_runs(5, 18, 70, 7)
    (comparison,) = comparisons(two_configs([a], [b]))
    assert (comparison.only_a, comparison.only_b, comparison.pictures) == (5, 18, 100)
    assert comparison.p == pytest.approx(binomtest(5, 23).pvalue)
    assert comparison.test == "McNemar, exact"


def test_shared_house_numbers_make_the_p_larger_than_mcnemars() -> None:
    """Every image ten times: ten times the images, but no more information."""
    a, b = two_runs(5, 18, 70, 7)
    once = comparisons(two_configs([a], [b]))[0]
    repeated = [np.repeat(single.rows.correct, 10).tolist() for single in (a, b)]
    houses = np.repeat(np.arange(100), 10).tolist()
    (comparison,) = comparisons(two_configs(*([run(correct, groups=houses)] for correct in repeated)))
    assert (comparison.only_a, comparison.only_b) == (50, 180)
    assert binomtest(50, 230).pvalue < 1e-15  # as if the images were independent
    assert comparison.p > 1e-3
    assert comparison.test == "bootstrap over groups of images"
    ends = [comparison.interval.low, comparison.interval.high]
    assert ends == pytest.approx([once.interval.low, once.interval.high], abs=0.01)


def test_dependent_images_raise_the_number_of_images_needed() -> None:
    a, b = two_runs(20, 26, 400, 54)
    once = comparisons(two_configs([a], [b]))[0]
    needed = images_needed(6 / 500, 46 / 500)
    assert needed is not None
    assert once.needed == needed - 500
    repeated = [np.repeat(single.rows.correct, 4).tolist() for single in (a, b)]
    houses = np.repeat(np.arange(500), 4).tolist()
    (comparison,) = comparisons(two_configs(*([run(correct, groups=houses)] for correct in repeated)))
    assert comparison.needed + 2000 == pytest.approx(4 * needed, rel=0.05)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
@settings(max_examples=30, deadline=None)
def test_any_scores_give_a_verdict(rows: list[tuple[int, int, int]]) -> None:
    """Each row is an image: its house number, and how many of three predictions of each side are correct."""
    houses = [house for house, _, _ in rows]
    sides = [[run([row[i] > seed for row in rows], groups=houses, seed=seed) for seed in range(3)]
            for i in (1, 2)]  # fmt: skip
    paired = two_configs(*sides)
    if paired.group_count < 2:
        with pytest.raises(UsageError, match="not a sample"):
            verdict.measure(paired, 0.95)
        return
    (comparison,) = comparisons(paired)
    assert comparison.interval.low <= comparison.difference + 1e-12
    assert comparison.difference <= comparison.interval.high + 1e-12
    assert 0 < comparison.p <= comparison.p_holm <= comparison.p_both <= 1
    assert comparison.needed is None or comparison.needed > 0


# ----------------------------------------------------------------------------- verdicts


def test_the_verdict_states_the_difference_in_a_sentence_in_either_direction() -> None:
    a, b = two_runs(10, 30, 950, 10)
    better, worse = comparisons(two_configs([a], [b]))[0], comparisons(two_configs([b], [a]))[0]
    low, high = (round(100 * end, 1) for end in (better.interval.low, better.interval.high))
    assert f"{binomtest(10, 40).pvalue:.2g}" == "0.0022"
    assert better.verdict == f"B is better by 2.0 points, 95% {low} to {high}, p = 0.0022"
    assert (better.outcome, worse.outcome) == ("better", "worse")
    assert worse.verdict.startswith("B is worse by 2.0 points, 95% ")
    assert worse.interval.high < 0 < better.interval.low


def test_a_verdict_of_no_difference_names_the_samples_needed() -> None:
    a, b = two_runs(10, 12, 900, 78)
    (comparison,) = comparisons(two_configs([a], [b]))
    needed = images_needed(0.002, 0.022)
    assert needed is not None
    rounded = -(-(needed - 1000) // 1000) * 1000
    low, high = (round(100 * end, 1) for end in (comparison.interval.low, comparison.interval.high))
    assert comparison.verdict == (
        f"no significant difference (0.2 points, 95% {low} to {high}, p = 0.83); "
        f"it would take about {rounded:,} more validation images"
    )
    assert comparison.outcome == "none"


def seeded(differences: Sequence[int], only_a: int) -> Pair:
    """Seeds of two sides on 1,000 images: with seed s, B alone is correct on the first only_a +
    differences[s] of them and A alone on the last only_a."""
    a, b = [], []
    for seed, more in enumerate(differences):
        gain = only_a + more
        b.append(run([1] * gain + [0] * (1000 - gain), seed=seed))
        a.append(run([0] * (1000 - only_a) + [1] * only_a, seed=seed))
    return two_configs(a, b)


def test_a_difference_within_the_seed_spread_is_not_called_better() -> None:
    paired = seeded([200, -60, 10, 150, -40], 100)
    (comparison,) = comparisons(paired)
    assert comparison.p < 0.05 < comparison.trainings.p
    assert comparison.outcome == "unsure"
    assert comparison.verdict.startswith("these networks of B are better by 5.2 points")
    assert "the +5.2 is within the seed spread (sd 11.6 over 5 seeds, p = 0.37)" in comparison.verdict
    assert comparison.p_both == comparison.trainings.p


def test_a_difference_beyond_both_kinds_of_chance_is_better() -> None:
    (comparison,) = comparisons(seeded([200, 190, 210, 205], 100))
    accuracies = [[100 / 1000] * 4, [0.3, 0.29, 0.31, 0.305]]
    assert comparison.trainings.p == pytest.approx(ttest_rel(accuracies[1], accuracies[0]).pvalue)
    assert comparison.outcome == "better"
    assert "the +20.1 is beyond the seed spread" in comparison.verdict
    assert not any("randomness of training" in note for note in comparison.notes)


def test_seeds_that_agree_do_not_make_up_for_too_few_images() -> None:
    (comparison,) = comparisons(seeded([10, 11, 12, 10], 120))
    assert comparison.trainings.p < 0.05 < comparison.p
    assert comparison.outcome == "none"
    assert comparison.verdict.startswith("no significant difference (1.1 points")
    assert "beyond the seed spread" in comparison.verdict


def test_a_config_is_never_called_better_than_itself() -> None:
    a, b = two_runs(10, 60, 930)
    results = comparisons(
        pair(side(a), side(b)), pair(side(a, config={"seed": 0}), side(b, config={"seed": 1}))
    )
    assert [comparison.outcome for comparison in results] == ["unsure", "unsure"]
    assert results[0].verdict.endswith("but this may not hold for another seed: both have the same config")
    assert comparisons(two_configs([a], [b]))[0].outcome == "better"
    person = pair(side(a, config={}), side(b))
    assert comparisons(person)[0].outcome == "better"


def test_comparisons_are_corrected_together_by_the_larger_p() -> None:
    weak, strong = two_runs(10, 23, 967), two_runs(10, 60, 930)
    pairs = [two_configs([a], [b]) for a, b in (weak, strong)] + [seeded([200, -60, 10, 150, -40], 100)]
    compared = comparisons(*pairs)
    assert comparisons(pairs[0])[0].outcome == "better"
    assert [comparison.outcome for comparison in compared] == ["none", "better", "unsure"]
    expected = multipletests([larger_p(comparison) for comparison in compared], method="holm")[1]
    assert [comparison.p_both for comparison in compared] == pytest.approx(expected.tolist())
    assert compared[2].p_holm == pytest.approx(2 * compared[2].p)  # as if its seeds had agreed
    assert compared[0].verdict.startswith("no significant difference")
    assert ", 0.07 by Holm over 3" in compared[0].verdict


def larger_p(comparison: dict[str, Any]) -> float:
    return max(comparison.p, comparison.trainings.p if comparison.trainings else 0.0)


def test_a_verdict_that_holm_overturns_asks_for_more_samples() -> None:
    paired = two_configs(*([single] for single in two_runs(10, 23, 967)))
    (alone,), repeated = comparisons(paired), comparisons(*[paired] * 4)
    assert alone.outcome == "better"
    assert {comparison.outcome for comparison in repeated} == {"none"}
    needed = images_needed(0.013, 0.033, 1 - 0.05 / 4)
    assert needed is not None
    assert {comparison.needed for comparison in repeated} == {needed - 1000}


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "p = 0.05"), (0.0041, "p = 0.0041"), (0.6, "p = 0.6"), (9e-5, "p < 0.0001")]
)
def test_p_values_are_written_with_two_digits(value: float, text: str) -> None:
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


def test_few_house_numbers_bring_a_warning() -> None:
    outcomes = [[1, 0] * 20, [1, 1] * 20]
    sides = ([run(correct, groups=[0, 1, 2, 3] * 10)] for correct in outcomes)
    notes = comparisons(two_configs(*sides))[0].notes
    assert any("with only 4 groups" in note for note in notes)


# ----------------------------------------------------------------------------- settings


def configured(**config: Any) -> Side:
    flat = {"lr": 0.1, "seed": 0, "model.name": "cnn", "model.width": 1.0, "reg.name": "light", "reg.l1": 0}
    return side(run([1]), config={**flat, **{name.replace("__", "."): v for name, v in config.items()}})


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
def test_every_changed_key_or_choice_counts_once(name: str) -> None:
    other, expected, warning = CHANGES[name]
    assert changes.changed(configured(), other) == expected
    message = changes.warning(configured(), other)
    assert (message is None) == (warning is None)
    assert message is None or message.startswith(str(warning))


def test_the_table_shows_a_choice_and_the_keys_that_all_choices_have() -> None:
    mlp = configured(model__name="mlp", model__width=2.0, model__widths=[5], lr=0.2)
    person = side(run([1]), config={})
    assert changes.differing_keys([configured(), mlp, person]) == [
        DifferingKey("lr", [0.1, 0.2, None], "config"),
        DifferingKey("model", ["cnn", "mlp", None], "config"),
        DifferingKey("model.width", [1.0, 2.0, None], "config"),
    ]
    assert changes.warning(configured(), person) is None


def test_letters_continue_after_z() -> None:
    assert [letters(number) for number in (0, 25, 26, 27, 51, 52, 701, 702)] == [
        *("A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA")
    ]
