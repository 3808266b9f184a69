from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, t
from sklearn.metrics import cohen_kappa_score
from statsmodels.api import OLS
from statsmodels.stats.proportion import proportion_confint

from svhncli.core.rng import numpy_generator
from svhncli.stats.estimates import (
    clustered_wilson,
    leave_one_out,
    no_information_rate,
    point632,
    point632plus,
    resampled_intervals,
)
from svhncli.stats.intervals import wilson

relaxed = settings(max_examples=100, deadline=None)
share = st.integers(0, 1000).map(lambda whole: whole / 1000)


def house_numbers(many: int, seed: int, stick: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """0/1 scores float (N,) and groups int (N,) of 1 to 5 images, a share `stick` like the first."""
    draw = numpy_generator(seed, "house numbers")
    groups = np.repeat(np.arange(many) * 7 - 50, draw.integers(1, 6, many))
    scores = (draw.random(len(groups)) < 0.8).astype(float)
    first = scores[np.searchsorted(groups, groups)]
    scores = np.where(draw.random(len(groups)) < stick, first, scores)
    shuffled = draw.permutation(len(groups))
    return scores[shuffled], groups[shuffled]


# ----------------------------------------------------------------------------- clustered Wilson


@relaxed
@given(
    st.integers(2, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.5, 0.95, 0.999]),
    st.randoms(use_true_random=False),
)
def test_clustered_wilson_without_groups_is_wilson_to_the_last_digit(
    trials: tuple[int, int], level: float, order
) -> None:
    correct, n = trials
    groups = list(range(n))
    order.shuffle(groups)
    clustered = clustered_wilson(np.arange(n) < correct, np.array(groups), level)
    plain = wilson(correct, n, level)
    assert (clustered.low, clustered.high, clustered.level) == (plain.low, plain.high, level)
    assert clustered.method == "clustered wilson"


@pytest.mark.parametrize("seed", range(5))
def test_the_variance_is_statsmodels_cluster_robust_variance(seed: int) -> None:
    scores, groups = house_numbers(60, seed)
    fit = OLS(scores, np.ones(len(scores))).fit(
        cov_type="cluster", cov_kwds={"groups": groups - groups.min()}
    )
    mean, n, n_groups = scores.mean(), len(scores), len(np.unique(groups))
    effect = fit.bse[0] ** 2 / (mean * (1 - mean) / (n - 1))
    assert effect > 1.3
    effect *= (t.ppf(0.975, n_groups - 1) / t.ppf(0.975, n - 1)) ** 2
    ends = proportion_confint(mean * n / effect, n / effect, method="wilson")
    interval = clustered_wilson(scores, groups)
    assert (interval.low, interval.high) == pytest.approx(ends, rel=1e-9)


def test_duplicated_images_count_once() -> None:
    once = house_numbers(300, 0)[0]
    n = len(once)
    clustered = clustered_wilson(np.tile(once, 2), np.tile(np.arange(n), 2))
    plain = wilson(once.sum(), n)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=1e-4)


def test_the_effect_is_never_below_1() -> None:
    # each group has a correct and a wrong image: the mean does not vary over groups at all
    clustered, plain = clustered_wilson(np.tile([0.0, 1.0], 50), np.repeat(np.arange(50), 2)), wilson(50, 100)
    assert clustered.low == pytest.approx(plain.low, abs=2e-3)
    assert clustered.high - clustered.low >= plain.high - plain.low
    shares = clustered_wilson(np.full(100, 0.5), np.arange(100))
    assert (shares.low, shares.high) == (plain.low, plain.high)


@pytest.mark.parametrize("all_alike", [0.0, 1.0])
def test_equal_scores_count_as_independent_images(all_alike: float) -> None:
    clustered = clustered_wilson(np.full(400, all_alike), np.repeat(np.arange(200), 2))
    plain = wilson(int(400 * all_alike), 400)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=1e-4)


@pytest.mark.parametrize("many", [15, 100])
def test_clustered_wilson_covers_where_wilson_does_not(many: int) -> None:
    covered = {"clustered": 0, "plain": 0}
    for seed in range(500):
        scores, groups = house_numbers(many, seed, stick=1.0)
        clustered, plain = clustered_wilson(scores, groups), wilson(scores.sum(), len(scores))
        covered["clustered"] += clustered.low <= 0.8 <= clustered.high
        covered["plain"] += plain.low <= 0.8 <= plain.high
    assert covered["clustered"] / 500 > 0.92  # 0.95, with a standard error of 0.01
    assert covered["plain"] / 500 < 0.82


