"""`Digits`: what every data source returns, and the one form in which images travel inside the tool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from svhncli.core.labels import BLANK, CLASSES


class ImageNames(Sequence[str]):
    """Names of images, each made or read on access."""

    @abstractmethod
    def _name(self, index: int) -> str:
        """The name of an image, counted from 0."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        rows = range(len(self))[index]
        return [self._name(row) for row in rows] if isinstance(rows, range) else self._name(rows)


class NumberedNames(ImageNames):
    """The names `prefix/0`, `prefix/1`, …, for images without names of their own."""

    def __init__(self, prefix: str, length: int) -> None:
        self.prefix = prefix
        self.length = length

    def __len__(self) -> int:
        return self.length

    def _name(self, index: int) -> str:
        return f"{self.prefix}/{index}"


class StoredNames(ImageNames):
    """Names as UTF-8 in an array of bytes, (N,), which may be memory-mapped."""

    def __init__(self, names: np.ndarray) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def _name(self, index: int) -> str:
        return bytes(self.names[index]).decode()


class SelectedNames(ImageNames):
    """The names at int64 `rows` (N,) of other names."""

    def __init__(self, names: Sequence[str], rows: np.ndarray) -> None:
        self.names = names
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def _name(self, index: int) -> str:
        return self.names[int(self.rows[index])]


@dataclass(frozen=True)
class Digits:
    """N labeled images.

    images: uint8 (N, C, H, W), often memory-mapped, so never copied as a whole.
    labels: int64 (N, L); L = 1 for single digits, otherwise the length of the longest number, padded with
        `BLANK`. Digit 0 is class 0. An image without a number has blanks alone; L is at least 2 in data with
        such images, so that there is a class for blanks.
    groups: int64 (N,); images of the same house number share a group, and a split never separates a group.
    names: a name for each image, for people to read.
    boxes: float32 (N, L, 4), each digit's left, top, right and bottom in pixels of the photograph that the
        image was cut from, NaN where there is no digit; None if unknown.
    sizes: int32 (N, 2), width and height of those photographs; None if images are stored unresized.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    names: Sequence[str]
    boxes: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if not (self.images.dtype == np.uint8 and self.images.ndim == 4):
            raise ValueError(
                f"images must be uint8 (N, C, H, W), not {self.images.dtype} {self.images.shape}"
            )
        if not (self.labels.dtype == np.int64 and self.labels.ndim == 2 and len(self.labels) == n):
            raise ValueError(f"labels must be int64 ({n}, L), not {self.labels.dtype} {self.labels.shape}")
        if not (self.groups.dtype == np.int64 and self.groups.shape == (n,) and len(self.names) == n):
            raise ValueError(f"groups and names must have {n} entries")
        if self.boxes is not None and self.boxes.shape != (*self.labels.shape, 4):
            raise ValueError(f"boxes must be ({n}, {self.labels.shape[1]}, 4), not {self.boxes.shape}")
        if self.sizes is not None and self.sizes.shape != (n, 2):
            raise ValueError(f"sizes must be ({n}, 2), not {self.sizes.shape}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    @property
    def classes(self) -> int:
        """10 for single digits, 11 (with the blank) for numbers and where images may show none."""
        return CLASSES if self.labels.shape[1] == 1 else CLASSES + 1

    def padded(self, positions: int) -> Digits:
        """The same images with labels (N, positions), padded with blanks.

        Raises:
            ValueError: a number has more digits than `positions`.
        """
        longest = self.labels.shape[1]
        if longest > positions:
            raise ValueError(f"numbers of {longest} digits do not fit into {positions}")
        beyond = (0, 0), (0, positions - longest)
        labels = np.pad(self.labels, beyond, constant_values=BLANK)
        boxes = None if self.boxes is None else np.pad(self.boxes, (*beyond, (0, 0)), constant_values=np.nan)
        return replace(self, labels=labels, boxes=boxes)

    def take(self, rows: np.ndarray) -> Digits:
        """The images at int64 `rows` (n,), copied into memory."""
        return Digits(
            self.images[rows],
            self.labels[rows],
            self.groups[rows],
            SelectedNames(self.names, rows),
            None if self.boxes is None else self.boxes[rows],
            None if self.sizes is None else self.sizes[rows],
        )

    @property
    def is_blank(self) -> np.ndarray:
        """Which images show no number: bool (N,)."""
        return (self.labels == BLANK).all(1)

    def class_counts(self) -> list[int]:
        """The number of digits in each class 0-9, without blanks."""
        return np.bincount(self.labels.ravel(), minlength=CLASSES)[:CLASSES].tolist()

    def length_counts(self) -> list[int]:
        """The number of house numbers with 1, 2, … L digits."""
        positions = self.labels.shape[1]
        return np.bincount((self.labels != BLANK).sum(1), minlength=positions + 1)[1:].tolist()
