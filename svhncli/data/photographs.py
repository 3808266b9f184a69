"""A labeled photograph before it is framed: what a source lists, and what `svhn convert` writes again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from svhncli.core.errors import DataError
from svhncli.core.processes import CrashError
from svhncli.data.formats.images import crashed, decode
from svhncli.data.framing import Box


@dataclass(frozen=True, slots=True)
class PhotographFile:
    """A file, its number and its digits' boxes.

    name: for people to read, with its part, such as train/1.png.
    label: L digits 0-9; none in an image without a number. boxes: one per digit, or none at all.
    group: images with the same text are never on both sides of a split; "" for an image that is a group of
    its own. relative: whether the boxes are fractions of the image's width and height, which are known when
    it is decoded. content: the encoded image, where it is not the file itself. listed: the label file that
    names the image, if one does.
    window: left, top, right and bottom of the part of the decoded image that is meant; None for all of it.
    """

    name: str
    path: Path
    label: tuple[int, ...]
    boxes: tuple[Box, ...] = ()
    group: str = ""
    relative: bool = False
    content: bytes | None = None
    listed: Path | None = None
    window: tuple[int, int, int, int] | None = None

    def boxes_in(self, width: int, height: int) -> tuple[Box, ...]:
        """The boxes in pixels of an image of this size."""
        if not self.relative:
            return self.boxes
        return tuple(
            (left * width, top * height, right * width, bottom * height)
            for left, top, right, bottom in self.boxes
        )

    def image(self, white: float | None = None) -> Image.Image:
        """The image in RGB; white as for `decode`.

        Raises:
            DataError: it cannot be read.
        """
        try:
            image = decode(self.source(), self._shown, white=white)
        except DataError as error:
            raise self._with_origin(error) from error
        return image if self.window is None else image.crop(self.window)

    def crashed(self, error: CrashError) -> DataError:
        """The error of an image that crashed the process reading it."""
        return self._with_origin(crashed(self._shown, error))

    @property
    def _shown(self) -> str:
        return str(self.path) if self.content is None else self.name

    def _with_origin(self, error: DataError) -> DataError:
        return DataError(f"{error.message}{self.origin}", error.hint)

    @property
    def origin(self) -> str:
        """For messages, the file from which svhn knows of the image: a damaged one names images that do not
        exist."""
        if self.content is not None:
            return f" (in '{self.path}')"
        return "" if self.listed is None else f" (listed in '{self.listed}')"

    def source(self) -> Path | BinaryIO:
        """What holds the encoded image."""
        return self.path if self.content is None else io.BytesIO(self.content)
