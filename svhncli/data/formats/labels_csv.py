"""A labels.csv: the columns file and label, such as `a.png,007`, and optionally group and part."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from svhncli.core.errors import DataError
from svhncli.data.formats.boxed_labels import LONGEST

REQUIRED, OPTIONAL = ("file", "label"), ("group", "part")
HEADER = "its first line is: file,label; or with group, part or both after them"
PARTS = {"": "train", "train": "train", "test": "test"} | dict.fromkeys(("val", "valid", "validation"), "val")


@dataclass(frozen=True)
class Row:
    """One image. file: relative to the CSV's folder, and inside it. group: "" for none. part: train, val or
    test, None where the CSV has no such column."""

    file: str
    digits: tuple[int, ...]
    group: str = ""
    part: str | None = None


def read(path: Path) -> list[Row]:
    """The rows, in the file's order.

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
    if not rows:
        raise DataError(f"'{path}' is empty", HEADER)
    columns = rows[0]
    if len({*columns}) < len(columns) or not {*REQUIRED} <= {*columns} <= {*REQUIRED, *OPTIONAL}:
        raise DataError(f"'{path}' begins with {','.join(columns)[:60]!r}", HEADER)
    labels: dict[str, Row] = {}
    for number, cells in enumerate(rows[1:], start=2):
        if not cells:
            continue
        where = f"'{path}', row {number}"
        if len(cells) != len(columns):
            raise DataError(f"{where}: {len(cells)} fields instead of {len(columns)}", HEADER)
        row = _parse(dict(zip(columns, cells, strict=True)), where, path.parent)
        if row.file in labels:
            raise DataError(f"{where}: '{row.file}' appears twice", "list each image once")
        labels[row.file] = row
    return list(labels.values())


def _parse(cells: dict[str, str], where: str, folder: Path) -> Row:
    file, label = cells["file"], cells["label"]
    if not (label.isascii() and label.isdigit() and len(label) <= LONGEST):
        only = f"a label is 1 to {LONGEST} digits and nothing else, such as 007"
        raise DataError(f"{where}: label {label[:60]!r}", only)
    if "\\" in file and not (folder / file).exists():
        file = file.replace("\\", "/")  # written on Windows
    inside = PurePosixPath(file)
    if not file.strip() or "\0" in file or inside.is_absolute() or ".." in inside.parts:
        raise DataError(f"{where}: file {file[:60]!r}", f"files are relative to '{folder}', and inside it")
    part = cells.get("part")
    if part is not None and part not in PARTS:
        raise DataError(f"{where}: part {part[:60]!r}", "a part is train, val or test; empty is train")
    digits = tuple(int(digit) for digit in label)
    return Row(str(inside), digits, cells.get("group", ""), None if part is None else PARTS[part])
