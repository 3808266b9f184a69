"""A labels.csv: the header `file,label`, then one image per line with its number, such as `a.png,007`."""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath

from svhncli.core.errors import DataError
from svhncli.data.formats.boxed_labels import LONGEST

HEADER = "its first line is: file,label"


def read(path: Path) -> dict[str, tuple[int, ...]]:
    """Image -> digits, in the file's order; images are relative to the file's folder, and inside it.

    Raises:
        DataError: the file cannot be read, is not such a CSV in UTF-8, or has an invalid row.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is not a CSV in UTF-8: {error}", HEADER) from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error
    if not rows or rows[0] != ["file", "label"]:
        raise DataError(
            f"'{path}' begins with {','.join(rows[0])[:60]!r}" if rows else f"'{path}' is empty", HEADER
        )
    labels: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        where = f"'{path}', row {number}"
        file, digits = _parse(row, where, path.parent)
        if file in labels:
            raise DataError(f"{where}: '{file}' appears twice", "list each image once")
        labels[file] = digits
    return labels


def _parse(row: list[str], where: str, folder: Path) -> tuple[str, tuple[int, ...]]:
    if len(row) != 2:
        raise DataError(f"{where}: {len(row)} fields instead of 2", HEADER)
    file, label = row
    if not (label.isascii() and label.isdigit() and len(label) <= LONGEST):
        raise DataError(f"{where}: label {label[:60]!r}", f"a label is 1 to {LONGEST} digits, such as 007")
    inside = PurePosixPath(file)
    if not file.strip() or "\0" in file or inside.is_absolute() or ".." in inside.parts:
        raise DataError(f"{where}: file {file[:60]!r}", f"files are relative to '{folder}', and inside it")
    return str(inside), tuple(int(digit) for digit in label)
