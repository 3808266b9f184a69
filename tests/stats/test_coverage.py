"""Coverage at a stated accuracy, against a search through every threshold, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from svhncli.core.labels import BLANK, as_text, decode
from svhncli.stats.coverage import (
    ThresholdFit,
    accepted,
    as_written,
    at_accuracy,
    coverage_score,
    most_accurate,
)
from svhncli.stats.scores import confidence, is_right

PREDICTIONS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1), st.booleans()),
    min_size=1,
    max_size=30,
)
"""Confidences, many of them equal, and whether each prediction is correct."""


def split(predictions: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    confidences, right = zip(*predictions, strict=True)
    return np.array(confidences), np.array(right)


def search(predictions: list[tuple[float, bool]]) -> list[tuple[int, float, float]]:
    """Of every confidence as the threshold: how many it accepts, their accuracy, and the threshold."""
    found = []
    for threshold in {sure for sure, _ in predictions}:
        kept = [right for sure, right in predictions if sure >= threshold]
        found.append((len(kept), sum(kept) / len(kept), threshold))
    return found


@given(PREDICTIONS, st.floats(0.01, 1) | st.fractions(0, 1, max_denominator=30).map(float))
def test_the_largest_accepted_set_of_the_accuracy_is_that_of_a_search(
    predictions: list[tuple[float, bool]], accuracy: float
) -> None:
    reaching = [row for row in search(predictions) if row[1] >= accuracy]
    made = at_accuracy(*split(predictions), accuracy)
    if made is None:
        assert not reaching
    else:
        assert (made.accepted, made.accuracy, made.threshold) == max(reaching)
        assert made.coverage == made.accepted / len(predictions)


@given(PREDICTIONS)
def test_the_most_accurate_set_is_that_of_a_search_and_no_higher_accuracy_is_reached(
    predictions: list[tuple[float, bool]],
) -> None:
    best = most_accurate(*split(predictions))
    assert (best.accuracy, best.accepted) == max((share, count) for count, share, _ in search(predictions))
    assert best.accuracy is not None
    assert at_accuracy(*split(predictions), np.nextafter(best.accuracy, 2)) is None


@given(PREDICTIONS, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(predictions: list[tuple[float, bool]], draw: object) -> None:
    mixed = predictions.copy()
    draw.shuffle(mixed)  # type: ignore[attr-defined]
    assert at_accuracy(*split(mixed), 0.5) == at_accuracy(*split(predictions), 0.5)


@given(PREDICTIONS, st.floats(0, 1))
def test_a_threshold_accepts_itself_and_what_is_above_it(
    predictions: list[tuple[float, bool]], threshold: float
) -> None:
    made = accepted(*split(predictions), threshold)
    kept = [right for sure, right in predictions if sure >= threshold]
    assert (made.n, made.accepted) == (len(predictions), len(kept))
    assert made.accuracy == (sum(kept) / len(kept) if kept else None)
    ends = binomtest(len(kept), len(predictions)).proportion_ci(method="wilson")
    assert [made.coverage_interval.low, made.coverage_interval.high] == pytest.approx([*ends], abs=1e-12)
    if made.accuracy_interval is None:
        assert not kept
    else:
        ends = binomtest(sum(kept), len(kept)).proportion_ci(method="wilson")
        assert [made.accuracy_interval.low, made.accuracy_interval.high] == pytest.approx([*ends], abs=1e-12)


def test_equal_confidences_are_accepted_or_rejected_together() -> None:
    right = np.array([True, True, False, True])
    tied = at_accuracy(np.array([0.9, 0.5, 0.5, 0.5]), right, 0.8)
    assert tied is not None
    assert (tied.threshold, tied.accepted) == (0.9, 1)
    apart = at_accuracy(np.array([0.9, 0.6, 0.5, 0.5]), right, 0.8)
    assert apart is not None
    assert (apart.threshold, apart.accepted) == (0.6, 2)


def test_a_larger_set_counts_although_a_smaller_one_misses_the_accuracy() -> None:
    made = at_accuracy(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([False, True, True, True, False]), 0.75)
    assert made is not None
    assert (made.threshold, made.accuracy) == (0.6, 0.75)


def test_an_accuracy_that_is_met_exactly_is_reached() -> None:
    for count in range(1, 200):
        for hits in range(1, count + 1):
            made = at_accuracy(np.full(count, 0.5), np.arange(count) < hits, float(f"{hits / count:.17g}"))
            assert made is not None
    made = at_accuracy(np.full(50, 0.5), np.arange(50) < 49, 0.98)
    assert made is not None


def test_a_confidence_that_is_not_a_number_is_never_accepted() -> None:
    made = at_accuracy(np.array([np.nan, 0.5, np.nan]), np.array([True, True, True]), 0.5)
    assert made is not None
    assert (made.n, made.accepted, made.threshold) == (3, 1, 0.5)
    assert at_accuracy(np.full(2, np.nan), np.array([True, True]), 0.5) is None


@given(st.lists(st.floats(0, 1), min_size=1))
def test_a_written_confidence_is_read_back_as_the_number_that_is_compared(confidences: list[float]) -> None:
    written = as_written(np.array(confidences))
    assert [f"{confidence:.6g}" for confidence in written] == [f"{value:.6g}" for value in confidences]
    assert (as_written(written) == written).all()


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_an_image_without_digits_has_the_product_of_its_blanks_and_is_correct_if_its_label_is_empty(
    seed: int, positions: int
) -> None:
    drawn = np.random.default_rng(seed).dirichlet(np.full(11, 0.1), (40, positions)).astype(np.float32)
    drawn[:20, :, BLANK] += 2  # no digit is predicted
    drawn /= drawn.sum(-1, keepdims=True)
    numbers = [decode(probabilities) for probabilities in drawn]
    assert {number.text for number in numbers[:20]} == {""}
    assert confidence(drawn) == pytest.approx([number.confidence for number in numbers], rel=1e-12)
    labels = np.random.default_rng(seed).integers(8, 11, (40, positions))
    correct = [number.text == as_text(label) for number, label in zip(numbers, labels, strict=True)]
    assert is_right(drawn.argmax(-1), labels, BLANK).tolist() == correct


def test_a_score_says_what_each_threshold_gives_and_why_one_is_missing() -> None:
    confidences, right = np.array([0.9, 0.8, 0.7]), np.array([True, False, True])
    fitted = coverage_score(confidences, right, ThresholdFit(0.8, None))
    assert fitted.best is not None
    assert fitted.val_threshold is not None
    assert (fitted.target_accuracy, fitted.best.accepted, fitted.best.accuracy) == (0.98, 1, 1)
    assert (fitted.val_threshold.accepted, fitted.val_threshold.accuracy) == (2, 0.5)
    neither = coverage_score(confidences, ~np.array([True, True, True]), ThresholdFit(None, "why"))
    assert (neither.best, neither.val_threshold, neither.not_fitted) == (None, None, "why")
