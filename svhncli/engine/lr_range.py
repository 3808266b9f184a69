"""A learning rate range test: lr rises at every step of a short training, and the curve suggests one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GROWN = 4.0
"""The test ends once the loss is so many times its lowest value."""

WIDTH = 5.0
"""Steps: deviation of the Gaussian that smooths the losses. It looks both ways, so that it does not lag."""

VALLEY = 0.98
"""The smoothed loss must fall below this share of its start, and rise above its lowest by as much again."""


@dataclass(frozen=True)
class Point:
    """A step of the test: its lr, and its batch's loss."""

    lr: float
    loss: float


@dataclass(frozen=True)
class Suggestion:
    """lr: what to train with, None where the curve does not tell; why: how it was chosen, or what to change.

    lowest: lr where the smoothed loss was lowest. smoothed: the smoothed loss of each step.
    """

    lr: float | None
    why: str
    lowest: float
    smoothed: list[float]


def suggest(points: Sequence[Point]) -> Suggestion:
    """Choose lr by a curve: where the smoothed loss had fallen half of the way to its lowest.

    That is near where it falls fastest, where lr is read off by eye, but a noisy batch cannot move it far.

    Raises:
        ValueError: fewer than two points.
    """
    if len(points) < 2:
        raise ValueError(f"{len(points)} point is no curve")
    from scipy.ndimage import gaussian_filter1d

    smoothed = gaussian_filter1d([point.loss for point in points], WIDTH, mode="nearest")
    place = int(smoothed.argmin())
    start, least, lowest = float(smoothed[0]), float(smoothed[place]), points[place].lr
    if least > VALLEY * start:
        why = f"the loss never fell below its start: try a smaller low than {points[0].lr:.1e}"
        return Suggestion(None, why, lowest, smoothed.tolist())
    if VALLEY * smoothed[-1] <= least:
        why = f"the loss still fell at the highest lr, {points[-1].lr:.1e}: try a larger high or more steps"
        return Suggestion(None, why, lowest, smoothed.tolist())
    half = points[int(np.argmax(smoothed <= (start + least) / 2))].lr
    why = f"the smoothed loss had fallen half of the way from {start:.2f} to {least:.2f}, at {lowest:.1e}"
    return Suggestion(half, why, lowest, smoothed.tolist())
