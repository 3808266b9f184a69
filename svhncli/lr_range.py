"""The learning rate range test: lr rises at every step of a short training until the loss grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

GROWN = 4.0
"""The test ends once the smoothed loss is so many times its lowest value."""

BELOW_LOWEST = 10.0
"""The suggestion is the lr of the lowest loss divided by this: at that lr training is about to diverge."""


@dataclass(frozen=True)
class Point:
    """A step of the test: its lr, the batch's loss, and the smoothed loss."""

    lr: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class Suggestion:
    """lr: what to train with, None where the curve does not tell; why: how it was chosen, or what to change.

    lowest, steepest: lr where the smoothed loss was lowest, and where it fell fastest before that.
    """

    lr: float | None
    why: str
    lowest: float
    steepest: float


def suggest(points: Sequence[Point]) -> Suggestion:
    """Choose lr by a curve of the test.

    Raises:
        ValueError: fewer than two points.
    """
    if len(points) < 2:
        raise ValueError(f"{len(points)} point is no curve")
    place = min(range(len(points)), key=lambda i: points[i].smoothed)
    lowest = points[place].lr
    falls = [
        (points[i + 1].smoothed - points[i].smoothed) / math.log(points[i + 1].lr / points[i].lr)
        for i in range(max(1, place))
    ]
    steepest = points[min(range(len(falls)), key=falls.__getitem__)].lr
    if place == 0 or points[place].smoothed > 0.98 * points[0].smoothed:
        why = f"the loss never fell below its start: try a smaller low than {points[0].lr:.1e}"
        return Suggestion(None, why, lowest, steepest)
    if place >= len(points) - 2 and points[-1].smoothed <= GROWN * points[place].smoothed:
        why = f"the loss still fell at the highest lr, {points[-1].lr:.1e}: try a larger high or more steps"
        return Suggestion(None, why, lowest, steepest)
    lr = lowest / BELOW_LOWEST
    why = f"a tenth of {lowest:.1e}, where the smoothed loss was lowest; it fell fastest at {steepest:.1e}"
    return Suggestion(lr, why, lowest, steepest)
