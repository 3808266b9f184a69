"""The scale of deep images, those of more than 8 bits: one for a whole data set."""

from __future__ import annotations

from collections.abc import Sequence

from svhncli.core.errors import DataError
from svhncli.core.processes import each_apart
from svhncli.data.formats.images import largest_value, white_of
from svhncli.data.photographs import PhotographFile

SAMPLE = 1000
"""Images that are looked at, spread evenly over the training part."""


def measure(images: Sequence[PhotographFile]) -> float | None:
    """The value that is white in the deep images of a training part; None where there are none."""
    values = each_apart(_largest, images[:: max(1, -(-len(images) // SAMPLE))])
    known = [value for value in values if isinstance(value, float)]
    return white_of(max(known)) if known else None


def _largest(image: PhotographFile) -> float | None:
    try:
        return largest_value(image.source())
    except DataError:  # reported when all images are decoded
        return None
