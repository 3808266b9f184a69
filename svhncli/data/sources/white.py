"""The scale of deep images, those of more than 8 bits: one for a whole data set."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from svhncli.core.errors import DataError
from svhncli.data.formats.images import largest_value, white_of
from svhncli.data.photographs import PhotographFile

SAMPLE = 1000
"""Images that are looked at, spread evenly over the training part."""


def measure(images: Sequence[PhotographFile]) -> float | None:
    """The value that is white in the deep images of a training part; None where there are none."""
    largest = None
    for image in images[:: max(1, -(-len(images) // SAMPLE))]:
        with contextlib.suppress(DataError):  # it is told of when all images are decoded
            if (value := largest_value(image.source())) is not None:
                largest = max(value, largest or 0.0)
    return None if largest is None else white_of(largest)
