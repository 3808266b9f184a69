"""Label files that `svhn render` is given: photographs are drawn for their numbers and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svhncli.core.errors import DataError, UsageError
from svhncli.data.formats import mchar_json
from svhncli.data.render.request import RequestedNumber, check

ImageLabel = tuple[str, tuple[int, ...], np.ndarray]
"""An image's file name, its digits, and their boxes (L, 4): left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class RequestedLabels:
    """The numbers that photographs are to show. form: the layout of the file, "mchar" or "svhn_full"."""

    file: Path
    form: str
    rows: Sequence[ImageLabel]


def read(file: Path) -> RequestedLabels:
    """The numbers and boxes of an mchar JSON or a digitStruct.mat.

    Raises:
        DataError: the file cannot be read, or has numbers or boxes that cannot be drawn.
        UsageError: it is neither kind of file.
    """
    if file.suffix == ".json":
        form, labels = "mchar", mchar_json.read(file)
    elif file.suffix == ".mat":
        from svhncli.data.formats import digit_struct  # HDF5 takes a moment to import

        form, labels = "svhn_full", digit_struct.read(file)
    else:
        raise UsageError(
            f"labels={file} is neither a JSON of mchar nor a digitStruct.mat", "choose one of these"
        )
    rows = [(name, digits, np.array(boxes, np.float32)) for name, digits, boxes in labels]
    for name, digits, boxes in rows:
        if Path(name).name != name or not name.lower().endswith(".png"):
            raise DataError(
                f"'{file}': '{name}' is not the name of a PNG file", "images are written as PNG files"
            )
        try:
            check(RequestedNumber(digits, boxes))
        except ValueError as error:
            raise DataError(f"'{file}', {name}: {error}", "correct or remove this image's entry") from error
    return RequestedLabels(file, form, rows)


def part_of(file: Path) -> str:
    """Which part a label file belongs to, by its name or its folder's.

    Raises:
        UsageError: neither tells.
    """
    for part in ("train", "val", "test"):
        if part in file.stem or part == file.parent.name:
            return part
    raise UsageError(
        f"the name of '{file}' does not tell which part it labels", "set part=train, part=val or part=test"
    )
