"""From a photograph of any size to a stored image: which part is kept, at which resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

LARGEST = 50_000_000
"""Pixels of a photograph extended to contain its boxes; a wrong box can lie anywhere."""

ADDED = {"white": None, "fit": "stretch"}
"""Fields that came later, and their values in framings from before."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class Framing:
    """The part of a photograph that a network sees, its view.

    height, width: pixels of the view.
    fit: "stretch" resizes what is viewed to that, "pad" keeps its shape and adds what lies around it.
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
    fit: str = "stretch"

    @property
    def key(self) -> dict[str, Any]:
        """What decides the stored image, for the key of a cache; what is as it always was is left out."""
        return {name: value for name, value in asdict(self).items() if (name, value) not in ADDED.items()}

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
        if self.crop == "boxes" and boxes is not None and not boxes:
            raise ValueError("it has no boxes to crop the number by")
        places = np.array(boxes or np.full((1, 4), np.nan), np.float64)[None]
        window: Box = tuple(self.windows(places, np.array([photograph.size]))[0].tolist())
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

    def windows(self, boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """What is stored of N photographs: left, top, right and bottom in their pixels, float64 (N, 4).

        boxes: float (N, L, 4), those of their digits in pixels, NaN where there is none. sizes: int (N, 2),
        their widths and heights.
        """
        low, high = np.zeros(sizes.shape), sizes.astype(np.float64)
        half = high / 2
        if self.crop == "boxes":
            cut = ~np.isnan(boxes).all((1, 2))
            low[cut], high[cut] = np.nanmin(boxes[cut, :, :2], axis=1), np.nanmax(boxes[cut, :, 2:], axis=1)
            room = np.array(self.room[::-1]) / (self.width, self.height)
            half[cut] = (np.maximum(high - low, 1) * (0.5 + self.widen) * (1 + 2 * room))[cut]
        if self.fit == "pad":
            stored = np.array(self.stored[::-1])
            half = stored * (half / stored).max(axis=1, keepdims=True)
        center = (low + high) / 2
        return np.concatenate([center - half, center + half], axis=1)

    def placed(self, boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Boxes in pixels of N photographs, as for `windows`, in pixels of the stored images: float32."""
        start, scale = self._scales(self.windows(boxes, sizes))
        return ((boxes - start) / scale).astype(np.float32)

    def in_photographs(self, boxes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Boxes (N, L, 4) in pixels of what the network sees, in those of the photographs: float64.

        windows: what is stored of these, (N, 4), see `windows`.
        """
        start, scale = self._scales(windows)
        return (boxes + np.tile(self.room[::-1], 2)) * scale + start

    def _scales(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of N stored images, the origin and the size of a pixel in those of the photograph, along each of a
        box's sides: (N, 1, 4) each."""
        start = np.tile(windows[:, None, :2], 2)
        return start, np.tile((windows[:, None, 2:] - windows[:, None, :2]) / self.stored[::-1], 2)
