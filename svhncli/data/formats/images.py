"""Files of pictures of any kind as RGB: the one way in which svhn opens them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from svhncli.core.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LARGEST = 50_000_000
"""Pixels; a small file can say that it holds far more than fits into memory."""


def decode(source: Path | BinaryIO, name: str | None = None) -> Image.Image:
    """A picture in RGB: turned as its EXIF data says, the first frame of several.

    Greys of 16 bits are divided by 257; of more, or with fractions, they are clipped to 0-255. What is
    transparent is laid on white.

    Raises:
        DataError: the file cannot be read, holds no picture, is damaged, or has more than `LARGEST` pixels.
    """
    name = str(source) if name is None else name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of odd metadata and large pictures: decided below
            with Image.open(source) as picture:
                if picture.width * picture.height > LARGEST:
                    raise Image.DecompressionBombError
                return _rgb(ImageOps.exif_transpose(picture))
    except Image.DecompressionBombError as error:  # Pillow has a limit of its own, beyond ours
        raise DataError(f"'{name}' has more than {LARGEST:,} pixels", "make it smaller") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
        why = getattr(error, "strerror", None) or "it is damaged, or no picture"
        raise DataError(f"cannot read the picture '{name}': {why}", "replace it or leave it out") from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) // 257).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(picture, np.float64))
        if picture.mode == "I" and values.max(initial=0) > 255:  # how some files of 16 bits are opened
            values = values / 257
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        alpha = picture.convert("RGBA")
        white = Image.new("RGBA", alpha.size, "white")
        return Image.alpha_composite(white, alpha).convert("RGB")
    return picture.convert("RGB")
