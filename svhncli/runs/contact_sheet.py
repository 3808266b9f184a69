"""Contact sheets: many small images as one."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from svhncli.core import sums
from svhncli.core.files import write_atomic

GAP = 2
COLUMNS = 16
CAPTION = 14
"""Pixels for a line of text."""


RIGHT, WRONG = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion, which color-blind people can tell apart."""


@dataclass(frozen=True)
class Outlines:
    """Boxes of one color in N images: float (N, L, 4), left, top, right and bottom in their pixels, NaN where
    there is none."""

    boxes: np.ndarray
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Block:
    """Images under one caption.

    images: uint8 (N, C, H, W), C = 1 or 3. below: N texts, a line below each image; or none.
    marks: N colors behind the texts, which are white then; or none. outlines: drawn into the images, the
    last on top.
    """

    caption: str
    images: np.ndarray
    below: Sequence[str] = ()
    marks: Sequence[tuple[int, int, int]] = ()
    outlines: Sequence[Outlines] = ()


FAST = 1
"""Compression of PNG files: higher levels take several times as long for files a tenth smaller."""


def draw_sheet(path: Path, blocks: Sequence[Block], zoom: int = 2, columns: int = COLUMNS) -> None:
    """Write blocks of images, one below the other, as a PNG.

    zoom: pixels of the sheet for each pixel, without smoothing. columns: images in a row.
    """
    drawn = [_drawn(block, zoom, columns) for block in blocks]
    sheet = Image.new(
        "RGB", (max(block.width for block in drawn), sum(block.height for block in drawn)), "white"
    )
    top = 0
    for block in drawn:
        sheet.paste(block, (0, top))
        top += block.height
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda file: sheet.save(file, "png", compress_level=FAST))


def cells(path: Path, count: int, size: tuple[int, int], zoom: int, columns: int) -> list[Image.Image]:
    """The images of a sheet with one block, whose images have texts, in its order and at their own size.

    size: height and width in pixels of each of the `count` images.

    Raises:
        OSError: the file cannot be read, or is not an image.
    """
    height, width = size
    with Image.open(io.BytesIO(sums.read(path))) as sheet:
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
        return _url("png", image.read_bytes())
    file = io.BytesIO()
    image.save(file, "png")
    return _url("png", file.getvalue())


def jpeg_url(image: Image.Image) -> str:
    """A sheet of many images as a URL that contains it, a third as long as that of a PNG."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "jpeg", quality=80)
    return _url("jpeg", file.getvalue())


def _url(form: str, content: bytes) -> str:
    return f"data:image/{form};base64," + base64.b64encode(content).decode()


def _drawn(block: Block, zoom: int, columns: int) -> Image.Image:
    images = block.images
    height, width = images.shape[2] * zoom, images.shape[3] * zoom
    line = CAPTION if block.below else 0
    across, down = width + GAP, height + line + GAP
    drawn = Image.new("RGB", (columns * across, CAPTION + -(-len(images) // columns) * down), "white")
    draw = ImageDraw.Draw(drawn)
    draw.text((2, 1), block.caption, fill="black")
    places = _places(len(images), height, width, columns, line)
    for place, (pixels, (left, top)) in enumerate(zip(images, places, strict=True)):
        image = Image.fromarray(pixels.transpose(1, 2, 0).repeat(3 // pixels.shape[0], axis=2))
        enlarged = image.resize((width, height), Image.Resampling.NEAREST)
        for outlines in block.outlines:
            _outline(enlarged, outlines.boxes[place] * zoom, outlines.color)
        drawn.paste(enlarged, (left, top))
        if block.marks:
            draw.rectangle(
                (left, top + height, left + width - 1, top + height + line - 1), block.marks[place]
            )
        if block.below:
            ink = "white" if block.marks else "black"
            draw.text((left + 2, top + height), block.below[place], fill=ink)
    return drawn


def _outline(image: Image.Image, boxes: np.ndarray, color: tuple[int, int, int]) -> None:
    """Draw boxes (L, 4) in pixels of the image."""
    draw = ImageDraw.Draw(image)
    for left, top, right, bottom in boxes[~np.isnan(boxes).any(-1)].round().astype(int).tolist():
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=color)
