"""Contact sheets: many small pictures as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from svhncli.files import write_atomic

GAP = 2
COLUMNS = 16
CAPTION = 14
"""Pixels for a line of text."""


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
    _save(path, sheet)


def draw_captioned(
    path: Path, caption: str, images: np.ndarray, below: Sequence[str], zoom: int, columns: int
) -> None:
    """Write one block of pictures as a PNG, with a line of text below each.

    images: uint8 (N, C, H, W), C = 1 or 3. below: N texts.
    """
    _save(path, _block(caption, images, zoom, columns, below))


def _save(path: Path, sheet: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda file: sheet.save(file, "png"))


def _block(
    caption: str, images: np.ndarray, zoom: int, columns: int = COLUMNS, below: Sequence[str] = ()
) -> Image.Image:
    height, width = images.shape[2] * zoom, images.shape[3] * zoom
    line = CAPTION if below else 0
    across, down = width + GAP, height + line + GAP
    block = Image.new("RGB", (columns * across, CAPTION + -(-len(images) // columns) * down), "white")
    draw = ImageDraw.Draw(block)
    draw.text((2, 1), caption, fill="black")
    for place, pixels in enumerate(images):
        left, top = place % columns * across, CAPTION + place // columns * down
        picture = Image.fromarray(pixels.transpose(1, 2, 0).repeat(3 // pixels.shape[0], axis=2))
        block.paste(picture.resize((width, height), Image.Resampling.NEAREST), (left, top))
        if below:
            draw.text((left + 2, top + height), below[place], fill="black")
    return block
