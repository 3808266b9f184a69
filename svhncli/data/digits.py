"""What every data source returns, and the only form in which pictures travel inside the tool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from svhncli.core.labels import BLANK, CLASSES


class Names(Sequence[str]):
    """Names of pictures, made or read when they are asked for."""

    @abstractmethod
    def _name(self, index: int) -> str:
        """The name of one picture, counted from 0."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        found = range(len(self))[index]
        return [self._name(one) for one in found] if isinstance(found, range) else self._name(found)


class Numbered(Names):
    """The names `prefix/0`, `prefix/1`, … of pictures that have none of their own."""

    def __init__(self, prefix: str, length: int) -> None:
        self.prefix = prefix
        self.length = length

    def __len__(self) -> int:
        return self.length

    def _name(self, index: int) -> str:
        return f"{self.prefix}/{index}"


class Stored(Names):
    """Names as UTF-8 in an array of bytes, (N,), which may be memory-mapped."""

    def __init__(self, names: np.ndarray) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def _name(self, index: int) -> str:
        return bytes(self.names[index]).decode()


class Chosen(Names):
    """Those of other names that stand at int64 `rows` (N,)."""

    def __init__(self, names: Sequence[str], rows: np.ndarray) -> None:
        self.names = names
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def _name(self, index: int) -> str:
        return self.names[int(self.rows[index])]


@dataclass(frozen=True)
class Digits:
    """N labelled pictures.

    images: uint8 (N, C, H, W), often memory-mapped, so never copied whole.
    labels: int64 (N, L); L = 1 for single digits, else the longest number, padded with `BLANK`.
        Digit 0 is class 0.
    groups: int64 (N,); pictures of one house number share a group and never stand on both sides of a split.
    names: one name a picture, for people.
    boxes: float32 (N, L, 4), each digit's left, top, right and bottom in pixels of the photograph that the
        picture was made from, NaN where there is no digit; None where nobody knows them.
    sizes: int32 (N, 2), width and height of those photographs; None where pictures are stored as they came.
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
        """(C, H, W) of every picture."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    @property
    def classes(self) -> int:
        """10 for single digits, 11 (with the blank) for numbers."""
        return CLASSES if self.labels.shape[1] == 1 else CLASSES + 1

    def padded(self, positions: int) -> Digits:
        """The same pictures with labels (N, positions), blanks after the digits.

        Raises:
            ValueError: a number has more digits than that.
        """
        longest = self.labels.shape[1]
        if longest > positions:
            raise ValueError(f"numbers of {longest} digits do not fit into {positions}")
        beyond = (0, 0), (0, positions - longest)
        labels = np.pad(self.labels, beyond, constant_values=BLANK)
        boxes = None if self.boxes is None else np.pad(self.boxes, (*beyond, (0, 0)), constant_values=np.nan)
        return replace(self, labels=labels, boxes=boxes)

    def take(self, rows: np.ndarray) -> Digits:
        """The pictures at int64 `rows` (n,), copied into memory."""
        return Digits(
            self.images[rows],
            self.labels[rows],
            self.groups[rows],
            Chosen(self.names, rows),
            None if self.boxes is None else self.boxes[rows],
            None if self.sizes is None else self.sizes[rows],
        )

    def class_counts(self) -> list[int]:
        """How many digits of each class 0-9 there are; blanks do not count."""
        return np.bincount(self.labels.ravel(), minlength=CLASSES)[:CLASSES].tolist()

    def length_counts(self) -> list[int]:
        """How many numbers of 1, 2, … L digits there are."""
        positions = self.labels.shape[1]
        return np.bincount((self.labels != BLANK).sum(1), minlength=positions + 1)[1:].tolist()
