"""What annotation tools mark in an image, as the digits of its number and their boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from svhncli.core.errors import DataError
from svhncli.data.formats.boxed_labels import LONGEST
from svhncli.data.framing import Box

Mark = tuple[str, Box]
"""The name of a class, and a box: left, top, right, bottom."""

DIGITS = tuple("0123456789")


def number(marks: Sequence[Mark], where: str) -> tuple[tuple[int, ...], tuple[Box, ...]]:
    """The digits and their boxes from left to right, by the boxes' centers.

    where: the label file and the image, for error messages.

    Raises:
        DataError: a class that is not a digit, a box without a size, or more than `LONGEST` digits.
    """
    for name, box in marks:
        if name.strip() not in DIGITS:
            raise DataError(
                f"{where}: class '{name[:60]}' is not a digit",
                "rename the classes to 0, 1, …, 9, or remove the boxes of others; 0 is the digit zero",
            )
        left, top, right, bottom = box
        if not (all(map(math.isfinite, box)) and left < right and top < bottom):
            sides = ", ".join(f"{side:g}" for side in box)
            raise DataError(
                f"{where}: the box of '{name}' has no size: left, top, right, bottom are {sides}",
                "remove it, or draw it again",
            )
    if len(marks) > LONGEST:
        raise DataError(
            f"{where}: {len(marks)} boxes; a number has 1 to {LONGEST} digits",
            "mark the digits of one number in an image",
        )
    ordered = sorted(marks, key=lambda mark: mark[1][0] + mark[1][2])
    return tuple(int(name) for name, _ in ordered), tuple(box for _, box in ordered)
