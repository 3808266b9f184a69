"""A number that a photograph is to show, and the photograph that is rendered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGEST = 4096
"""Pixels of the longest side of a photograph."""


@dataclass(frozen=True)
class RequestedNumber:
    """A number to be drawn. label: L digits, from 1. boxes: (L, 4), left, top, right, bottom in pixels.

    size: the photograph's width and height, or None where they are unknown.
    """

    label: tuple[int, ...]
    boxes: np.ndarray
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class RenderedPhotograph:
    """A photograph. image: uint8 (H, W, 3). label: L digits; none of a blank one.

    boxes: float32 (L, 4), the extent of each digit's ink: left, top, right, bottom in pixels, within the
        image and at least one pixel wide and high. Of a blank photograph, where its digits would be.
    """

    image: np.ndarray
    label: tuple[int, ...]
    boxes: np.ndarray


def check(number: RequestedNumber) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ValueError: no digits, or others than 0 to 9, boxes of another shape or not finite, or an image that
            has no pixels or is larger than `LARGEST`.
    """
    boxes = np.asarray(number.boxes, float)
    if not number.label or not set(number.label) <= set(range(10)):
        raise ValueError(f"a number has digits from 0 to 9, at least one, not {number.label}")
    if boxes.shape != (len(number.label), 4) or not np.isfinite(boxes).all():
        raise ValueError(f"{len(number.label)} digits need as many boxes of four finite numbers")
    sides = boxes[:, 2:].max(axis=0) if number.size is None else np.array(number.size)
    if sides.max() > LARGEST or (number.size is not None and sides.min() < 1):
        raise ValueError(
            f"an image of {sides[0]:.0f} x {sides[1]:.0f} pixels is not 1 to {LARGEST} wide and high"
        )
