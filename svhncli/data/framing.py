"""From a photograph of any size to a stored image: which part is kept, at which resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

LARGEST = 50_000_000
"""Pixels of a photograph extended to contain its boxes; a wrong box can lie anywhere."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class Framing:
    """The part of a photograph that a network sees, its view.

    height, width: pixels of the view, to which it is resized without keeping its aspect ratio.
    crop: "whole" views the whole photograph; "boxes" the union of its digits' boxes, widened.
    widen: fraction of the union's width and height that is added on each side; for "boxes" only.
    jitter: fraction of the view's width and height that is stored beyond each side, so that training can
        shift the view (Goodfellow et al. 2014 store 64×64 pixels and view 54×54 of them); for "boxes" only.
    white: the value that is white in deep images (of more than 8 bits), as measured on the training part;
        None where that has no such images: then see `images.decode`.
    """

    height: int
    width: int
    crop: str = "whole"
    widen: float = 0.0
    jitter: float = 0.0
    white: float | None = None

    @property
    def room(self) -> tuple[int, int]:
        """Rows and columns that are stored beyond each side of the view."""
        if self.crop == "whole":
            return 0, 0
        return round(self.jitter * self.height), round(self.jitter * self.width)

    @property
    def stored(self) -> tuple[int, int]:
        """Height and width of a stored image."""
        rows, columns = self.room
        return self.height + 2 * rows, self.width + 2 * columns

    def middle(self, stored: np.ndarray) -> np.ndarray:
        """The unshifted view of stored images (..., *stored): (..., height, width)."""
        rows, columns = self.room
        return stored[..., rows : rows + self.height, columns : columns + self.width]

    def store(self, photograph: Image.Image, boxes: Sequence[Box] | None) -> np.ndarray:
        """The stored image of an RGB photograph, uint8 (3, *stored); its edge pixels repeat beyond it.

        boxes: of its digits; ignored if the whole photograph is viewed. None: it shows no number, so all of
            it is stored.

        Raises:
            ValueError: the view needs boxes, and there are none, or they lie far outside the photograph.
        """
        width, height = photograph.size
        window: Box = (0.0, 0.0, float(width), float(height))
        if self.crop == "boxes" and boxes is not None:
            window = self._window(boxes)
        left, top = (max(0, -int(np.floor(edge))) for edge in window[:2])
        right, bottom = max(0, int(np.ceil(window[2])) - width), max(0, int(np.ceil(window[3])) - height)
        if left or top or right or bottom:
            if (left + width + right) * (top + height + bottom) > LARGEST:
                raise ValueError(f"its boxes do not fit an image of {width}x{height} pixels")
            pixels = np.pad(np.asarray(photograph), ((top, bottom), (left, right), (0, 0)), mode="edge")
            photograph = Image.fromarray(pixels)
            window = window[0] + left, window[1] + top, window[2] + left, window[3] + top
        rows, columns = self.stored
        small = photograph.resize((columns, rows), Image.Resampling.BILINEAR, box=window)
        return np.array(small).transpose(2, 0, 1)

    def _window(self, boxes: Sequence[Box]) -> Box:
        """The part of the photograph that is stored."""
        if not boxes:
            raise ValueError("it has no boxes to crop the number by")
        left, top = (min(box[side] for box in boxes) for side in (0, 1))
        right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
        rows, columns = self.room
        half_width = max(right - left, 1) * (0.5 + self.widen) * (1 + 2 * columns / self.width)
        half_height = max(bottom - top, 1) * (0.5 + self.widen) * (1 + 2 * rows / self.height)
        x, y = (left + right) / 2, (top + bottom) / 2
        return x - half_width, y - half_height, x + half_width, y + half_height
