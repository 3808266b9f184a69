from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from svhncli.core.rng import numpy_generator
from svhncli.stats.intervals import fold_interval, wilson


@settings(deadline=None)
@given(
    st.integers(1, 30_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.5, 0.9, 0.95, 0.999]),
)
def test_wilson_is_scipys_and_statsmodels(trials: tuple[int, int], level: float) -> None:
    successes, n = trials
    ours = wilson(successes, n, level)
    theirs = binomtest(successes, n).proportion_ci(level, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx(
        proportion_confint(successes, n, 1 - level, method="wilson"), rel=1e-9, abs=1e-12
    )
    assert 0 <= ours.low <= successes / n <= ours.high <= 1
    assert (ours.level, ours.method) == (level, "wilson")


def test_wilson_of_a_perfect_score_is_not_empty() -> None:
    assert wilson(198, 198).high == 1
    assert wilson(198, 198).low == pytest.approx(198 / (198 + 1.959963984540054**2))
    assert wilson(0, 198).low == 0


def test_fold_interval_by_hand() -> None:
    # mean 0.9; s² = (0.02² + 0 + 0.02²) / 2 = 0.0004; with 2 degrees of freedom t has a closed form
    half = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025)) * math.sqrt(0.0004 * (1 / 3 + 100 / 200))
    interval = fold_interval([0.88, 0.90, 0.92], 200, 100)
    assert (interval.low, interval.high) == pytest.approx((0.9 - half, 0.9 + half), rel=1e-12)
    assert (interval.level, interval.method) == (0.95, "corrected resampled t")


def test_fold_interval_of_independent_samples_is_students() -> None:
    values = numpy_generator(0, "values").normal(size=12)
    interval = fold_interval(values.tolist(), 10**12, 1, level=0.9)
    half = 1.795884818704044 * values.std(ddof=1) / math.sqrt(12)  # t(0.95; 11)
    ends = (values.mean() - half, values.mean() + half)
    assert (interval.low, interval.high) == pytest.approx(ends, rel=1e-9)


def test_fold_interval_of_equal_scores_is_a_point() -> None:
    interval = fold_interval([0.5, 0.5, 0.5], 2, 1)
    assert (interval.low, interval.high) == (0.5, 0.5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2), (0, -1)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no interval"):
        wilson(successes, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, level)
    with pytest.raises(ValueError, match="level"):
        fold_interval([0.1, 0.2], 2, 1, level)


def test_fold_interval_refuses_a_single_score_and_empty_parts() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        fold_interval([0.9], 200, 100)
    with pytest.raises(ValueError, match="above 0"):
        fold_interval([0.8, 0.9], 0, 100)
    with pytest.raises(ValueError, match="above 0"):
        fold_interval([0.8, 0.9], 100, 0)


@pytest.mark.e2e
def test_importing_stats_does_not_import_scipy() -> None:
    code = "import sys, svhncli.stats; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
