"""The scale of deep images, those of more than 8 bits: one for a whole data set."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.data.formats.images import largest_value

SAMPLE = 1000
"""Images that are looked at, spread evenly over the training part."""


def measure(images: Sequence[Path]) -> float | None:
    """The value that is white in the deep images of a training part; None where there are none.

    It is 1 if no value exceeds 1, as in floating-point images, and else the largest value that as many bits
    can hold as the largest one needs, at least 8: 255, 4,095, 65,535, ….
    """
    largest = None
    for path in images[:: max(1, -(-len(images) // SAMPLE))]:
        with contextlib.suppress(DataError):  # it is told of when all images are decoded
            if (value := largest_value(path)) is not None:
                largest = max(value, largest or 0.0)
    if largest is None:
        return None
    return 1.0 if largest <= 1 else float((1 << max(8, int(largest).bit_length())) - 1)
