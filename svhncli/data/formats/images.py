"""Image files of any kind as RGB: the one way in which svhn opens them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from svhncli.core.errors import DataError, reason
from svhncli.core.processes import CrashError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
REPLACE = "replace it or leave it out"
LARGEST = 50_000_000
"""Pixels; a small file can claim to hold more than fits into memory."""


def decode(source: Path | BinaryIO, name: str | None = None, *, white: float | None = None) -> Image.Image:
    """An image in RGB, rotated by its EXIF data; the first frame of several.

    Transparent pixels are blended with white.

    white: the value that becomes 255 in a deep image (of 16 or 32 bits, or floating-point, in one channel); 0
        stays 0, and values outside are clipped. None takes 65,535 for 16 bits and 255 for others.

    Raises:
        DataError: the file cannot be read, is not an image, is damaged, or has more than `LARGEST` pixels.
    """
    with _opened(source, name) as image:
        return _rgb(ImageOps.exif_transpose(image), white)


def largest_value(source: Path | BinaryIO, name: str | None = None) -> float | None:
    """The largest finite value of a deep image (see `decode`); None for one of 8 bits, which is not decoded.

    Raises:
        DataError: as `decode`.
    """
    with _opened(source, name) as image:
        if not _is_deep(image):
            return None
        values = np.asarray(image, np.float64)
        return float(values[np.isfinite(values)].max(initial=0))


def crashed(name: str, error: CrashError) -> DataError:
    """The error of an image that crashed the process reading it."""
    return DataError(f"cannot read the image '{name}': it is damaged: {error.message}", REPLACE)


def size(source: Path | BinaryIO, name: str | None = None) -> tuple[int, int]:
    """Width and height as stored, without decoding; raises as `decode` does."""
    with _opened(source, name) as image:
        return image.size


def upright_size(source: Path | BinaryIO, name: str | None = None) -> tuple[int, int]:
    """Width and height as `decode` gives them, without decoding; raises as it does."""
    with _opened(source, name) as image:
        # of a PNG without EXIF data at its front, getexif would decode all of it to look behind the pixels
        known = image.format != "PNG" or "exif" in image.info
        turned = known and image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
        return (image.height, image.width) if turned else image.size


@contextmanager
def _opened(source: Path | BinaryIO, name: str | None) -> Iterator[Image.Image]:
    """An image that is not decoded yet; errors become a DataError, also those of the block."""
    name = str(source) if name is None else name
    if isinstance(source, Path) and source.exists() and not (source.is_file() or source.is_dir()):
        # A pipe would be waited for.
        raise DataError(f"cannot read the image '{name}': it is not a file", REPLACE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about odd metadata and large images: checked below
            with Image.open(source) as image:
                if image.width * image.height > LARGEST:
                    raise Image.DecompressionBombError
                yield image
    except Image.DecompressionBombError as error:  # Pillow has its own, larger limit
        raise DataError(f"'{name}' has more than {LARGEST:,} pixels", "resize it") from error
    except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
        why = reason(error, "it is damaged, or not an image")
        raise DataError(f"cannot read the image '{name}': {why}", REPLACE) from error


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def white_of(largest: float) -> float:
    """The value that is white where no deep image has a larger one: 1 up to 1, as in floating-point images,
    and else what as many bits can hold as that value needs, at least 8: 255, 4,095, 65,535, ….
    """
    return 1.0 if largest <= 1 else float((1 << max(8, int(largest).bit_length())) - 1)


def _rgb(image: Image.Image, white: float | None) -> Image.Image:
    if _is_deep(image):
        values = np.nan_to_num(np.asarray(image, np.float64))
        if white is None:  # Pillow opens some 16-bit files in the mode of 32 bits
            is_16_bit = image.mode != "F" and (image.mode != "I" or values.max(initial=0) > 255)
            white = 65535 if is_16_bit else 255
        return Image.fromarray((np.clip(values, 0, white) * 255 / white).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        alpha = image.convert("RGBA")
        paper = Image.new("RGBA", alpha.size, "white")
        return Image.alpha_composite(paper, alpha).convert("RGB")
    return image.convert("RGB")
