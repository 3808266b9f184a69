"""Confident learning, against its formulas written out picture by picture, and on swapped labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.stats.confident_learning import judge


def drawn(
    seed: int, n: int, positions: int, classes: int, signal: float = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that know something of them."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, (n, positions))
    logits = draw.normal(scale=2, size=(n, positions, classes)) + signal * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def joint_of(given: list[int], said: list[list[float]], classes: int) -> list[list[int]]:
    """The confident joint as equations 1 and 2 of the paper say (Northcutt et al. 2021), in plain Python."""
    thresholds = []
    for k in range(classes):
        own = [row[k] for label, row in zip(given, said, strict=True) if label == k]
        thresholds.append(math.fsum(own) / len(own) if own else math.inf)
    joint = [[0] * classes for _ in range(classes)]
    for label, row in zip(given, said, strict=True):
        if above := [k for k in range(classes) if row[k] >= thresholds[k]]:
            joint[label][max(above, key=lambda k: row[k])] += 1
    return joint


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 3), st.integers(2, 11))
def test_the_joint_is_that_of_the_paper_in_every_position(
    seed: int, n: int, positions: int, classes: int
) -> None:
    labels, said = drawn(seed, n, positions, classes)
    said = said.astype(np.float64)  # so that equal sums stay equal
    found = judge(labels, said)
    for place in range(positions):
        expected = joint_of(labels[:, place].tolist(), said[:, place].tolist(), classes)
        assert np.abs(found.joint[place] - expected).sum() <= 2  # one picture right at its threshold
    assert found.joint.sum() - np.trace(found.joint, axis1=1, axis2=2).sum() >= found.suspicious.sum()


def test_the_margin_is_that_of_the_worst_position() -> None:
    said = np.array([[[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]])
    found = judge(np.array([[0, 1]]), said)
    assert found.margin == pytest.approx([0.3 - 0.6])


def test_swapped_labels_come_first_and_are_counted() -> None:
    labels, said = drawn(0, 2000, 1, 10, signal=8)  # 95 % are read right
    swapped = np.arange(0, 2000, 50)
    labels[swapped, 0] = (labels[swapped, 0] + 3) % 10
    found = judge(labels, said)
    top = found.ranked()[: 2 * len(swapped)]
    assert np.isin(swapped, top).mean() > 0.8
    misread = (said[:, 0].argmax(1) != labels[:, 0]).sum()
    assert len(swapped) / 2 < found.estimate <= 1.2 * misread
    clean = judge(np.where(np.isin(np.arange(2000), swapped)[:, None], (labels - 3) % 10, labels), said)
    assert clean.estimate < found.estimate - len(swapped) / 2


def test_likely_errors_stand_before_pictures_with_a_worse_margin() -> None:
    labels, said = drawn(1, 300, 1, 4)
    found = judge(labels, said)
    order, likely = found.ranked(), int(found.suspicious.sum())
    assert 0 < likely < 300
    assert found.suspicious[order[:likely]].all()
    assert sorted(order.tolist()) == list(range(300))
    for rows in (order[:likely], order[likely:]):
        assert (np.diff(found.margin[rows]) >= 0).all()


def test_a_class_without_an_example_is_never_suggested() -> None:
    said = np.tile([0.3, 0.1, 0.6], (5, 1, 1))
    found = judge(np.array([[0], [0], [1], [0], [1]]), said)
    assert np.isnan(found.thresholds[0, 2])
    assert not found.joint[:, :, 2].any()
