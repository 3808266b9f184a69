from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, bootstrap, norm, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from svhncli.core.rng import numpy_generator
from svhncli.stats.intervals import fold_interval
from svhncli.stats.significance import (
    corrected_t,
    from_resamples,
    holm,
    images_needed,
    mcnemar,
    paired_bootstrap,
    paired_t,
)

relaxed = settings(max_examples=100, deadline=None)
differences_of_runs = st.lists(st.integers(-100, 100), min_size=2, max_size=30).map(
    lambda whole: [number / 128 for number in whole]  # exact, so equal ones are equal
)


def correctness(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only_a, only_b, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def differences_of(n: int, seed: int) -> np.ndarray:
    """float (n,) of -1, 0 and 1"""
    return numpy_generator(seed, "differences").choice([-1.0, 0.0, 1.0], n, p=[0.1, 0.7, 0.2])


# ----------------------------------------------------------------------------- McNemar


@relaxed
@given(st.integers(0, 50), st.integers(0, 400), st.integers(0, 400), st.integers(0, 50))
def test_mcnemar_is_statsmodels_to_the_last_digit(both: int, only_a: int, only_b: int, neither: int) -> None:
    result = mcnemar(*correctness(both, only_a, only_b, neither))
    assert (result.only_a, result.only_b) == (only_a, only_b)
    assert result.p == statsmodels_mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue


@relaxed
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_scipys_binomial_test_of_the_discordant_images(only_a: int, only_b: int) -> None:
    if only_a + only_b:
        theirs = binomtest(only_a, only_a + only_b).pvalue
        assert mcnemar(*correctness(1, only_a, only_b, 1)).p == pytest.approx(theirs, rel=1e-10)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(*correctness(7, 1, 5, 2)).p == 2 * (1 + 6) / 2**6
    assert mcnemar(*correctness(7, 0, 0, 2)).p == 1
    assert mcnemar(*correctness(7, 3, 3, 2)).p == 1


def test_mcnemar_refuses_models_on_different_images() -> None:
    with pytest.raises(ValueError, match="paired"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


# ----------------------------------------------------------------------------- paired bootstrap


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_of_the_same_resamples_is_scipys_to_the_last_digit(level: float) -> None:
    data = differences_of(150, 0)
    theirs = bootstrap((data,), np.mean, n_resamples=2000, confidence_level=level, method="percentile", rng=1)
    ours = from_resamples(float(data.mean()), theirs.bootstrap_distribution, level).interval
    assert (ours.low, ours.high) == (theirs.confidence_interval.low, theirs.confidence_interval.high)
    assert (ours.level, ours.method) == (level, "percentile bootstrap")


@pytest.mark.parametrize("many_kinds", [False, True])
def test_bootstrap_is_scipys_but_for_the_draws(many_kinds: bool) -> None:
    data = differences_of(400, 1)
    if many_kinds:
        data = data + numpy_generator(1, "noise").normal(scale=0.1, size=400)
    theirs = bootstrap((data,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    ours = paired_bootstrap(data, seed=0, resamples=20_000)
    ends = (theirs.confidence_interval.low, theirs.confidence_interval.high)
    # two draws of 20,000: the error of a 2.5% quantile is some 0.02 standard errors
    assert (ours.interval.low, ours.interval.high) == pytest.approx(ends, abs=0.1 * theirs.standard_error)
    assert ours.mean == data.mean()


@pytest.mark.parametrize("many_kinds", [False, True])
def test_bootstrap_of_groups_is_scipys_of_the_ratio_of_their_sums(many_kinds: bool) -> None:
    draw = numpy_generator(2, "groups")
    sizes = draw.integers(1, 6, 120)
    groups = np.repeat(np.arange(120) * 7 - 50, sizes)
    data = np.repeat(draw.choice([-1.0, 0.0, 1.0], 120, p=[0.05, 0.15, 0.8]), sizes)
    if many_kinds:
        data += draw.normal(scale=0.1, size=len(data))
    sums = np.bincount(np.repeat(np.arange(120), sizes), data)

    def ratio(index: np.ndarray, axis: int) -> np.ndarray:
        return sums[index].sum(axis) / sizes[index].sum(axis)

    theirs = bootstrap((np.arange(120),), ratio, n_resamples=20_000, method="percentile", rng=1)
    shuffled = draw.permutation(len(data))
    ours = paired_bootstrap(data[shuffled], groups[shuffled], seed=0, resamples=20_000)
    ends = (theirs.confidence_interval.low, theirs.confidence_interval.high)
    assert (ours.interval.low, ours.interval.high) == pytest.approx(ends, abs=0.1 * theirs.standard_error)
    # images of one group are alike here, so treating them as independent would give a much shorter interval
    naive = paired_bootstrap(data, seed=0).interval
    assert naive.high - naive.low < 0.7 * (ours.interval.high - ours.interval.low)


def test_bootstrap_of_two_images_is_the_binomial_of_two_draws() -> None:
    two_sided = paired_bootstrap(np.array([-1.0, 1.0]), seed=0, resamples=40_000, level=0.4)
    assert (two_sided.interval.low, two_sided.interval.high) == (0, 0)  # means -1, 0, 1 with 1/4, 1/2, 1/4
    assert two_sided.p == 1
    one_sided = paired_bootstrap(np.array([0.0, 1.0]), seed=0, resamples=40_000)
    assert one_sided.p == pytest.approx(2 / 4, abs=0.02)  # only two draws of the 0 do not exceed 0


def test_p_is_the_level_at_which_the_interval_leaves_0() -> None:
    means = numpy_generator(0, "means").normal(1.7, size=999)
    p = from_resamples(1.7, means).p
    assert from_resamples(1.7, means, level=1 - 1.05 * p).interval.low > 0
    assert from_resamples(1.7, means, level=1 - 0.95 * p).interval.low < 0
    assert from_resamples(-1.7, -means).p == p


def test_p_is_never_0() -> None:
    assert paired_bootstrap(np.ones(5), seed=0, resamples=99).p == 2 / 100
    assert paired_bootstrap(np.zeros(5), seed=0, resamples=99).p == 1


def test_the_result_depends_on_the_seed_and_not_on_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    data = numpy_generator(0, "loss").normal(size=300)
    whole = paired_bootstrap(data, seed=3, resamples=500)
    assert whole != paired_bootstrap(data, seed=4, resamples=500)
    monkeypatch.setattr("svhncli.stats.significance.CELLS", 1000)
    batches = paired_bootstrap(data, seed=3, resamples=500)
    assert batches.p == whole.p
    assert batches.interval.low == pytest.approx(whole.interval.low, rel=1e-12)  # sums in another order
    assert batches.interval.high == pytest.approx(whole.interval.high, rel=1e-12)


@pytest.mark.parametrize(
    ("data", "groups", "message"),
    [
        (np.zeros(0), None, "0 group"),
        (np.zeros(4), np.zeros(4, int), "1 group"),
        (np.zeros(4), np.zeros(3, int), "belong"),
    ],
)
def test_bootstrap_refuses_images_that_cannot_be_resampled(
    data: np.ndarray, groups: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(data, groups, seed=0)


def test_bootstrap_refuses_no_resamples_and_a_level_outside_0_to_1() -> None:
    with pytest.raises(ValueError, match="resamples"):
        paired_bootstrap(np.zeros(4), seed=0, resamples=0)
    with pytest.raises(ValueError, match="level"):
        paired_bootstrap(np.zeros(4), seed=0, level=95)


# ----------------------------------------------------------------------------- t-tests


@relaxed
@given(differences_of_runs, st.integers(1, 99))
def test_paired_t_is_scipys(differences: list[float], shift: int) -> None:
    assume(len(set(differences)) > 1)
    a = np.arange(len(differences)) / 64 + shift
    theirs = ttest_rel(a + differences, a)
    ours = paired_t(differences)
    ends = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)
    assert (ours.interval.low, ours.interval.high) == pytest.approx(
        (ends.low, ends.high), rel=1e-9, abs=1e-12
    )
    assert (ours.mean, ours.interval.method) == (pytest.approx(np.mean(differences)), "paired t")


def test_corrected_t_by_hand() -> None:
    # mean 0.02; s² = 0.0004; the corrected error is the root of 0.0004 (1/3 + 1/2); with 2 degrees of freedom
    # t has the closed form p = 1 - t / √(2 + t²)
    t = 0.02 / math.sqrt(0.0004 * (1 / 3 + 100 / 200))
    result = corrected_t([0.00, 0.02, 0.04], 200, 100)
    assert result.p == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-12)
    assert result.mean == pytest.approx(0.02, rel=1e-12)
    assert result.interval == fold_interval([0.00, 0.02, 0.04], 200, 100)


@relaxed
@given(differences_of_runs, st.floats(0.01, 10))
def test_corrected_t_widens_the_paired_interval_by_the_overlap(
    differences: list[float], overlap: float
) -> None:
    plain, corrected = paired_t(differences), corrected_t(differences, 1, overlap)
    ratio = math.sqrt(1 + overlap * len(differences))
    half = corrected.interval.high - corrected.mean
    assert half == pytest.approx(ratio * (plain.interval.high - plain.mean), rel=1e-9, abs=1e-12)
    assert corrected.p >= plain.p
    assert (corrected.p < 0.05) == (not corrected.interval.low <= 0 <= corrected.interval.high)


def test_equal_differences_give_p_0_or_1() -> None:
    assert paired_t([0.25, 0.25]).p == 0
    assert paired_t([0.0, 0.0, 0.0]).p == 1
    assert corrected_t([0.25, 0.25], 4, 1).interval.low == 0.25


def test_t_tests_refuse_a_single_run_and_empty_parts() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        paired_t([0.1])
    with pytest.raises(ValueError, match="above 0"):
        corrected_t([0.1, 0.2], 0, 1)
    with pytest.raises(ValueError, match="level"):
        paired_t([0.1, 0.2], level=1)


# ----------------------------------------------------------------------------- Holm


@pytest.mark.engine
@settings(max_examples=15, deadline=None)  # theirs collects garbage at every call, a tenth of a second
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_is_statsmodels_to_the_last_digit(p_values: list[float]) -> None:
    assert holm(p_values) == multipletests(p_values, method="holm")[1].tolist()


def test_holm_by_hand() -> None:
    assert holm([0.5, 0.01, 0.02, 0.02]) == [0.5, 0.04, 0.06, 0.06]
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_holm_refuses_values_outside_0_to_1(wrong: float) -> None:
    with pytest.raises(ValueError, match="within 0 and 1"):
        holm([0.5, wrong])


# ----------------------------------------------------------------------------- images needed


def power_of_mcnemar(n: int, only_a: float, only_b: float, level: float) -> float:
    """The normal test's: over the number of discordant images, then over how many of them are B's."""
    discordant = np.arange(1, n + 1)
    reject = 0.0
    for many, chance in zip(discordant, binom.pmf(discordant, n, only_a + only_b), strict=True):
        if chance > 1e-9:
            b = np.arange(many + 1)
            hit = np.abs(2 * b - many) / math.sqrt(many) > norm.ppf((1 + level) / 2)
            reject += chance * binom.pmf(b[hit], many, only_b / (only_a + only_b)).sum()
    return reject


@pytest.mark.parametrize(
    ("only_a", "only_b", "level", "power"),
    [(0.05, 0.10, 0.95, 0.8), (0.02, 0.05, 0.95, 0.9), (0.04, 0.07, 0.99, 0.8), (0.10, 0.05, 0.9, 0.8)],
)
def test_images_needed_give_the_power_asked_for(
    only_a: float, only_b: float, level: float, power: float
) -> None:
    n = images_needed(only_b - only_a, only_a + only_b, level, power)
    assert n is not None
    assert power_of_mcnemar(n, only_a, only_b, level) == pytest.approx(power, abs=0.02)


def test_images_needed_by_hand() -> None:
    # (1.959964 √0.15 + 0.841621 √(0.15 - 0.0025))² / 0.0025
    assert images_needed(0.05, 0.15) == images_needed(-0.05, 0.15) == 469
    assert images_needed(0.0, 0.15) is None
    assert images_needed(0.0, 0.0) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [((0.2, 0.1), "discordant"), ((0.2, 1.1), "discordant"), ((0.1, 0.2, 0.95, 1.0), "power")],
)
def test_images_needed_refuses_the_impossible(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        images_needed(*values)


@pytest.mark.e2e
def test_importing_significance_does_not_import_scipy() -> None:
    code = "import sys, svhncli.stats.significance; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
