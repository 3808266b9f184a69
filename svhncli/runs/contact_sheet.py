"""Contact sheets: many small images as one."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from svhncli.core.files import write_atomic

GAP = 2
COLUMNS = 16
CAPTION = 14
"""Pixels for a line of text."""


def draw_sheet(path: Path, blocks: Sequence[tuple[str, np.ndarray]], zoom: int = 2) -> None:
    """Write blocks of images, one below the other, as a PNG.

    blocks: caption and uint8 (N, C, H, W), C = 1 or 3, all of one size; `COLUMNS` images a row.
    zoom: pixels of the sheet for each pixel, without smoothing.
    """
    drawn = [_block(caption, images, zoom) for caption, images in blocks]
    sheet = Image.new(
        "RGB", (max(block.width for block in drawn), sum(block.height for block in drawn)), "white"
    )
    top = 0
    for block in drawn:
        sheet.paste(block, (0, top))
        top += block.height
    _save(path, sheet)


def draw_captioned(
    path: Path, caption: str, images: np.ndarray, below: Sequence[str], zoom: int, columns: int
) -> None:
    """Write one block of images as a PNG, with a line of text below each.

    images: uint8 (N, C, H, W), C = 1 or 3. below: N texts.
    """
    _save(path, _block(caption, images, zoom, columns, below))


def cells(path: Path, count: int, size: tuple[int, int], zoom: int, columns: int) -> list[Image.Image]:
    """The images of a sheet that `draw_captioned` wrote, in its order and at their own size.

    size: height and width in pixels of each of the `count` images.

    Raises:
        OSError: the file cannot be read, or is not an image.
    """
    height, width = size
    with Image.open(path) as sheet:
        sheet.load()
        images = []
        for left, top in _places(count, height * zoom, width * zoom, columns, CAPTION):
            cell = sheet.crop((left, top, left + width * zoom, top + height * zoom))
            images.append(cell.resize((width, height), Image.Resampling.NEAREST))
    return images


def _places(count: int, height: int, width: int, columns: int, line: int) -> list[tuple[int, int]]:
    """Left and top of each image of a block, below its caption. line: pixels for a text below each."""
    across, down = width + GAP, height + line + GAP
    return [(place % columns * across, CAPTION + place // columns * down) for place in range(count)]


def data_url(image: Image.Image | Path) -> str:
    """An image, or a PNG file as it is, as a URL that contains it."""
    if isinstance(image, Path):
        content = image.read_bytes()
    else:
        file = io.BytesIO()
        image.save(file, "png")
        content = file.getvalue()
    return "data:image/png;base64," + base64.b64encode(content).decode()


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
    places = _places(len(images), height, width, columns, line)
    for place, (pixels, (left, top)) in enumerate(zip(images, places, strict=True)):
        image = Image.fromarray(pixels.transpose(1, 2, 0).repeat(3 // pixels.shape[0], axis=2))
        block.paste(image.resize((width, height), Image.Resampling.NEAREST), (left, top))
        if below:
            draw.text((left + 2, top + height), below[place], fill="black")
    return block
