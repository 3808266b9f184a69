"""Contact sheets: many small pictures as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

GAP = 2
COLUMNS = 16
CAPTION = 14
"""Pixels above a block of pictures for its caption."""


def draw_sheet(path: Path, blocks: Sequence[tuple[str, np.ndarray]], zoom: int = 2) -> None:
    """Write blocks of pictures, one below the other, as a PNG.

    blocks: caption and uint8 (N, C, H, W), C = 1 or 3, all of one size; `COLUMNS` pictures a row.
    zoom: pixels of the sheet for each pixel, without smoothing.
    """
    drawn = [_block(caption, images, zoom) for caption, images in blocks]
    sheet = Image.new("RGB", (max(one.width for one in drawn), sum(one.height for one in drawn)), "white")
    top = 0
    for one in drawn:
        sheet.paste(one, (0, top))
        top += one.height
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _block(caption: str, images: np.ndarray, zoom: int) -> Image.Image:
    height, width = images.shape[2] * zoom + GAP, images.shape[3] * zoom + GAP
    rows = -(-len(images) // COLUMNS)
    block = Image.new("RGB", (COLUMNS * width, CAPTION + rows * height), "white")
    ImageDraw.Draw(block).text((2, 1), caption, fill="black")
    for place, pixels in enumerate(images):
        picture = Image.fromarray(pixels.transpose(1, 2, 0).repeat(3 // pixels.shape[0], axis=2))
        picture = picture.resize((width - GAP, height - GAP), Image.Resampling.NEAREST)
        block.paste(picture, (place % COLUMNS * width, CAPTION + place // COLUMNS * height))
    return block
