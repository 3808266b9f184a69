"""Precision and recall of boxes, against the evaluation of PASCAL VOC written out, and at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.core.labels import BLANK
from svhncli.stats.detection import IOU, Detections, detection_score, intersection_over_union
from svhncli.stats.intervals import wilson

Box = tuple[float, float, float, float]
POSITIONS = 3
SIDES = st.integers(0, 6)
DIGITS = st.tuples(SIDES, SIDES, st.integers(1, 6), st.integers(1, 6), st.integers(0, 2)).map(
    lambda drawn: ((drawn[0], drawn[1], drawn[0] + drawn[2], drawn[1] + drawn[3]), drawn[4])
)
"""A box on a grid so coarse that many overlap by exactly a half, and its class."""
FOUND = st.tuples(DIGITS, st.sampled_from([0.5, 0.7, 0.9]))
IMAGES = st.lists(
    st.tuples(st.lists(DIGITS, max_size=POSITIONS), st.lists(FOUND, max_size=POSITIONS)),
    min_size=1,
    max_size=6,
)


def gathered(images: list[Any]) -> Detections:
    """Arrays of images, each the list of its digits and the list of what was found, each at a place of its
    own, since what is found need not come first."""
    shape = len(images), POSITIONS
    labels, classes = np.full(shape, BLANK), np.full(shape, BLANK)
    true, boxes = np.full((*shape, 4), np.nan), np.full((*shape, 4), np.nan)
    for i, (digits, found) in enumerate(images):
        for place, (box, digit) in enumerate(digits):
            true[i, place], labels[i, place] = box, digit
        for place, ((box, digit), _) in enumerate(found, POSITIONS - len(found)):
            boxes[i, place], classes[i, place] = box, digit
    return Detections(labels, true, classes, boxes)


def overlap(a: Box, b: Box) -> float:
    """Counted in cells of the grid."""

    def cells(box: Box) -> set[tuple[int, int]]:
        left, top, right, bottom = map(int, box)
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    return len(cells(a) & cells(b)) / len(cells(a) | cells(b))


def voc(images: list[Any], by_class: bool) -> int:
    """How many predictions are true positives, as VOCevaldet.m counts them."""
    hits = 0
    for digits, found in images:
        matched = set()
        for (box, digit), _ in sorted(found, key=lambda row: -row[1]):
            best, at = -1.0, -1
            for place, (true, label) in enumerate(digits):
                if (label == digit or not by_class) and overlap(box, true) > best:
                    best, at = overlap(box, true), place
            if best >= 0.5 and at not in matched:
                matched.add(at)
                hits += 1
    return hits


@given(IMAGES)
def test_matches_are_those_of_pascal_voc(images: list[Any]) -> None:
    score = detection_score(gathered(images))
    assert score is not None
    assert (score.n, score.iou) == (len(images), IOU)
    assert score.true == sum(len(digits) for digits, _ in images)
    assert score.predicted == sum(len(found) for _, found in images)
    for by_class, made in ((False, score.any_digit), (True, score.right_digit)):
        assert made.matched == voc(images, by_class)
        for share, interval, count in (
            (made.precision, made.precision_interval, score.predicted),
            (made.recall, made.recall_interval, score.true),
        ):
            assert share == (made.matched / count if count else None)
            assert interval == (wilson(made.matched, count) if count else None)


LEFT, RIGHT = (0, 0, 4, 8), (5, 0, 9, 8)


def score_of(*images: Any) -> tuple[int, int, int, int]:
    score = detection_score(gathered(list(images)))
    assert score is not None
    return score.true, score.predicted, score.any_digit.matched, score.right_digit.matched


def test_a_digit_that_is_found_twice_counts_once() -> None:
    twice = [((LEFT, 1), 0.7), (((0, 0, 4, 7), 2), 0.9)]
    assert score_of(([(LEFT, 1), (RIGHT, 2)], twice)) == (2, 2, 1, 1)
    assert score_of(([(LEFT, 3)], twice)) == (1, 2, 1, 0)


def test_a_box_counts_from_half_an_overlap_on() -> None:
    assert score_of(([(LEFT, 1)], [(((0, 0, 4, 4), 1), 0.9)])) == (1, 1, 1, 1)
    assert score_of(([(LEFT, 1)], [(((0, 0, 4, 3), 1), 0.9)])) == (1, 1, 0, 0)


def test_what_is_found_where_there_is_no_number_lowers_the_precision_alone() -> None:
    score = detection_score(gathered([([(LEFT, 1)], [((LEFT, 1), 0.9)]), ([], [((LEFT, 1), 0.9)])]))
    assert score is not None
    assert (score.any_digit.precision, score.any_digit.recall) == (0.5, 1)


def test_images_with_a_digit_whose_box_is_not_known_do_not_count() -> None:
    found = gathered([([(LEFT, 1), (RIGHT, 2)], [((LEFT, 1), 0.9)]), ([(LEFT, 1)], [((LEFT, 1), 0.9)])])
    assert found.true is not None
    found.true[0, 1] = np.nan
    score = detection_score(found)
    assert score is not None
    assert (score.n, score.true, score.predicted, score.right_digit.matched) == (1, 1, 1, 1)
    found.true[1, 0] = np.nan
    assert detection_score(found) is None
    assert detection_score(Detections(found.labels, None, found.classes, found.boxes)) is None


def test_without_predictions_there_is_no_precision_and_without_digits_no_recall() -> None:
    score = detection_score(gathered([([], [])]))
    assert score is not None
    assert (score.any_digit.precision, score.any_digit.recall_interval) == (None, None)


@given(st.lists(DIGITS, min_size=2, max_size=2))
def test_the_overlap_is_the_share_of_common_cells(pair: list[Any]) -> None:
    (box, _), (other, _) = pair
    made = intersection_over_union(np.array([[box]]), np.array([[other]]))
    assert made[0, 0, 0] == pytest.approx(overlap(box, other))
