"""Submissions to the Tianchi street-character contest: `file_name,file_code`, one row per image."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from svhncli.core.errors import DataError

HEADER = ("file_name", "file_code")


def check(path: Path, names: Sequence[str]) -> None:
    """Check that a file is a valid submission for the images `names`, which are in the contest's order.

    Codes are text of digits only, whose leading zeros count. Every image has one row, in the given order.

    Raises:
        DataError: the first thing that is wrong, and its line.
    """
    known, places = set(names), dict[str, int]()
    for line, row in _rows(path):
        if len(row) != len(HEADER):
            raise _wrong(path, f"line {line} has {len(row)} fields, not {len(HEADER)}")
        name, code = row
        if name in places:
            raise _wrong(path, f"line {line}: '{name}' appears a second time", "keep one row per image")
        if name not in known:
            raise _wrong(path, f"line {line}: there is no image '{name}'", "use the names of the image files")
        if not (code.isascii() and code.isdigit()):
            wrong = f"the code '{code}' of '{name}' is not digits only" if code else f"'{name}' has no code"
            raise _wrong(path, f"line {line}: {wrong}", "every image needs a code of one digit or more")
        places[name] = line
    if missing := [name for name in names if name not in places]:
        raise _wrong(
            path,
            f"it has {len(places):,} rows for {len(names):,} images: '{missing[0]}' is missing",
            "every image needs a row",
        )
    for expected, name in zip(names, places, strict=True):
        if expected != name:
            raise _wrong(path, f"line {places[name]}: '{name}' where '{expected}' should be", "sort by name")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines below the header, with their line numbers."""
    try:
        # As in files.write_csv, file names that are not UTF-8 keep their bytes.
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.reader(file, strict=True)
            if (header := next(reader, [])) != list(HEADER):
                raise _wrong(path, f"its first line is {','.join(header)!r}", f"write {','.join(HEADER)}")
            yield from ((reader.line_num, row) for row in reader)
    except csv.Error as error:
        raise _wrong(path, f"line {reader.line_num}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its path") from error


def _wrong(
    path: Path, what: str, hint: str = "write it with: svhn predict RUN FOLDER format=tianchi out=FILE"
) -> DataError:
    return DataError(f"'{path}' is not a valid submission: {what}", hint)
