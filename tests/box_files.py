"""Images with boxes as YOLO, COCO and VOC write them: independent writers for what svhn reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from photo_files import Row, rows, write_images
from PIL import Image

NAMES = tuple("3920184756")
"""Names of the classes in no order."""


def yolo_line(kind: int, box: Sequence[float], width: int, height: int) -> str:
    left, top, right, bottom = box
    middle = (left + right) / 2 / width, (top + bottom) / 2 / height
    return " ".join(map(str, (kind, *middle, (right - left) / width, (bottom - top) / height)))


def shuffled(row: Row) -> list[tuple[int, tuple[float, ...]]]:
    """Digits and boxes from right to left: tools write them in the order in which they were drawn."""
    _, label, boxes = row
    return list(zip(label, boxes, strict=True))[::-1]


def write_yolo(labels: Path, images: Path, labeled: Sequence[Row], names: Sequence[str] = NAMES) -> None:
    labels.mkdir(parents=True, exist_ok=True)
    for row in labeled:
        with Image.open(images / row[0]) as image:
            size = image.size
        lines = [yolo_line(names.index(str(digit)), box, *size) for digit, box in shuffled(row)]
        (labels / f"{Path(row[0]).stem}.txt").write_text("\n".join(lines) + "\n")


def write_coco(file: Path, labeled: Sequence[Row], names: Sequence[str] = NAMES) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    annotations = [
        {
            "id": 100 * place + k,
            "image_id": place,
            "category_id": names.index(str(digit)) + 1,
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
        }
        for place, row in enumerate(labeled)
        for k, (digit, (left, top, right, bottom)) in enumerate(shuffled(row))
    ]
    content = {
        "info": {},
        "images": [{"id": place, "file_name": name} for place, (name, _, _) in enumerate(labeled)],
        "categories": [
            {"id": 0, "name": "digits"},
            *({"id": place, "name": name} for place, name in enumerate(names, start=1)),
        ],
        "annotations": annotations[::-1],
    }
    file.write_text(json.dumps(content))


def write_voc(labels: Path, labeled: Sequence[Row]) -> None:
    labels.mkdir(parents=True, exist_ok=True)
    for row in labeled:
        objects = "".join(
            f"<object><name>{escape(str(digit))}</name><pose>Frontal</pose><bndbox>"
            f"<xmin>{left}</xmin><xmax>{right}</xmax><ymin>{top}</ymin><ymax>{bottom}</ymax></bndbox></object>"
            for digit, (left, top, right, bottom) in shuffled(row)
        )
        text = f"<annotation><filename>{escape(row[0])}</filename>{objects}</annotation>"
        (labels / f"{Path(row[0]).stem}.xml").write_text(text)


def numbers(images: Path, count: int, seed: int) -> list[Row]:
    """Photographs of whole numbers in a folder, and their labels and boxes."""
    labeled = rows(count, seed)
    write_images(images, labeled, seed)
    return labeled
