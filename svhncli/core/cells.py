"""Cells of a CSV that a spreadsheet would take for a formula, and run: they get an apostrophe before them.

https://owasp.org/www-community/attacks/CSV_Injection names the signs. A cell that has apostrophes before such
a sign gets one more, so that reading is exact. Plain numbers stay as they are: they are harmless.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any, TextIO

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def inert(cell: Any) -> Any:
    """A cell as it is written into a CSV."""
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def original(cell: str) -> str:
    """The inverse of `inert`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def rows(file: TextIO) -> Iterator[list[str]]:
    """The rows of a CSV that svhn wrote, as they were before.

    Raises:
        csv.Error: it is none.
    """
    for row in csv.reader(file, strict=True):
        yield [original(cell) for cell in row]