@pytest.mark.parametrize(
    ("scores", "groups", "message"),
    [
        ([], [], "0 group"),
        ([1, 0], [3, 3], "1 group"),
        ([1, 1.1], [0, 1], "outside"),
        ([1], [0, 1], "belong"),
    ],
)
def test_scores_without_an_interval_are_refused(scores: list[float], groups: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clustered_wilson(np.array(scores), np.array(groups))
    with pytest.raises(ValueError, match="level"):
        clustered_wilson(np.array([0, 1]), np.array([0, 1]), 95)


# ----------------------------------------------------------------------------- out of bag


def test_leave_one_out_averages_over_images_and_not_over_predictions() -> None:
    # shares wrong: 1/1, 0/4, 1/2; the third was never out of bag. Over predictions it would be 2/7
    assert leave_one_out(np.array([1, 0, 0, 1]), np.array([1, 4, 0, 2])) == 0.5
    with pytest.raises(ValueError, match="out of bag"):
        leave_one_out(np.zeros(3), np.zeros(3, int))


def test_no_information_rate_by_hand() -> None:
    # p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): 1 - (1/8 + 1/16 + 1/8)
    assert no_information_rate(np.array([0, 0, 1, 2]), np.array([0, 1, 2, 2])) == 1 - 5 / 16
    assert no_information_rate(np.array(["12", "7"]), np.array(["12", "8"])) == 3 / 4
    assert no_information_rate(np.array([4, 4]), np.array([4, 4])) == 0
    with pytest.raises(ValueError, match="0 images"):
        no_information_rate(np.array([]), np.array([]))


@relaxed
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=60))
def test_no_information_rate_is_the_chance_part_of_cohens_kappa(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    assume(len(np.unique(pairs)) > 1)
    agreed, kappa = np.mean(labels == predicted), cohen_kappa_score(labels, predicted)
    assume(agreed < 1)  # else kappa hides it
    by_chance = 1 - (agreed - kappa) / (1 - kappa)
    assert no_information_rate(labels, predicted) == pytest.approx(by_chance, abs=1e-12)


# ----------------------------------------------------------------------------- .632 and .632+


def test_random_labels_give_efron_and_tibshiranis_example() -> None:
    # a nearest neighbour, two classes, labels by a coin: training error 0, every other 0.5
    assert point632(0, 0.5).value == pytest.approx(0.316)
    estimate = point632plus(0, 0.5, 0.5)
    assert (estimate.value, estimate.R, estimate.weight) == (pytest.approx(0.5), 1, pytest.approx(1))


def test_632plus_by_hand() -> None:
    estimate = point632plus(0.1, 0.3, 0.9)
    by_hand = (0.1 + 0.2 * 0.632 / 0.908, 0.25, 0.632 / 0.908)
    assert (estimate.value, estimate.R, estimate.weight) == pytest.approx(by_hand)
    assert point632(0.1, 0.3).value == pytest.approx(0.0368 + 0.1896)
    assert (point632(0.1, 0.3).R, point632(0.1, 0.3).weight) == (0, 0.632)


@relaxed
@given(share, share, share)
def test_632plus_is_632_plus_a_term_for_overfitting(train: float, oob: float, gamma: float) -> None:
    estimate, capped = point632plus(train, oob, gamma), min(oob, gamma)
    added = (capped - train) * 0.368 * 0.632 * estimate.R / (1 - 0.368 * estimate.R)
    assert estimate.value == pytest.approx(point632(train, capped).value + added, abs=1e-12)
    assert 0 <= estimate.R <= 1
    assert 0.632 <= estimate.weight <= 1 + 1e-12
    assert min(train, capped) - 1e-12 <= estimate.value <= max(train, capped) + 1e-12
    if capped <= train:
        assert estimate.R == 0


def test_an_out_of_bag_error_above_guessing_counts_as_guessing() -> None:
    assert point632plus(0.2, 0.95, 0.9) == point632plus(0.2, 0.9, 0.9)
    assert point632plus(0.2, 0.95, 0.9).R == 1
    assert point632plus(0.9, 0.5, 0.9).R == point632plus(0.5, 0.6, 0.4).R == 0


# ----------------------------------------------------------------------------- their intervals


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Out-of-bag errors float (n,), labels and predictions int (n,)"""
    draw = numpy_generator(seed, "pictures")
    labels = draw.integers(0, 5, n)
    predicted = np.where(draw.random(n) < 0.15, draw.integers(0, 5, n), labels)
    return draw.choice([0, 0.25, 0.5, 1], n, p=[0.5, 0.2, 0.2, 0.1]), labels, predicted


def test_intervals_without_groups_are_scipys_of_the_same_resamples() -> None:
    oob, labels, predicted = images(120, 0)
    estimates = resampled_intervals(oob, labels, predicted, np.arange(120), seed=5, resamples=2000, level=0.9)
    estimate = estimates["oob"]
    assert estimate.bca is not None
    for ours, method in ((estimate.percentile, "percentile"), (estimate.bca, "BCa")):
        rng = numpy_generator(5, "resampled intervals")
        theirs = bootstrap(
            (1 - oob,), np.mean, n_resamples=2000, confidence_level=0.9, method=method, rng=rng
        )
        assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-12)
        assert (ours.level, ours.method) == (0.9, f"{method} bootstrap")
    assert estimate.value == pytest.approx(1 - oob.mean())


@pytest.mark.parametrize("names", [False, True])
def test_intervals_of_house_numbers_are_those_of_estimates_computed_singly(names: bool) -> None:
    groups = house_numbers(25, 1)[1]
    oob, labels, predicted = images(len(groups), 1)
    oob[groups == -50] = np.nan  # a house number of which no image was ever out of bag

    def estimate(ids: np.ndarray, which: int) -> float:
        rows = np.concatenate([np.flatnonzero(groups == house) for house in ids])
        out = ~np.isnan(oob[rows])
        error = leave_one_out(np.nan_to_num(oob[rows]), out.astype(int))
        train = np.mean(labels[rows] != predicted[rows])
        gamma = no_information_rate(labels[rows], predicted[rows])
        both = point632(train, error).value, point632plus(train, error, gamma).value
        return 1 - (error, *both)[which]

    texts = [labels.astype(str), predicted.astype(str)] if names else [labels, predicted]
    estimates = resampled_intervals(oob, *texts, groups, seed=5, resamples=300)
    for which, name in enumerate(("oob", "632", "632plus")):
        rng = numpy_generator(5, "resampled intervals")
        theirs = bootstrap(
            (np.unique(groups),),
            lambda ids, which=which: estimate(ids, which),
            vectorized=False,
            n_resamples=300,
            method="BCa",
            rng=rng,
        )
        ours = estimates[name]
        assert ours.value == pytest.approx(estimate(np.unique(groups), which), rel=1e-12)
        ends = np.percentile(theirs.bootstrap_distribution, [2.5, 97.5])
        assert (ours.percentile.low, ours.percentile.high) == pytest.approx(tuple(ends), rel=1e-9)
        assert ours.bca is not None
        assert (ours.bca.low, ours.bca.high) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


def test_batches_change_nothing_and_seeds_do(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (*images(80, 2), np.arange(80) // 2)
    whole = resampled_intervals(*data, seed=1, resamples=500)
    assert whole != resampled_intervals(*data, seed=2, resamples=500)
    monkeypatch.setattr("svhncli.stats.estimates.CELLS", 200)
    assert whole == resampled_intervals(*data, seed=1, resamples=500)


def test_too_many_groups_have_the_percentile_interval_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (*images(80, 2), np.arange(80))
    monkeypatch.setattr("svhncli.stats.estimates.MOST_GROUPS", 80)
    with_bca = resampled_intervals(*data, seed=1, resamples=200)
    monkeypatch.setattr("svhncli.stats.estimates.MOST_GROUPS", 79)
    without = resampled_intervals(*data, seed=1, resamples=200)
    for name, estimate in without.items():
        assert estimate.bca is None
        assert with_bca[name].bca is not None
        assert estimate.percentile == with_bca[name].percentile


def test_no_error_at_all_is_a_point_without_a_bca_interval() -> None:
    labels = np.arange(20) % 3
    estimates = resampled_intervals(np.zeros(20), labels, labels, np.arange(20), seed=0, resamples=99)
    for estimate in estimates.values():
        interval = estimate.percentile
        assert (estimate.value, interval.low, interval.high, estimate.bca) == (1, 1, 1, None)


def test_images_that_cannot_be_resampled_are_refused() -> None:
    labels = np.zeros(4, int)
    few = np.array([0.5, math.nan, math.nan, math.nan])
    for oob, groups, level, message in (
        (np.full(4, math.nan), np.arange(4), 0.95, "ever out of bag"),
        (few, np.arange(4), 0.95, "1 images were out of bag"),
        (np.zeros(4), labels, 0.95, "1 group"),
        (np.zeros(4), np.arange(4), 95, "level"),
    ):
        with pytest.raises(ValueError, match=message):
            resampled_intervals(oob, labels, labels, groups, seed=0, level=level, resamples=99)


@pytest.mark.e2e
def test_importing_estimates_does_not_import_scipy() -> None:
    code = "import sys, svhncli.stats.estimates; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
