"""Label files of others, for whose numbers and boxes pictures are to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svhncli.core.errors import DataError, UsageError
from svhncli.data.render.photo import Given, check

Row = tuple[str, tuple[int, ...], np.ndarray]
"""A picture's file name, its digits, and their boxes (L, 4): left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class Labels:
    """The numbers that pictures are to show, as a file has them: `form` is the layout that it is of."""

    file: Path
    form: str
    rows: Sequence[Row]


def read_labels(file: Path) -> Labels:
    """The numbers and boxes of an mchar JSON or a digitStruct.mat.

    Raises:
        DataError: the file cannot be read, or has numbers or boxes that cannot be drawn.
        UsageError: it is of neither kind.
    """
    if file.suffix == ".json":
        from svhncli.data.sources.mchar import read_labels as of_mchar

        form, found = "mchar", of_mchar(file)
    elif file.suffix == ".mat":
        from svhncli.data.sources.svhn_full import read_labels as of_svhn

        form, found = "svhn_full", of_svhn(file)
    else:
        raise UsageError(
            f"labels={file} is neither a JSON of mchar nor a digitStruct.mat", "choose one of these"
        )
    rows = [(name, label, np.array(boxes, np.float32)) for name, label, boxes in found]
    for name, label, boxes in rows:
        if Path(name).name != name or not name.lower().endswith(".png"):
            raise DataError(
                f"'{file}': '{name}' is no name of a PNG file", "pictures are written as PNG files"
            )
        try:
            check(Given(label, boxes))
        except ValueError as error:
            raise DataError(f"'{file}', {name}: {error}", "correct or remove this picture's entry") from error
    return Labels(file, form, rows)


def part_of(labels: Path) -> str:
    """Which part a label file belongs to by its name or its folder's, as others hand it out.

    Raises:
        UsageError: neither says it.
    """
    for part in ("train", "val", "test"):
        if part in labels.stem or part == labels.parent.name:
            return part
    raise UsageError(f"'{labels}' does not say which part it labels", "say part=train, part=val or part=test")
