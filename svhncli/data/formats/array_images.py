"""Images in arrays: which axis is what, and which values are black and white."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svhncli.core.errors import DataError
from svhncli.data.formats.images import white_of

SMALLEST = 8
"""Pixels of an image's side; a smaller array is none of images."""
ORDERS = ("NHWC", "NCHW", "HWCN", "CHWN", "NHW", "HWN", "NP")
"""Axes: N images, H rows, W columns, C channels (1 or 3), P the pixels of a square gray image."""


def order(shape: Sequence[int], n: int) -> str | None:
    """The first of `ORDERS` that an array of n images can have; None if it holds no such images."""
    same = [axes for axes in ORDERS if len(axes) == len(shape)]
    return next((axes for axes in same if _fits(dict(zip(axes, shape, strict=True)), n)), None)


def likely_order(shape: Sequence[int]) -> str | None:
    """As `order`, without knowing how many images there are: square images are preferred."""
    same = [axes for axes in ORDERS if len(axes) == len(shape)]
    fitting = [axes for axes in same if order(shape, shape[axes.index("N")]) == axes]
    square = [axes for axes in fitting if len({shape[axes.find("H")], shape[axes.find("W")]}) == 1]
    return next(iter(square or fitting), None)


def _fits(sizes: dict[str, int], n: int) -> bool:
    pixels = sizes.get("P", SMALLEST**2)
    return (
        sizes["N"] == n
        and sizes.get("C", 1) in (1, 3)
        and min(sizes.get("H", SMALLEST), sizes.get("W", SMALLEST)) >= SMALLEST
        and pixels >= SMALLEST**2
        and math.isqrt(pixels) ** 2 == pixels
    )


def as_nchw(values: np.ndarray, axes: str) -> np.ndarray:
    """A view of an array as images (N, C, H, W), C 1 or 3."""
    if axes == "NP":
        side = math.isqrt(values.shape[1])
        return values.reshape(-1, 1, side, side)
    turned = values.transpose([axes.index(axis) for axis in "NCHW" if axis in axes])
    return turned if "C" in axes else turned[:, None]


@dataclass(frozen=True)
class Scale:
    """The values that are black and white in all images of a data set."""

    black: float
    white: float

    def __str__(self) -> str:
        return f"values {self.black:g} to {self.white:g}"

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Images of any type as uint8, three channels (N, 3, H, W)."""
        if (self.black, self.white) != (0, 255) or images.dtype.kind == "f":
            scaled = (images.astype(np.float64) - self.black) * (255 / (self.white - self.black))
            images = np.rint(scaled)
        return np.broadcast_to(images.astype(np.uint8), (len(images), 3, *images.shape[2:]))


def scale(parts: Sequence[tuple[str, np.ndarray]]) -> Scale:
    """One scale for the images of all parts, given with the names of their arrays.

    Where no value is negative, black is 0 and white as in deep image files (`white_of`). Otherwise they are
    -1 and 1 if nothing lies outside, and else what occurs, as in standardized images.

    Raises:
        DataError: a value is not finite, or all are the same.
    """
    low, high = math.inf, -math.inf
    for name, values in parts:
        ends = float(values.min()), float(values.max())
        if not all(map(math.isfinite, ends)):
            raise DataError(f"{name} holds values that are not finite", "replace the NaN and inf in it")
        low, high = min(low, ends[0]), max(high, ends[1])
    if low >= 0:
        return Scale(0, white_of(high))
    if low >= -1 and high <= 1:
        return Scale(-1, 1)
    if low == high:
        raise DataError(f"all pixels of {parts[0][0]} are {low:g}", "check the array")
    return Scale(low, high)
