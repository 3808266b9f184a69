"""SVHN's digitStruct.mat as JSON, as widespread scripts convert it: a list with an entry for each image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError
from svhncli.data.formats import boxed_labels, strict_json
from svhncli.data.formats.boxed_labels import BoxedLabel

LAYOUT = (
    'expected: [{"filename": "1.png", "boxes": [{"label": 1, "left": …, "top": …, "width": …, "height": …}]}]'
)


def read(path: Path) -> list[BoxedLabel]:
    """Name, digits and boxes (left, top, right, bottom in pixels) of every image, in the file's order.

    Some scripts keep digitStruct.mat's label 10 for the digit 0, others write 0: in a file with a 10, 10 is
    the digit 0, and in any other, 0.

    Raises:
        DataError: the file cannot be read, is not strict JSON, holds other things than images and boxes, an
            image twice, or both labels, 0 and 10.
    """
    content = strict_json.read(path, LAYOUT)
    if not isinstance(content, list) or not all(_is_image(entry) for entry in content):
        raise DataError(f"'{path}' is not a list of images with their boxes", LAYOUT)
    names = Counter(entry["filename"] for entry in content)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise DataError(f"'{path}': {repeated[0]!r} appears twice", "get the file again")
    digits = (10 if _is_ten_zero(path, content) else 0, *range(1, 10))
    return [boxed_labels.parse(path, entry["filename"], _fields(entry), digits) for entry in content]


def _is_image(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("filename"), str)
        and isinstance(boxes := entry.get("boxes"), list)
        and all(isinstance(box, dict) for box in boxes)
    )


def _is_ten_zero(path: Path, content: list[dict[str, Any]]) -> bool:
    """Whether label 10 is the digit 0."""
    zero, ten = (
        next((entry["filename"] for entry in content if label in _fields(entry)["label"]), None)
        for label in (0, 10)
    )
    if zero is not None and ten is not None:
        raise DataError(
            f"'{path}' has the label 0 (image {zero!r}) and the label 10 (image {ten!r})",
            "one of them is the digit 0 in the whole file; correct the other one",
        )
    return ten is not None


def _fields(entry: dict[str, Any]) -> dict[str, list[Any]]:
    """The fields of an image's boxes as lists; a shorter one where a box lacks the field."""
    return {field: [box[field] for box in entry["boxes"] if field in box] for field in boxed_labels.FIELDS}
