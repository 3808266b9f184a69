"""What label files of whole numbers have in common: a row's fields, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError
from svhncli.data.framing import Box

LONGEST = 20
"""Digits; a number of more is damage, and all labels are padded to the longest."""

FIELDS = ("label", "left", "top", "width", "height")
HINT = f"each picture has {', '.join(FIELDS)}: lists of one number a digit, boxes in pixels"

Row = tuple[str, tuple[int, ...], tuple[Box, ...]]
"""A picture's file name, its digits and their boxes."""


def row(path: Path, name: str, values: Mapping[str, Sequence[Any]], digits: Sequence[int]) -> Row:
    """A picture's row from its fields.

    path: the label file, for messages.
    values: `FIELDS`, each a list of numbers.
    digits: what digits 0, 1, … are called in this file.

    Raises:
        DataError: no name of a file, fields of unequal lengths, no digits or more than `LONGEST`, a label
            that is no digit, a box without a size or place.
    """
    where = f"'{path}', picture {name!r}"
    if not name or name in (".", "..") or any(sign in name for sign in "/\\\0"):
        raise DataError(
            f"{where}: this is no name of a file", "pictures lie in one folder, without subfolders"
        )
    if any(field not in values for field in FIELDS):
        missing = next(field for field in FIELDS if field not in values)
        raise DataError(f"{where}: '{missing}' is missing", HINT)
    count = len(values["label"])
    if unequal := [field for field in FIELDS if len(values[field]) != count]:
        raise DataError(f"{where}: {count} in 'label', but {len(values[unequal[0]])} in '{unequal[0]}'", HINT)
    if not 1 <= count <= LONGEST:
        raise DataError(f"{where}: {count} digits; a number has 1 to {LONGEST}", HINT)
    numbers = {field: [_number(value, field, where) for value in values[field]] for field in FIELDS}
    called = {float(word): digit for digit, word in enumerate(digits)}
    if wrong := [value for value in numbers["label"] if value not in called]:
        raise DataError(
            f"{where}: label {wrong[0]:g}",
            f"labels are {min(digits)} to {max(digits)}, and {digits[0]} is the digit 0",
        )
    if min(numbers["width"]) < 0 or min(numbers["height"]) < 0:
        raise DataError(f"{where}: a box has a negative size", HINT)
    boxes = tuple(
        (left, top, left + width, top + height)
        for left, top, width, height in zip(*(numbers[field] for field in FIELDS[1:]), strict=True)
    )
    return name, tuple(called[value] for value in numbers["label"]), boxes


def _number(value: Any, field: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not abs(number) < 1e6:
        shown = str(value) if isinstance(value, (int, float)) and abs(value) < 1e300 else type(value).__name__
        raise DataError(f"{where}: '{field}' holds {shown}, which is no number of pixels or digit", HINT)
    return number
