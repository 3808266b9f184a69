"""Pictures that a person leaves out: a text file with their names, one a line."""

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
"""Unknown names that a message tells."""


def without(data: DataSet, file: Path) -> DataSet:
    """The data without the named pictures of its training part, and of the validation part that it brings.

    The test part is never thinned, nor are rendered pictures that are added to real ones. A fingerprint of
    the data changes with the set of names; comments and their order do not matter. The pictures that are kept
    are copied into memory; without a name in the file nothing is.

    Raises:
        DataError: the file cannot be read, names a picture that is not there or is of the test part, or
            leaves no picture of a part, of a class or of a length.
    """
    parts = {"training": data.train} | ({"validation": data.val} if data.val is not None else {})
    known = {name for digits in parts.values() for name in digits.names}
    named = _read(file, known)
    if not named:
        return data
    if unknown := [name for name in named if name not in known]:
        raise _unknown(file, unknown, data)
    left = {part: _kept(file, part, digits, set(named)) for part, digits in parts.items()}
    mark = joint_fingerprint(data.fingerprint, *sorted(named))
    return replace(
        data, train=left["training"], val=left.get("validation"), fingerprint=mark, excluded=tuple(named)
    )


def _read(file: Path, known: set[str]) -> list[str]:
    """The names in a file, each once, in its order; empty lines and those that begin with # are none.

    known: names that are taken as they are, whatever they begin or end with.

    Raises:
        DataError: the file cannot be read, or is no text in UTF-8.
    """
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(
            f"cannot read the exclude list '{os.path.abspath(file)}': {error.strerror}",
            "data.exclude=FILE says where it is; data.exclude=null leaves nothing out",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"the exclude list '{file}' is no text in UTF-8", "save it as such") from error
    found = []
    for line in lines:
        name = line.rstrip("\r")
        if name not in known:
            name = name.strip()
            if not name or name.startswith("#"):
                continue
        found.append(name)
    return list(dict.fromkeys(found))


def _unknown(file: Path, unknown: Sequence[str], data: DataSet) -> DataError:
    shown = ", ".join(f"'{name}'" for name in unknown[:SHOWN]) + (", …" if len(unknown) > SHOWN else "")
    if data.test is not None and not {*unknown}.isdisjoint(data.test.names):
        return DataError(
            f"the exclude list '{file}' names pictures of the test part: {shown}",
            "the test part stays as it is; take these lines out",
        )
    return DataError(
        f"the exclude list '{file}' names {len(unknown):,} pictures that {data.name} does not have: {shown}",
        f"names are written as '{data.train.names[0]}', one a line; is the list of other data?",
    )


def _kept(file: Path, part: str, digits: Digits, named: set[str]) -> Digits:
    """The pictures of a part that are not named."""
    rows = np.array([row for row, name in enumerate(digits.names) if name not in named], np.int64)
    if len(rows) == len(digits):
        return digits
    if not len(rows):
        raise DataError(f"the exclude list '{file}' leaves no picture of the {part} part", "shorten it")
    left = digits.take(rows)
    for kind, before, after in (
        ("class", digits.class_counts(), left.class_counts()),
        ("length", digits.length_counts(), left.length_counts()),
    ):
        if part == "training" and (gone := _first_gone(before, after)) is not None:
            value = gone if kind == "class" else gone + 1
            raise DataError(
                f"the exclude list '{file}' leaves no training picture of {kind} {value}",
                "keep one of each, or bring data without that " + kind,
            )
    return left


def _first_gone(before: Sequence[int], after: Sequence[int]) -> int | None:
    return next((k for k, (old, new) in enumerate(zip(before, after, strict=True)) if old and not new), None)
