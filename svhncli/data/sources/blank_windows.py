"""Images without a number: windows of photographs, cut out beside the boxes of their digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from svhncli.core.errors import DataError
from svhncli.core.rng import numpy_generator
from svhncli.data.digits import Digits
from svhncli.data.formats.images import upright_size
from svhncli.data.framing import Box
from svhncli.data.photographs import PhotographFile

SUFFIX = "#blank"
"""What the name of a window has after that of its photograph."""
LEAST = 12
"""Pixels of a window's shorter side."""
WIDEST, TALLEST = 4.0, 2.0
"""How much wider than high a window may be, and how much higher than wide: numbers are similar."""
MARGIN = 0.1
"""Distance from the boxes in heights of the tallest one: some boxes cut off the ends of their digits."""

Window = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def with_windows(photographs: Sequence[PhotographFile], fraction: float) -> list[PhotographFile]:
    """The photographs, and behind them windows without a number: `fraction` as many as they have numbers, or
    as many as have room for one.

    Which photographs these are depends on their count alone, and they are spread over all of them. A window
    and its photograph share a group.

    Raises:
        DataError: no photograph has boxes.
    """
    numbered = [photograph for photograph in photographs if photograph.label]
    boxed = [photograph for photograph in numbered if photograph.boxes]
    if numbered and not boxed:
        raise DataError(
            "data.blank cuts images without a number out beside the boxes of digits, and "
            f"'{numbered[0].path}'{numbered[0].origin} has no boxes",
            "mark the digits with boxes, or leave data.blank out",
        )
    windows: dict[int, Window] = {}
    for place in numpy_generator(0, "blank windows").permutation(len(boxed)).tolist():
        if len(windows) == asked(len(numbered), fraction):
            break
        if (window := _window_of(boxed[place])) is not None:
            windows[place] = window
    cut = [
        replace(
            boxed[place], name=boxed[place].name + SUFFIX, label=(), boxes=(), window=window,
            group=_group(boxed[place]),
        )
        for place, window in sorted(windows.items())
    ]  # fmt: skip
    parents = {boxed[place].name for place in windows}
    return [
        *(
            replace(photograph, group=_group(photograph)) if photograph.name in parents else photograph
            for photograph in photographs
        ),
        *cut,
    ]


def asked(numbers: int, fraction: float) -> int:
    """How many images without a number belong to so many with one."""
    return round(fraction * numbers)


def shortage(part: str, digits: Digits, fraction: float) -> str | None:
    """A sentence if a loaded part has fewer windows than were asked for."""
    blank = np.flatnonzero(digits.is_blank)
    found = sum(digits.names[row].endswith(SUFFIX) for row in blank.tolist())
    wanted = asked(len(digits) - len(blank), fraction)
    if found >= wanted:
        return None
    return f"{part}: {found:,} of {wanted:,}, since no other photograph has room beside its boxes"


def window(width: int, height: int, boxes: Sequence[Box]) -> Window | None:
    """The largest window of a photograph left or right of, above or below all boxes; None without room."""
    xs = [side for box in boxes for side in (box[0], box[2])]
    ys = [side for box in boxes for side in (box[1], box[3])]
    away = MARGIN * max(abs(box[3] - box[1]) for box in boxes)
    left, right = _inside(math.floor(min(xs) - away), width), _inside(math.ceil(max(xs) + away), width)
    top, bottom = _inside(math.floor(min(ys) - away), height), _inside(math.ceil(max(ys) + away), height)
    beside = ((0, 0, left, height), (right, 0, width, height), (0, 0, width, top), (0, bottom, width, height))
    trimmed = [_trimmed(strip) for strip in beside if min(_sides(strip)) >= LEAST]
    return max(trimmed, key=lambda strip: math.prod(_sides(strip)), default=None)


def _inside(side: int, length: int) -> int:
    return min(max(side, 0), length)


def _sides(strip: Window) -> tuple[int, int]:
    return strip[2] - strip[0], strip[3] - strip[1]


def _trimmed(strip: Window) -> Window:
    """The middle of a strip that is too long."""
    left, top, _, _ = strip
    width, height = _sides(strip)
    wide, high = min(width, int(WIDEST * height)), min(height, int(TALLEST * width))
    left, top = left + (width - wide) // 2, top + (height - high) // 2
    return left, top, left + wide, top + high


def _window_of(photograph: PhotographFile) -> Window | None:
    try:
        size = upright_size(photograph.source())
    except DataError:  # reported, or left out, when it is framed
        return None
    return window(*size, photograph.boxes_in(*size))


def _group(photograph: PhotographFile) -> str:
    return photograph.group or photograph.name
