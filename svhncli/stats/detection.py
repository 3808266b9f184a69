"""How well a network finds digits: precision and recall of its boxes (PASCAL VOC: Everingham et al. 2010)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svhncli.core.labels import BLANK
from svhncli.stats.intervals import Interval, wilson

IOU = 0.5
"""Intersection over union from which on a box is that of a digit."""


@dataclass(frozen=True)
class Detections:
    """The digits that N images show, and those that a network finds in them; all boxes of an image are left,
    top, right and bottom in the same pixels.

    labels: int64 (N, L). true: float (N, L, 4), NaN where no box is known; None: the data has no boxes.
    classes: int64 (N, L), `BLANK` where nothing is found. boxes: float (N, L, 4).
    """

    labels: np.ndarray
    true: np.ndarray | None
    classes: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class Matched:
    """How many boxes are those of true digits, and of which share of the predicted ones (precision) and of
    the true ones (recall) this is so; None where there are none. With 95% Wilson intervals."""

    matched: int
    precision: float | None
    precision_interval: Interval | None
    recall: float | None
    recall_interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class DetectionScore:
    """Boxes of n images that are those of true digits at an intersection over union of `iou` or more.

    n: the images whose boxes are all known; the others do not count. true, predicted: their digits, and those
    that were found. any_digit: whatever the classes. right_digit: only boxes of the same class can match.
    """

    iou: float
    n: int
    true: int
    predicted: int
    any_digit: Matched
    right_digit: Matched


def detection_score(found: Detections) -> DetectionScore | None:
    """Precision and recall over all digits of all images; None where no image's boxes are known.

    Each predicted box is compared with the true box that it overlaps most; it matches if that is `IOU` or
    more and none of a higher confidence matched the same true box. So of several boxes of one digit one
    counts; confidences decide which, but not how many match in all.
    """
    if found.true is None:
        return None
    there = found.labels != BLANK
    known = ~(np.isnan(found.true).any(-1) & there).any(1)
    if not known.any():
        return None
    there, is_found = there[known], found.classes[known] != BLANK
    overlaps = intersection_over_union(found.boxes[known], found.true[known])
    overlaps = np.where(is_found[:, :, None] & there[:, None], overlaps, 0.0)
    same = found.classes[known][:, :, None] == found.labels[known][:, None]
    true, predicted = int(there.sum()), int(is_found.sum())
    any_digit, right_digit = (
        _shares(_matches(compared), true, predicted) for compared in (overlaps, np.where(same, overlaps, 0.0))
    )
    return DetectionScore(
        iou=IOU,
        n=int(known.sum()),
        true=true,
        predicted=predicted,
        any_digit=any_digit,
        right_digit=right_digit,
    )


def intersection_over_union(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each box with each of the others: (N, A, 4), (N, B, 4) -> (N, A, B), NaN where one is NaN, 0 where
    both are empty."""
    boxes, others = boxes[:, :, None].astype(np.float64), others[:, None].astype(np.float64)
    low, high = np.maximum(boxes[..., :2], others[..., :2]), np.minimum(boxes[..., 2:], others[..., 2:])
    common = (high - low).clip(0).prod(-1)
    union = _area(boxes) + _area(others) - common
    return common / np.where(union == 0, 1.0, union)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:] - boxes[..., :2]).clip(0).prod(-1)


def _matches(overlaps: np.ndarray) -> int:
    """How many true boxes some predicted one matches; overlaps: (N, predicted, true)."""
    best = overlaps.argmax(2)[:, :, None] == np.arange(overlaps.shape[2])
    return int((best & (overlaps >= IOU)).any(1).sum())


def _shares(matched: int, true: int, predicted: int) -> Matched:
    return Matched(
        matched,
        matched / predicted if predicted else None,
        wilson(matched, predicted) if predicted else None,
        matched / true if true else None,
        wilson(matched, true) if true else None,
    )
