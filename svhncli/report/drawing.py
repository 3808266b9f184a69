"""Photographs with what was predicted for them drawn in."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from svhncli.core.labels import DecodedNumber
from svhncli.core.text import percent
from svhncli.data.inputs import ARRAYS
from svhncli.runs.contact_sheet import RIGHT, WRONG

ACCEPTED, REJECTED = RIGHT, WRONG
SIDE = 400
"""Pixels that the longer side of a drawn photograph has at least."""
LETTERS = 24
"""Pixels of a caption's letters; more below a photograph of more than `SIDE` pixels."""
MARK = "svhn predict"
"""What each drawing says in its PNG, by which it is known again."""
LONGEST = 200
"""Bytes of a file's name without its ending; most disks take 255."""


def drawing(
    photograph: Image.Image, reading: DecodedNumber, boxes: np.ndarray | None, rejected: bool = False
) -> Image.Image:
    """A photograph in RGB with boxes around its digits, and a line below it that says what was predicted.

    A small one is enlarged by a whole factor, without smoothing.

    boxes: (digits, 4), left, top, right and bottom in pixels of the photograph; None: not known.
    """
    color = REJECTED if rejected else ACCEPTED
    factor = -(-SIDE // max(photograph.size))
    width, height = (factor * side for side in photograph.size)
    large = max(width, height) / SIDE
    font, pen, room = ImageFont.load_default(round(LETTERS * large)), round(2 * large), round(8 * large)
    text = f"{reading.text or 'no number'}   {percent(reading.confidence, 1)}{'   rejected' * rejected}"
    _, _, right, bottom = (round(side) for side in font.getbbox(text))
    made = Image.new("RGB", (max(width, right + 2 * room), height + bottom + 2 * room), "white")
    # drawn apart, so that no box reaches into the line below
    enlarged = photograph.resize((width, height), Image.Resampling.NEAREST)
    edges = ImageDraw.Draw(enlarged)
    for box in () if boxes is None else boxes * factor:
        left, top, *ends = (round(side) for side in box.tolist())
        corners = left, top, max(left, ends[0] - 1), max(top, ends[1] - 1)
        for wider, ink in ((pen, "white"), (0, color)):
            outer = *(at - wider for at in corners[:2]), *(at + wider for at in corners[2:])
            edges.rectangle(outer, outline=ink, width=pen)
    made.paste(enlarged, (0, 0))
    ImageDraw.Draw(made).text((room, height + room), text, fill=color, font=font)
    return made


def save(image: Image.Image, path: Path) -> None:
    """Write a drawing as a PNG that `drawings` knows again."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", MARK)
    image.save(path, "png", pnginfo=info)


def drawings(folder: Path) -> set[str]:
    """The names of the drawings in a folder, which need not exist."""
    return {path.name for path in folder.iterdir() if _is_drawing(path)} if folder.is_dir() else set()


def _is_drawing(path: Path) -> bool:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Software") == MARK
    except (OSError, ValueError, SyntaxError):  # what Pillow raises of a damaged PNG
        return False


class DrawingNames:
    """A file name for the drawing of each image: the image's own, such as `3.png` or, of one in an array,
    `file_3.png`. A name that was given before, in whatever case, gets a number: `3_2.png`."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._numbers: dict[str, Iterator[int]] = {}

    def of(self, image: str) -> str:
        path = Path(image)
        is_in_array = path.parent.suffix.lower() in ARRAYS and path.name.isdecimal()
        whole = f"{path.parent.stem}_{path.name}" if is_in_array else path.stem
        stem = os.fsdecode(os.fsencode(whole)[:LONGEST])
        name, numbers = stem, self._numbers.setdefault(stem.casefold(), itertools.count(2))
        while name.casefold() in self._given:
            name = f"{stem}_{next(numbers)}"
        self._given.add(name.casefold())
        return f"{name}.png"
