"""A labels.csv: the columns file and label, such as `a.png,007`, and optionally group and part."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from svhncli.core.errors import DataError
from svhncli.data.formats.boxed_labels import BACKGROUNDS, LONGEST

NAME = "labels.csv"
REQUIRED, OPTIONAL = ("file", "label"), ("group", "part")
HEADER = "its first line is: file,label; or with group, part or both after them"
PARTS = {"": "train", "train": "train", "test": "test"} | dict.fromkeys(("val", "valid", "validation"), "val")
"""What a part may be called, in lower case."""
SEPARATORS = ",;\t"
MISSING = ("", "nan", "na", "<na>", "none", "null")
"""What tools write in place of a label, in lower case."""


@dataclass(frozen=True)
class Row:
    """One image. file: relative to the CSV's folder, and inside it. group: "" for none. part: train, val or
    test, None where the CSV has no such column."""

    file: str
    digits: tuple[int, ...]
    group: str = ""
    part: str | None = None


def read(path: Path, backgrounds: bool = False) -> list[Row]:
    """The rows, in the file's order.

    backgrounds: whether a label may be missing: the image shows no number.

    Raises:
        DataError: the file cannot be read, is not such a CSV in UTF-8 or UTF-16, or has an invalid row.
    """
    columns, rows = table(path, HEADER)
    require_columns(path, columns, REQUIRED, OPTIONAL, HEADER)
    return unique((where, _parse(cells, where, path.parent, backgrounds)) for where, cells in rows)


def table(path: Path, header: str) -> tuple[list[str], Iterator[tuple[str, dict[str, str]]]]:
    """The columns of a CSV, in lower case, and its rows: where each stands, and its cells by column.

    The header's line decides what separates the cells: commas, semicolons or tabs.

    header: what the first line should be, for hints.

    Raises:
        DataError: the file cannot be read or is no CSV; later, a row has more or fewer cells than columns.
    """
    try:
        raw = path.read_bytes()
        wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
        text = raw.decode("utf-16" if wide else "utf-8-sig")
        separator = max(SEPARATORS, key=text.partition("\n")[0].count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is not a CSV in UTF-8: {error}", header) from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error
    if not rows:
        raise DataError(f"'{path}' is empty", header)
    columns = [name.strip().lower() for name in rows[0]]

    def cells() -> Iterator[tuple[str, dict[str, str]]]:
        for number, row in enumerate(rows[1:], start=2):
            if any(map(str.strip, row)):
                where = f"'{path}', row {number}"
                if len(row) != len(columns):
                    raise DataError(f"{where}: {len(row)} fields instead of {len(columns)}", header)
                yield where, dict(zip(columns, row, strict=True))

    return columns, cells()


def require_columns(
    path: Path,
    columns: Sequence[str],
    required: Sequence[str],
    optional: Collection[str] | None,
    header: str,
) -> None:
    """Refuse columns that are missing, repeated or unknown.

    optional: those allowed beside the required ones; None allows any.

    Raises:
        DataError: naming the first such column.
    """
    shown = ", ".join(columns)[:60]
    missing = [name for name in required if name not in columns]
    unknown = [name for name in columns if name not in (*required, *(optional or ()))]
    for name in unknown if missing or optional is not None else ():
        if near := difflib.get_close_matches(name, missing or [*required, *(optional or ())], n=1):
            raise DataError(
                f"'{path}' has an unknown column '{name[:60]}': did you mean '{near[0]}'?", header
            )
    if missing:
        raise DataError(f"'{path}' has no column '{missing[0]}'; its first line names {shown}", header)
    if repeated := [name for place, name in enumerate(columns) if name in columns[:place]]:
        raise DataError(f"'{path}' has two columns '{repeated[0][:60]}'", header)
    if unknown and optional is not None:
        if "" in unknown:
            without = "take it out; pandas leaves its index out with to_csv(…, index=False)"
            raise DataError(f"'{path}' has a column without a name; its first line names {shown}", without)
        raise DataError(f"'{path}' has an unknown column '{unknown[0][:60]}'", f"take it out; {header}")


def unique(rows: Iterable[tuple[str, Row]]) -> list[Row]:
    """The rows, each of another image, given with where each stands.

    Raises:
        DataError: an image is in two rows.
    """
    by_file: dict[str, Row] = {}
    for where, row in rows:
        if row.file in by_file:
            raise DataError(f"{where}: '{row.file}' appears twice", "list each image once")
        by_file[row.file] = row
    return list(by_file.values())


def digits_of(label: str, where: str) -> tuple[int, ...]:
    """The digits of a label such as `007`, with spaces around it or as a whole float, such as `8.0`.

    where: the file and the row, for error messages.

    Raises:
        DataError: it is anything else, or has more than `LONGEST` digits.
    """
    match = re.fullmatch(rf"([0-9]{{1,{LONGEST}}})(\.0+)?", label.strip())
    if match is None:
        raise DataError(
            f"{where}: label {label[:60]!r} is {_fault(label.strip())}",
            f"a label is 1 to {LONGEST} digits and nothing else, such as 007",
        )
    return tuple(int(digit) for digit in match[1])


def digits_or_none(label: str, where: str, backgrounds: bool) -> tuple[int, ...]:
    """The digits of a label as `digits_of` gives them, or none where it is missing and may be.

    Raises:
        DataError: as `digits_of`, or the label is missing and may not be.
    """
    missing = label.strip().lower() in MISSING
    if missing and backgrounds:
        return ()
    try:
        return digits_of(label, where)
    except DataError as error:
        raise DataError(error.message, f"{error.hint}; {BACKGROUNDS}") if missing else error from None


def _fault(label: str) -> str:
    """Why a label is none."""
    if label.lower() in MISSING:
        return "no number: the image has no label"
    if label.isascii() and label.isdigit():
        return f"too long: it has {len(label)} digits"
    return "not a number of digits"


def file_in(folder: Path, file: str, where: str) -> str:
    """A listed file's path relative to a folder, with slashes, also where it was written on Windows.

    where: the list and the row, for error messages.

    Raises:
        DataError: it is not a file inside the folder.
    """
    if "\\" in file and not (folder / file).exists():
        file = file.replace("\\", "/")
    inside = PurePosixPath(file)
    if not file.strip():
        raise DataError(f"{where}: file {file[:60]!r} is no name", "name an image in every row")
    if "\0" in file or inside.is_absolute() or ".." in inside.parts:
        raise DataError(
            f"{where}: file {file[:60]!r} is not inside the folder", f"files are relative to '{folder}'"
        )
    return str(inside)


def _parse(cells: dict[str, str], where: str, folder: Path, backgrounds: bool) -> Row:
    digits = digits_or_none(cells["label"], where, backgrounds)
    file = file_in(folder, cells["file"], where)
    part = cells.get("part")
    if part is not None and part.strip().lower() not in PARTS:
        raise DataError(
            f"{where}: part {part[:60]!r} is unknown", "a part is train, val or test; empty is train"
        )
    known = None if part is None else PARTS[part.strip().lower()]
    return Row(file, digits, cells.get("group", "").strip(), known)
