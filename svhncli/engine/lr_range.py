"""The curve of a learning rate range test (Smith 2017) and the lr that it suggests; see `range_test`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GROWN = 4.0
"""The test ends once the averaged loss is this many times its lowest value."""

WIDTH = 5.0
"""Standard deviation, in steps, of the Gaussian that smooths the losses; symmetric, so it does not lag."""

NOISE = 2.0
"""A fall of the smoothed loss of fewer standard deviations of single batches around it shows no lr."""
VALLEY = 0.98
"""The lowest smoothed loss must be below this share of the first one and of the last one."""


@dataclass(frozen=True)
class Point:
    """A step of the test: its lr, and the loss of its batch."""

    lr: float
    loss: float


@dataclass(frozen=True)
class Suggestion:
    """The lr to train with, None if the curve does not show one, and why, or what to change.

    lowest: lr at which the smoothed loss was lowest. smoothed: the smoothed loss of each step.
    """

    lr: float | None
    why: str
    lowest: float
    smoothed: list[float]


def suggest(points: Sequence[Point]) -> Suggestion:
    """Choose lr from a curve: where the smoothed loss had fallen halfway to its lowest value.

    That is near its steepest descent, where people choose lr by eye, but a noisy batch cannot move it far.

    Raises:
        ValueError: fewer than two points.
    """
    if len(points) < 2:
        raise ValueError(f"a curve needs 2 or more points, not {len(points)}")
    from scipy.ndimage import gaussian_filter1d

    smoothed = gaussian_filter1d([point.loss for point in points], WIDTH, mode="nearest")
    place = int(smoothed.argmin())
    start, least, lowest = float(smoothed[0]), float(smoothed[place]), points[place].lr
    if least > VALLEY * start:
        why = f"the loss never fell below its start: try a smaller low than {points[0].lr:.1e}"
        return Suggestion(None, why, lowest, smoothed.tolist())
    if VALLEY * smoothed[-1] <= least:
        highest = f"{points[-1].lr:.1e}"
        why = f"the loss was still falling at the highest lr, {highest}: try a larger high or more steps"
        return Suggestion(None, why, lowest, smoothed.tolist())
    spread = float(np.std([point.loss for point in points[: place + 1]] - smoothed[: place + 1]))
    if start - least < NOISE * spread:
        why = (
            f"the loss fell by {start - least:.2f} where single batches differ by {spread:.2f}, so the curve "
            f"shows no lr: try steps={4 * len(points)}, or a larger batch_size"
        )
        return Suggestion(None, why, lowest, smoothed.tolist())
    half = points[int(np.argmax(smoothed <= (start + least) / 2))].lr
    why = f"the smoothed loss had fallen halfway from {start:.2f} to {least:.2f}, its lowest, at {lowest:.1e}"
    return Suggestion(half, why, lowest, smoothed.tolist())
