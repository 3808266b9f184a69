"""COCO's label file: one JSON with the images, the categories and the boxes of a part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svhncli.core.errors import DataError
from svhncli.data.formats import strict_json
from svhncli.data.formats.labels_csv import file_in
from svhncli.data.formats.marks import Mark

FORM = (
    'expected: {"images": [{"id": 1, "file_name": "a.png"}, …], "categories": [{"id": 1, "name": "7"}, …], '
    '"annotations": [{"image_id": 1, "category_id": 1, "bbox": [left, top, width, height]}, …]}'
)


def read(path: Path) -> dict[str, tuple[Mark, ...]]:
    """Each image's path as listed, with its boxes (left, top, right, bottom in pixels), in the file's order.

    Raises:
        DataError: the file cannot be read, is not such a JSON, lists an image twice, or a box of no image.
    """
    content = strict_json.load(path, FORM)
    images, marks = dict[Any, str](), dict[str, list[Mark]]()
    for number, entry in enumerate(_entries(content, "images", path)):
        where = f"'{path}', images[{number}]"
        key, file = _field(entry, "id", (int, str), where), _field(entry, "file_name", (str,), where)
        name = file_in(path.parent, file, where)
        if key in images or name in marks:
            raise DataError(f"{where}: '{name}' or its id {key} appears twice", "list each image once")
        images[key], marks[name] = name, []
    classes = {
        _field(entry, "id", (int, str), f"'{path}', categories[{number}]"): str(entry.get("name"))
        for number, entry in enumerate(_entries(content, "categories", path))
    }
    for number, entry in enumerate(_entries(content, "annotations", path)):
        where = f"'{path}', annotations[{number}]"
        image = _field(entry, "image_id", (int, str), where)
        category = _field(entry, "category_id", (int, str), where)
        if image not in images or category not in classes:
            kind, key = ("images", image) if image not in images else ("categories", category)
            raise DataError(f"{where}: '{kind}' has no id {key}", FORM)
        marks[images[image]].append((classes[category], _box(entry, where)))
    return {name: tuple(boxes) for name, boxes in marks.items()}


def _entries(content: dict[str, Any], name: str, path: Path) -> list[dict[str, Any]]:
    entries = content.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"'{path}' has no list '{name}' of objects", FORM)
    return entries


def _field(entry: dict[str, Any], name: str, kinds: tuple[type, ...], where: str) -> Any:
    value = entry.get(name)
    if type(value) not in kinds:
        raise DataError(f"{where}: '{name}' is {str(value)[:60]}", FORM)
    return value


def _box(entry: dict[str, Any], where: str) -> tuple[float, float, float, float]:
    box = entry.get("bbox")
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(type(side) in (int, float) and abs(side) < 1e6 for side in box)
    ):
        raise DataError(f"{where}: 'bbox' is {str(box)[:60]}, not four numbers of pixels", FORM)
    left, top, width, height = map(float, box)
    return left, top, left + width, top + height
