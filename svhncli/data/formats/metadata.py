"""A metadata.csv or metadata.jsonl of Hugging Face's imagefolder: the columns file_name and label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError
from svhncli.data.formats import labels_csv, strict_json
from svhncli.data.formats.labels_csv import Row

NAMES = ("metadata.csv", "metadata.jsonl")
FILE, LABEL = "file_name", "label"
HEADER = f"its columns are {FILE} and {LABEL}, and any others"


def read(path: Path, backgrounds: bool = False) -> tuple[list[Row], list[str]]:
    """The rows, in the file's order, and the names of the columns that say nothing here.

    backgrounds: as for `labels_csv.read`.

    Raises:
        DataError: the file cannot be read, lacks a column, or has an invalid row.
    """
    columns, rows = _lines(path) if path.suffix == ".jsonl" else labels_csv.table(path, HEADER)
    labels_csv.require_columns(path, columns, (FILE, LABEL), None, HEADER)

    def parsed() -> Iterator[tuple[str, Row]]:
        for where, cells in rows:
            if lacking := [name for name in (FILE, LABEL) if name not in cells]:
                raise DataError(f"{where}: no '{lacking[0]}'", HEADER)
            file = labels_csv.file_in(path.parent, str(cells[FILE]), where)
            yield where, Row(file, labels_csv.digits_or_none(str(cells[LABEL]), where, backgrounds))

    return labels_csv.unique(parsed()), [name for name in columns if name not in (FILE, LABEL)]


def _lines(path: Path) -> tuple[list[str], Iterator[tuple[str, dict[str, Any]]]]:
    """The names in a file with a JSON object in each line, in lower case, and the objects."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not in UTF-8: {error}", HEADER) from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"'{path}', row {number}"
        try:
            fields = strict_json.parse(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is not JSON: {error}", "write one JSON object a line") from error
        if not isinstance(fields, dict):
            raise DataError(f"{where} is not a JSON object", f'such as {{"{FILE}": "a.png", "{LABEL}": 7}}')
        rows.append((where, {name.strip().lower(): value for name, value in fields.items()}))
    if not rows:
        raise DataError(f"'{path}' is empty", HEADER)
    return list(dict.fromkeys(name for _, fields in rows for name in fields)), iter(rows)
