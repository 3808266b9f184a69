"""Parquet files of images as the Hugging Face Hub keeps them: encoded images, and labels beside them.

pyarrow, which reads them, is an extra, `svhncli[parquet]`, and is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError, UsageError, reason
from svhncli.data.formats.boxed_labels import LONGEST
from svhncli.data.framing import Box

IMAGES = ("image", "img", "png", "jpg")
LABELS = ("digits", "label", "labels", "number", "text", "digit")
"""Names of columns; the first that is there counts."""
LAYOUT = (
    f"expected: a column of images ({', '.join(IMAGES)}; encoded, as bytes or a struct with bytes), and one "
    f"of labels ({', '.join(LABELS)}: a digit, text such as '007', a list of digits, or digits with label "
    "and bbox)"
)
BATCH = 256  # rows that are read at once

Row = tuple[bytes, str, tuple[int, ...], tuple[Box, ...]]
"""An encoded image, its file name ("" if it has none), its digits and their boxes."""


def read(path: Path) -> Iterator[Row]:
    """The rows of a file, in order. A bbox is left, top, width and height in pixels.

    Raises:
        DataError: the file is damaged, lacks the columns, or has a label that is not digits.
        UsageError: pyarrow is not installed.
    """
    parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            pixels, labels = _columns(path, file.schema_arrow)
            number = 0
            for batch in file.iter_batches(BATCH, columns=[pixels, labels]):
                for row in batch.to_pylist():
                    where = f"'{path}', row {number} (counted from 0)"
                    image = row[pixels] if isinstance(row[pixels], dict) else {"bytes": row[pixels]}
                    if not image.get("bytes"):
                        raise DataError(f"{where}: it holds no image", LAYOUT)
                    yield image["bytes"], image.get("path") or "", *_number(row[labels], where)
                    number += 1
    except DataError:
        raise
    except Exception as error:  # whatever pyarrow stumbles over
        why = reason(error, "it is damaged, or not a Parquet file")
        raise DataError(f"cannot read '{path}': {why}", "get it again") from error


def write(path: Path, rows: Iterable[Row], *, boxed: bool) -> None:
    """Write a new file in the Hub's columns: image and label, or with boxes image and digits.

    Raises:
        OSError: it cannot be written.
        UsageError: pyarrow is not installed.
    """
    parquet = _pyarrow()
    import pyarrow

    image = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    digits = pyarrow.struct(
        {"bbox": pyarrow.list_(pyarrow.list_(pyarrow.float32())), "label": pyarrow.list_(pyarrow.int64())}
    )
    label: tuple[str, Any] = ("digits", digits) if boxed else ("label", pyarrow.string())
    schema = pyarrow.schema({"image": image, label[0]: label[1]})
    with parquet.ParquetWriter(path, schema) as file:
        batch: list[dict[str, Any]] = []
        for content, name, number, boxes in rows:
            stored: Any = "".join(map(str, number))
            if boxed:
                sides = [[left, top, right - left, bottom - top] for left, top, right, bottom in boxes]
                stored = {"bbox": sides, "label": list(number)}
            batch.append({"image": {"bytes": content, "path": name}, label[0]: stored})
            if len(batch) == BATCH:
                file.write_table(pyarrow.Table.from_pylist(batch, schema))
                batch = []
        file.write_table(pyarrow.Table.from_pylist(batch, schema))


def _pyarrow() -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "Parquet files need pyarrow, which is not installed here", 'pip install "svhncli[parquet]"'
        ) from error
    return parquet


def _columns(path: Path, schema: Any) -> tuple[str, str]:
    pixels = next((name for name in IMAGES if name in schema.names), None)
    labels = next((name for name in LABELS if name in schema.names), None)
    if pixels is None or labels is None:
        raise DataError(f"'{path}' has the columns {', '.join(schema.names)}", LAYOUT)
    return pixels, labels


def _number(value: Any, where: str) -> tuple[tuple[int, ...], tuple[Box, ...]]:
    """The digits of a row, and their boxes if it has any."""
    boxes: list[Any] = []
    if isinstance(value, dict):  # of lists, as the Hub stores a sequence of structs
        value, boxes = value.get("label"), value.get("bbox") or []
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        value, boxes = [digit.get("label") for digit in value], [digit.get("bbox") for digit in value]
    written = list(value) if isinstance(value, (str, list)) else [value]
    digits = [int(digit) for digit in written if str(digit) in "0123456789" and str(digit)]
    if not 1 <= len(written) <= LONGEST or len(digits) != len(written):
        raise DataError(f"{where}: label {str(value)[:60]}", LAYOUT)
    if boxes and not (len(boxes) == len(digits) and all(_is_box(box) for box in boxes)):
        raise DataError(f"{where}: {len(digits)} digits, but bbox {str(boxes)[:60]}", LAYOUT)
    return tuple(digits), tuple((x, y, x + width, y + height) for x, y, width, height in boxes)


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(isinstance(side, (int, float)) for side in box)
