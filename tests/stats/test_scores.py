"""Scores of predictions, against scikit-learn, against cases worked out by hand, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from svhncli.stats import scores
from svhncli.stats.intervals import wilson

BLANK = 10


def drawn(seed: int, n: int, positions: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 (N, L, K) and labels that were drawn from them, so they are calibrated."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=2, size=(n, positions, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    labels = (probabilities.cumsum(-1) > draw.random((n, positions, 1))).argmax(-1)
    return probabilities.astype(np.float32), labels.astype(np.int64)


def bins_of(confidences: list[float], correct: list[bool]) -> list[scores.Bin]:
    return scores.reliability(np.array(confidences), np.array(correct))


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 3), st.integers(2, 11))
def test_confusion_and_class_scores_are_scikit_learns(
    seed: int, n: int, positions: int, classes: int
) -> None:
    draw = np.random.default_rng(seed)  # few images, so classes are missing, and positions too
    labels, predicted = draw.integers(0, classes, (2, n, positions))
    matrix = scores.confusion(predicted, labels, classes)
    assert matrix.dtype == np.int64
    names = range(classes)
    assert (matrix == confusion_matrix(labels.ravel(), predicted.ravel(), labels=names)).all()
    expected = precision_recall_fscore_support(
        labels.ravel(), predicted.ravel(), labels=names, zero_division=np.nan
    )
    for score, *theirs in zip(scores.by_class(matrix), *expected, strict=True):
        for name, value in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
            close = None if np.isnan(value) else pytest.approx(value, rel=1e-15)
            assert getattr(score, name) == close, name
        assert score.read == (predicted == score.label).sum()


def test_a_prediction_is_correct_as_a_string_wherever_its_blanks_are() -> None:
    labels = np.array([[1, 2, BLANK], [1, 2, BLANK], [1, 2, BLANK], [0, BLANK, BLANK], [7, 7, 7]])
    predicted = np.array([[1, 2, BLANK], [BLANK, 1, 2], [2, BLANK, 1], [0, 0, BLANK], [7, 7, BLANK]])
    assert scores.is_right(predicted, labels, BLANK).tolist() == [True, True, False, False, False]


@given(
    arrays(np.int64, (7, 4), elements=st.integers(8, 10)),
    arrays(np.int64, (7, 4), elements=st.integers(8, 10)),
)
def test_two_predictions_are_equal_if_and_only_if_their_texts_are(
    predicted: np.ndarray, labels: np.ndarray
) -> None:
    def texts(rows: np.ndarray) -> list[str]:
        return ["".join(str(k) for k in row if k != BLANK) for row in rows]

    expected = [a == b for a, b in zip(texts(predicted), texts(labels), strict=True)]
    assert scores.is_right(predicted, labels, BLANK).tolist() == expected


def test_confidence_is_the_product_over_the_positions() -> None:
    probabilities = np.array([[[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]], [[1, 0, 0], [0, 1, 0]]], np.float32)
    assert scores.confidence(probabilities).tolist() == [0.375, 1.0]


def test_bins_and_their_error_are_those_worked_out_by_hand() -> None:
    bins = bins_of([0.9, 0.9, 0.8, 0.35, 0.0], [True, False, True, True, False])
    assert [bin_.count for bin_ in bins] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 2, 0]
    assert bins[13] == scores.Bin(low=13 / 15, high=14 / 15, count=2, confidence=0.9, accuracy=0.5)
    assert (bins[1].confidence, bins[1].accuracy) == (None, None)
    assert scores.calibration_error(bins) == pytest.approx((2 * 0.4 + 0.2 + 0.65 + 0) / 5)


def test_the_upper_edge_belongs_to_a_bin_and_the_lower_does_not() -> None:
    edge = 6 / 15
    bins = bins_of([edge, np.nextafter(edge, 1), 1.0], [True, True, True])
    assert [i for i, bin_ in enumerate(bins) if bin_.count] == [5, 6, 14]


@given(st.integers(0, 2**31), st.integers(1, 200))
def test_bins_count_every_prediction_once_and_the_error_is_a_share(seed: int, n: int) -> None:
    draw = np.random.default_rng(seed)
    sure, correct = draw.random(n), draw.random(n) < 0.5
    bins = scores.reliability(sure, correct)
    assert sum(bin_.count for bin_ in bins) == n
    assert sum(bin_.count * (bin_.accuracy or 0) for bin_ in bins) == pytest.approx(correct.sum())
    assert all(bin_.low <= bin_.confidence <= bin_.high for bin_ in bins if bin_.count)
    assert 0 <= scores.calibration_error(bins) <= 1


def test_joined_bins_are_those_worked_out_by_hand() -> None:
    bins = bins_of([0.1] * 2 + [0.3] * 2 + [0.5] * 5 + [0.9], [False, True] + [True] * 7 + [False])
    points = scores.joined(bins, 4)
    assert [(point.count, point.accuracy) for point in points] == [(4, 0.75), (6, 5 / 6)]
    assert [point.confidence for point in points] == pytest.approx([0.2, 3.4 / 6])
    assert [point.interval for point in points] == [wilson(3, 4), wilson(5, 6)]


@given(st.integers(0, 2**31), st.integers(1, 200), st.integers(1, 40))
def test_joined_bins_hold_enough_predictions_and_lose_none(seed: int, n: int, least: int) -> None:
    draw = np.random.default_rng(seed)
    sure, correct = draw.random(n) ** 0.2, draw.random(n) < 0.5
    points = scores.joined(scores.reliability(sure, correct), least)
    assert sum(point.count for point in points) == n
    assert len(points) == 1 or all(point.count >= least for point in points)
    assert sum(point.count * point.accuracy for point in points) == pytest.approx(correct.sum())
    assert sum(point.count * point.confidence for point in points) == pytest.approx(sure.sum())
    assert all(point.interval.low <= point.accuracy <= point.interval.high for point in points)


@pytest.mark.parametrize(("correct", "error"), [(True, 0.25), (False, 0.75)])
def test_all_correct_or_all_wrong_has_the_whole_gap_as_error(correct: bool, error: float) -> None:
    assert scores.calibration_error(bins_of([0.75], [correct])) == error


@pytest.mark.parametrize("positions", [1, 3])
@pytest.mark.parametrize("sharpened", [0.4, 1.0, 2.5])
def test_the_temperature_undoes_a_known_sharpening(positions: int, sharpened: float) -> None:
    probabilities, labels = drawn(0, 12_000, positions, 11)
    true = scores.fit_temperature(probabilities, labels)
    assert true == pytest.approx(1, abs=0.05), "labels drawn from the probabilities need none"
    powers = probabilities.astype(np.float64) ** sharpened
    changed = powers / powers.sum(-1, keepdims=True)
    assert scores.fit_temperature(changed, labels) == pytest.approx(true * sharpened, rel=1e-3)
    sure, correct = scores.confidence(changed), scores.is_right(changed.argmax(-1), labels, BLANK)
    back = scores.confidence(scores.reshaped(changed, sharpened))
    after = scores.calibration_error(scores.reliability(back, correct))
    assert after < 0.03
    if sharpened != 1:
        assert after < scores.calibration_error(scores.reliability(sure, correct)) / 3


@given(st.integers(0, 2**31), st.integers(1, 30), st.floats(0.05, 20))
def test_a_reshaped_row_is_a_distribution_in_the_same_order(seed: int, n: int, temperature: float) -> None:
    probabilities, _ = drawn(seed, n, 2, 10)
    made = scores.reshaped(probabilities, temperature)
    assert made.sum(-1) == pytest.approx(1)
    before = np.take_along_axis(made, probabilities.argsort(-1), -1)
    assert (np.diff(before, axis=-1) >= 0).all()


def test_temperature_2_takes_the_square_roots() -> None:
    made = scores.reshaped(np.array([[[0.64, 0.36]]], np.float32), 2)
    assert made[0, 0] == pytest.approx([0.8 / 1.4, 0.6 / 1.4], rel=1e-7)


def test_temperature_1_changes_nothing_and_the_inverse_undoes_a_temperature() -> None:
    probabilities, _ = drawn(1, 50, 2, 10)
    assert scores.reshaped(probabilities, 1) == pytest.approx(probabilities, rel=1e-6)
    assert scores.reshaped(scores.reshaped(probabilities, 3), 1 / 3) == pytest.approx(probabilities, rel=1e-5)


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize(("label", "edge"), [(0, scores.COLDEST), (1, scores.HOTTEST)])
def test_the_temperature_is_at_an_end_of_its_range_if_all_are_correct_or_wrong(
    n: int, label: int, edge: float
) -> None:
    probabilities = np.tile(np.array([0.5, 0.25, 0.25], np.float32), (n, 1, 1))
    assert scores.fit_temperature(probabilities, np.full((n, 1), label)) == pytest.approx(edge, rel=1e-3)


@pytest.mark.parametrize("label", [0, 1])
def test_a_probability_of_exactly_0_gives_finite_results(label: int) -> None:
    probabilities = np.zeros((3, 1, 10), np.float32)
    probabilities[..., 0] = 1
    fitted = scores.fit_temperature(probabilities, np.full((3, 1), label))
    assert scores.COLDEST <= fitted <= scores.HOTTEST
    for temperature in (scores.COLDEST, fitted, scores.HOTTEST):
        made = scores.reshaped(probabilities, temperature)
        assert np.isfinite(made).all()
        assert (made.argmax(-1) == 0).all()
