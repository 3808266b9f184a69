"""Confident learning, against its formulas written out picture by picture, and on swapped labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.stats.confident_learning import find_label_errors


def drawn(
    seed: int, n: int, positions: int, classes: int, signal: float = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that are correlated with them."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, (n, positions))
    logits = draw.normal(scale=2, size=(n, positions, classes)) + signal * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def joint_of(given: list[int], probabilities: list[list[float]], classes: int) -> list[list[int]]:
    """The confident joint by equations 1 and 2 of the paper (Northcutt et al. 2021), in plain Python."""
    thresholds = []
    for k in range(classes):
        own = [row[k] for label, row in zip(given, probabilities, strict=True) if label == k]
        thresholds.append(math.fsum(own) / len(own) if own else math.inf)
    joint = [[0] * classes for _ in range(classes)]
    for label, row in zip(given, probabilities, strict=True):
        if above := [k for k in range(classes) if row[k] >= thresholds[k]]:
            joint[label][max(above, key=lambda k: row[k])] += 1
    return joint


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 3), st.integers(2, 11))
def test_the_joint_is_that_of_the_paper_at_every_position(
    seed: int, n: int, positions: int, classes: int
) -> None:
    labels, probabilities = drawn(seed, n, positions, classes)
    probabilities = probabilities.astype(np.float64)  # so that equal sums stay equal
    errors = find_label_errors(labels, probabilities)
    for place in range(positions):
        expected = joint_of(labels[:, place].tolist(), probabilities[:, place].tolist(), classes)
        assert np.abs(errors.joint[place] - expected).sum() <= 2  # an image exactly at its threshold
    assert errors.joint.sum() - np.trace(errors.joint, axis1=1, axis2=2).sum() >= errors.suspicious.sum()


def test_the_margin_is_that_of_the_worst_position() -> None:
    probabilities = np.array([[[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]])
    errors = find_label_errors(np.array([[0, 1]]), probabilities)
    assert errors.margin == pytest.approx([0.3 - 0.6])


def test_swapped_labels_come_first_and_are_counted() -> None:
    labels, probabilities = drawn(0, 2000, 1, 10, signal=8)  # 95% of the predictions are correct
    swapped = np.arange(0, 2000, 50)
    labels[swapped, 0] = (labels[swapped, 0] + 3) % 10
    errors = find_label_errors(labels, probabilities)
    top = errors.ranked()[: 2 * len(swapped)]
    assert np.isin(swapped, top).mean() > 0.8
    wrong = (probabilities[:, 0].argmax(1) != labels[:, 0]).sum()
    assert len(swapped) / 2 < errors.estimate <= 1.2 * wrong
    clean = find_label_errors(
        np.where(np.isin(np.arange(2000), swapped)[:, None], (labels - 3) % 10, labels), probabilities
    )
    assert clean.estimate < errors.estimate - len(swapped) / 2


def test_likely_errors_come_before_images_with_a_smaller_margin() -> None:
    labels, probabilities = drawn(1, 300, 1, 4)
    errors = find_label_errors(labels, probabilities)
    order, likely = errors.ranked(), int(errors.suspicious.sum())
    assert 0 < likely < 300
    assert errors.suspicious[order[:likely]].all()
    assert sorted(order.tolist()) == list(range(300))
    for rows in (order[:likely], order[likely:]):
        assert (np.diff(errors.margin[rows]) >= 0).all()


def test_a_class_without_an_example_is_never_suggested() -> None:
    probabilities = np.tile([0.3, 0.1, 0.6], (5, 1, 1))
    errors = find_label_errors(np.array([[0], [0], [1], [0], [1]]), probabilities)
    assert np.isnan(errors.thresholds[0, 2])
    assert not errors.joint[:, :, 2].any()
