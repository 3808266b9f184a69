"""Boxes that cannot be those of digits."""

from __future__ import annotations

import numpy as np

SLACK = 1.0
"""Pixels by which a box may be outside: labels are rounded."""


def empty(boxes: np.ndarray) -> np.ndarray:
    """Which images have a box without width or height: boxes float (N, L, 4) of left, top, right, bottom,
    NaN where there is no digit, to the smallest side in pixels, float (N,); infinite where an image has no
    boxes."""
    sides = np.minimum(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1])
    return np.where(np.isnan(sides), np.inf, sides).min(1)


def outside(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """By how many pixels the boxes of each image reach beyond it: float (N,), 0 where none does.

    boxes: as for `empty`. sizes: int (N, 2), width and height of the images.
    """
    over = np.concatenate([-boxes[..., :2], boxes[..., 2:] - sizes[:, None]], axis=2)
    return np.where(np.isnan(over), 0, over).max((1, 2)).clip(0)
