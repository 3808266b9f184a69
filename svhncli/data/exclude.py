"""Images that the user leaves out: a text file with their names, one per line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.store.cache import joint_fingerprint

SHOWN = 3
"""Unknown names that a message lists."""


def without(data: DataSet, file: Path) -> DataSet:
    """The data without the named images of its training part and of its own validation part.

    The test part is left unchanged, as are rendered images that are added to real ones. The fingerprint of
    the data changes with the set of names; comments and order do not matter. The remaining images are copied
    into memory, unless the file has no names.

    Raises:
        DataError: the file cannot be read, names an image that does not exist or is in the test part, or
            leaves no image of a part, of a class or of a length.
    """
    parts = {"training": data.train} | ({"validation": data.val} if data.val is not None else {})
    known = {name for digits in parts.values() for name in digits.names}
    names = _read(file, known)
    if not names:
        return data
    if unknown := [name for name in names if name not in known]:
        raise _unknown(file, unknown, data)
    left = {part: _kept(file, part, digits, set(names)) for part, digits in parts.items()}
    mark = joint_fingerprint(data.fingerprint, *sorted(names))
    return replace(
        data,
        train=left["training"],
        val=left.get("validation"),
        fingerprint=mark,
        excluded=tuple(names),
        whole=data.fingerprint,
    )


def _read(file: Path, known: set[str]) -> list[str]:
    """The distinct names in a file, in its order, without empty lines and lines that begin with #.

    known: names that are taken literally, even if they begin with # or have spaces around them.

    Raises:
        DataError: the file cannot be read, or is not text in UTF-8.
    """
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(
            f"cannot read the exclude list '{os.path.abspath(file)}': {error.strerror}",
            "set data.exclude=FILE to its path, or data.exclude=null to leave nothing out",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the exclude list '{file}' is not text in UTF-8", "save it in UTF-8") from error
    names = []
    for line in lines:
        name = line.rstrip("\r")
        if name not in known:
            name = name.strip()
            if not name or name.startswith("#"):
                continue
        names.append(name)
    return list(dict.fromkeys(names))


def _unknown(file: Path, unknown: Sequence[str], data: DataSet) -> DataError:
    shown = ", ".join(f"'{name}'" for name in unknown[:SHOWN]) + (", …" if len(unknown) > SHOWN else "")
    if data.test is not None and not {*unknown}.isdisjoint(data.test.names):
        return DataError(
            f"the exclude list '{file}' names images of the test part: {shown}",
            "the test part cannot be changed; remove these lines",
        )
    return DataError(
        f"the exclude list '{file}' names {len(unknown):,} images that {data.name} does not have: {shown}",
        f"names are written as '{data.train.names[0]}', one per line; check that the list is for this data",
    )


def _kept(file: Path, part: str, digits: Digits, named: set[str]) -> Digits:
    """The images of a part whose names are not listed."""
    rows = np.array([row for row, name in enumerate(digits.names) if name not in named], np.int64)
    if len(rows) == len(digits):
        return digits
    if not len(rows):
        raise DataError(f"the exclude list '{file}' leaves no image in the {part} part", "shorten the list")
    left = digits.take(rows)
    for kind, before, after in (
        ("class", digits.class_counts(), left.class_counts()),
        ("length", digits.length_counts(), left.length_counts()),
    ):
        if part == "training" and (index := _first_missing(before, after)) is not None:
            value = index if kind == "class" else index + 1
            raise DataError(
                f"the exclude list '{file}' leaves no training image of {kind} {value}",
                f"keep at least one image of this {kind}",
            )
    return left


def _first_missing(before: Sequence[int], after: Sequence[int]) -> int | None:
    return next((k for k, (old, new) in enumerate(zip(before, after, strict=True)) if old and not new), None)
