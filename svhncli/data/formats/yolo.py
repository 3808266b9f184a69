"""YOLO's labels: a text file for each image with a line for each box, `class x y width height`.

The box's center and its size are fractions of the image's width and height.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError
from svhncli.data.formats.marks import Mark

NAMES = ("data.yaml", "data.yml", "classes.txt", "obj.names", "_darknet.labels")
"""Files with the names of the classes; the first in a folder counts."""
LINE = "a line is: class, then the box's center x and y, its width and height as fractions of the image's"
SLACK = 0.01
"""How far a box may reach beyond the image, as a fraction of its side: tools round."""


def read(path: Path, names: Mapping[int, str] | None) -> tuple[Mark, ...]:
    """The boxes in an image's label file, as fractions of the image's width and height.

    names: of the classes; None where the class is the digit.

    Raises:
        DataError: the file cannot be read or has an invalid line.
    """
    lines = enumerate(_text(path, LINE).splitlines(), start=1)
    return tuple(_mark(line.split(), f"'{path}', line {n}", names) for n, line in lines if line.strip())


def _mark(fields: list[str], where: str, names: Mapping[int, str] | None) -> Mark:
    if len(fields) != 5:
        polygon = "; a polygon is no box" if len(fields) > 6 else ""
        raise DataError(f"{where}: {len(fields)} numbers instead of 5{polygon}", LINE)
    if not re.fullmatch("[0-9]{1,9}", fields[0]):
        raise DataError(f"{where}: class {fields[0][:60]!r} is not a whole number", LINE)
    try:
        x, y, width, height = map(float, fields[1:])
    except ValueError as error:
        raise DataError(f"{where}: {error}", LINE) from error
    box = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if not all(-SLACK <= side <= 1 + SLACK for side in box):  # NaN, too
        raise DataError(f"{where}: the box {' '.join(fields[1:])[:60]} is not inside the image", LINE)
    number = int(fields[0])
    if names is not None and number not in names:
        raise DataError(f"{where}: class {number} has no name", f"name it beside {', '.join(names.values())}")
    return (str(number) if names is None else names[number]), box


def names(path: Path) -> dict[int, str]:
    """The names of the classes: of `names` in a data.yaml, or a line for each.

    Raises:
        DataError: the file cannot be read, or does not name them.
    """
    if path.suffix not in (".yaml", ".yml"):
        lines = _text(path, "one name a line, the first of class 0").splitlines()
        return dict(enumerate(line.strip() for line in lines if line.strip()))
    import yaml  # other layouts do not need it

    from svhncli.core import bounded_yaml

    expected = "such as names: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']"
    try:
        content = bounded_yaml.load(_text(path, expected))
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(f"'{path}' is not YAML: {str(error).splitlines()[0]}", expected) from error
    listed: Any = content.get("names") if isinstance(content, dict) else None
    if isinstance(listed, list):
        listed = dict(enumerate(listed))
    if (
        not isinstance(listed, dict)
        or not all(type(number) is int for number in listed)
        or not all(isinstance(name, (str, int)) for name in listed.values())
    ):
        raise DataError(f"'{path}' does not list the names of the classes", expected)
    return {number: str(name) for number, name in listed.items()}


def _text(path: Path, expected: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not a text in UTF-8", expected) from error
