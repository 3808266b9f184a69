"""SVHN's cropped digits in a .mat file: X uint8 (side, side, 3, N), or gray (side, side, N); y (N, 1) with 10
for the digit 0."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svhncli.core.errors import DataError
from svhncli.data.formats import mat

BLOCK = 1024  # images that are read at once
LAYOUT = (
    "expected: X uint8 side×side×3×N (side×side×N in gray), and y N×1 with the labels 1-10, where 10 is the "
    "digit 0; data=arrays takes other types and shapes"
)


@dataclass(frozen=True)
class CroppedMat:
    """A .mat file of N square images and their labels, described but not read yet."""

    path: Path
    x: mat.Variable
    y: mat.Variable

    @property
    def side(self) -> int:
        """Pixels of an image's side."""
        return self.x.shape[0]

    def __len__(self) -> int:
        return _count(self.x)

    def blocks(self) -> Iterator[np.ndarray]:
        """The images in order, in blocks uint8 (B, 3, side, side), the channels of gray ones all the same.

        Raises:
            DataError: the file is damaged.
        """
        return _blocks(self.path, self.x)

    def labels(self) -> np.ndarray:
        """Classes int64 (N,): 1-9 stay and 10 becomes 0.

        Raises:
            DataError: the file is damaged, or has another label.
        """
        values = np.concatenate(list(mat.read(self.path, self.y, 1 << 20)))
        wrong = np.flatnonzero(~np.isin(values, np.arange(1, 11)))
        if len(wrong):
            row = wrong[0]
            raise DataError(
                f"'{self.path}': label {values[row]} in row {row} of y (counted from 0)",
                f"{LAYOUT}; zeros are written as 10",
            )
        return np.where(values == 10, 0, values).astype(np.int64)


def describe(path: Path) -> CroppedMat:
    """The variables X and y of a file.

    Raises:
        DataError: it cannot be read, is damaged or has another layout.
    """
    variables = mat.variables(path)
    x, y = _x_of(path, variables), variables.get("y")
    if y is None:
        raise _lacks(path, "y", variables)
    if y.kind not in mat.NUMBERS or y.shape not in ((_count(x), 1), (1, _count(x))):
        raise DataError(f"'{path}': {x}, but {y}", LAYOUT)
    return CroppedMat(path, x, y)


def images(path: Path) -> Iterator[np.ndarray]:
    """The images of a file in blocks uint8 (B, 3, side, side); the file needs no y.

    Raises:
        DataError: it is missing, damaged or of another layout.
    """
    require_file(path)
    return _blocks(path, _x_of(path, mat.variables(path)))


def write(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write a new file of images uint8 (N, 3, side, side) and their classes int64 (N,).

    Raises:
        OSError: it cannot be written.
    """
    from scipy.io import savemat

    y = np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)
    savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": y}, do_compression=True)


def require_file(path: Path) -> None:
    """Refuse a path that is not a file.

    Raises:
        DataError: it is not.
    """
    if not path.is_file():
        raise DataError(f"there is no file '{os.path.abspath(path)}'", "check its path")


def _blocks(path: Path, x: mat.Variable) -> Iterator[np.ndarray]:
    side, channels = x.shape[0], 1 if _gray(x) else 3
    for block in mat.read(path, x, BLOCK * channels * side * side):
        images = block.reshape(-1, channels, side, side).swapaxes(2, 3)  # the file stores columns first
        yield np.broadcast_to(images, (len(images), 3, side, side))


def _x_of(path: Path, variables: dict[str, mat.Variable]) -> mat.Variable:
    """The variable X of a file, where it has the right type and shape."""
    if (x := variables.get("X")) is None:
        raise _lacks(path, "X", variables)
    images = len(x.shape) == 3 or (len(x.shape) == 4 and x.shape[2] in (1, 3))
    if x.kind != "uint8" or not images or x.shape[0] != x.shape[1] or 0 in x.shape:
        raise DataError(f"'{path}': {x}", LAYOUT)
    return x


def _lacks(path: Path, name: str, variables: dict[str, mat.Variable]) -> DataError:
    held = ", ".join(map(str, variables.values())) or "no arrays"
    return DataError(f"'{path}' lacks the variable {name}: it holds {held}", LAYOUT)


def _gray(x: mat.Variable) -> bool:
    return x.shape[2] == 1 or (len(x.shape) == 3 and x.shape[2] != 3)


def _count(x: mat.Variable) -> int:
    """MATLAB drops a last dimension of 1, so 3 dimensions are one image in color, or N in gray."""
    return x.shape[3] if len(x.shape) == 4 else x.shape[2] if _gray(x) else 1
