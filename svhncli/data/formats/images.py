"""Image files of any kind as RGB: the one way in which svhn opens them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from svhncli.core.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LARGEST = 50_000_000
"""Pixels; a small file can claim to hold more than fits into memory."""


def decode(source: Path | BinaryIO, name: str | None = None) -> Image.Image:
    """An image in RGB, rotated by its EXIF data; the first frame of several.

    16-bit gray values are divided by 257; larger integers and floats are clipped to 0-255. Transparent
    pixels are blended with white.

    Raises:
        DataError: the file cannot be read, is not an image, is damaged, or has more than `LARGEST` pixels.
    """
    name = str(source) if name is None else name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about odd metadata and large images: checked below
            with Image.open(source) as image:
                if image.width * image.height > LARGEST:
                    raise Image.DecompressionBombError
                return _rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:  # Pillow has its own, larger limit
        raise DataError(f"'{name}' has more than {LARGEST:,} pixels", "resize it") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
        why = getattr(error, "strerror", None) or "it is damaged, or not an image"
        raise DataError(f"cannot read the image '{name}': {why}", "replace it or leave it out") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, np.float64))
        if image.mode == "I" and values.max(initial=0) > 255:  # Pillow opens some 16-bit files in this mode
            values = values / 257
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        alpha = image.convert("RGBA")
        white = Image.new("RGBA", alpha.size, "white")
        return Image.alpha_composite(white, alpha).convert("RGB")
    return image.convert("RGB")
