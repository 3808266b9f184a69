"""The label files of the street-character contest on Tianchi: a JSON object with an entry for each image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.core.errors import DataError
from svhncli.core.files import write_json
from svhncli.data.formats import boxed_labels, strict_json
from svhncli.data.formats.boxed_labels import BoxedLabel


def read(path: Path, backgrounds: bool = False) -> list[BoxedLabel]:
    """Name, digits and boxes (left, top, right, bottom in pixels) of every image, in the file's order.

    backgrounds: whether an image's lists may be empty: it shows no number.

    Raises:
        DataError: the file cannot be read, is not strict JSON, or holds other things than numbers and boxes.
    """
    content = strict_json.load(path, 'expected: {"000000.png": {"label": [1, 9], …}, …}')
    return [_parse(path, name, fields, backgrounds) for name, fields in content.items()]


def write(path: Path, labels: Iterable[tuple[str, tuple[int, ...], np.ndarray]]) -> None:
    """Write a new label file of images with their names, digits and boxes (L, 4).

    Raises:
        OSError: the file cannot be written.
    """
    write_json(path, {name: _entry(digits, boxes) for name, digits, boxes in labels}, indent=None)


def _parse(path: Path, name: str, fields: Any, backgrounds: bool) -> BoxedLabel:
    if not isinstance(fields, dict) or not all(isinstance(field, list) for field in fields.values()):
        raise DataError(f"'{path}', image {name!r}: its fields are not lists", boxed_labels.HINT)
    return boxed_labels.parse(path, name, fields, range(10), backgrounds=backgrounds)


def _entry(digits: tuple[int, ...], boxes: np.ndarray) -> dict[str, list[float]]:
    left, top, right, bottom = np.asarray(boxes, float).reshape(-1, 4).T
    return {
        "height": _shortest(bottom - top),
        "label": list(digits),
        "left": _shortest(left),
        "top": _shortest(top),
        "width": _shortest(right - left),
    }


def _shortest(values: np.ndarray) -> list[float]:
    """Numbers for JSON, whole ones as integers."""
    return [int(value) if value == int(value) else value for value in values.tolist()]
