"""What the label files of whole numbers have in common: an image's fields, validated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError
from svhncli.data.framing import Box

LONGEST = 20
"""The most digits in a number: one with more is damage, and all labels are padded to the longest."""

FIELDS = ("label", "left", "top", "width", "height")
HINT = f"each image has {', '.join(FIELDS)}: lists with one number per digit, boxes in pixels"
BACKGROUNDS = "data.backgrounds=true uses images whose labels name no digit as images without a number"

BoxedLabel = tuple[str, tuple[int, ...], tuple[Box, ...]]
"""An image's file name, its digits and their boxes."""


def parse(
    path: Path,
    name: str,
    fields: Mapping[str, Sequence[Any]],
    digits: Sequence[int],
    *,
    backgrounds: bool | None = None,
) -> BoxedLabel:
    """An image's label from its fields.

    path: the label file, for error messages.
    fields: a list of numbers for each of `FIELDS`.
    digits: how this file writes the digits 0, 1, …, 9.
    backgrounds: whether a label may have no digits; None where no key of the source allows it.

    Raises:
        DataError: an invalid file name, fields of unequal lengths, no digits or more than `LONGEST`, a label
            that is not a digit, a box without a size or position.
    """
    where = f"'{path}', image {name!r}"
    if not name or name in (".", "..") or any(sign in name for sign in "/\\\0"):
        raise DataError(
            f"{where}: this is not a valid file name", "images lie in one folder, without subfolders"
        )
    if missing := [field for field in FIELDS if field not in fields]:
        raise DataError(f"{where}: '{missing[0]}' is missing", HINT)
    count = len(fields["label"])
    if unequal := [field for field in FIELDS if len(fields[field]) != count]:
        raise DataError(
            f"{where}: {count} values in 'label', but {len(fields[unequal[0]])} in '{unequal[0]}'", HINT
        )
    if count == 0 and backgrounds:
        return name, (), ()
    if not 1 <= count <= LONGEST:
        hint = HINT if count or backgrounds is None else f"{HINT}; {BACKGROUNDS}"
        raise DataError(f"{where}: {count} digits; a number has 1 to {LONGEST}", hint)
    numbers = {field: [_number(value, field, where) for value in fields[field]] for field in FIELDS}
    digit_of = {float(written): digit for digit, written in enumerate(digits)}
    if wrong := [value for value in numbers["label"] if value not in digit_of]:
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
    return name, tuple(digit_of[value] for value in numbers["label"]), boxes


def _number(value: Any, field: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not abs(number) < 1e6:
        shown = str(value) if isinstance(value, (int, float)) and abs(value) < 1e300 else type(value).__name__
        raise DataError(
            f"{where}: '{field}' holds {shown}, which is neither a digit nor a number of pixels", HINT
        )
    return number
