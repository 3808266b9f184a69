"""Data sets of any source written in any layout that a source reads; complete or not at all.

Layouts of files keep photographs as they are; layouts of arrays hold the images as the network sees them.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from svhncli.core.errors import UsageError
from svhncli.core.files import new_folder, write_csv, write_json
from svhncli.core.labels import BLANK
from svhncli.core.processes import available_cpus, in_order
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.formats import cropped_mat, hub_parquet, labels_csv, mchar_json
from svhncli.data.framing import Box
from svhncli.data.photographs import PhotographFile
from svhncli.data.store.disk import Progress, silent

CHUNK = 64
"""Images that a process writes at once."""
_SMALL = 1_000
"""Fewer images are written faster than processes start."""


@dataclass(frozen=True)
class ImageRow:
    """An image to write. image: a photograph, or pixels uint8 (3, H, W). white: of photographs, as
    `Framing` has it. group: "" for one of its own."""

    image: PhotographFile | np.ndarray
    white: float | None
    label: tuple[int, ...]
    boxes: tuple[Box, ...]
    group: str

    def decoded(self) -> Image.Image:
        """The image in RGB.

        Raises:
            DataError: it cannot be read.
        """
        if isinstance(self.image, PhotographFile):
            return self.image.image(self.white)
        return Image.fromarray(np.ascontiguousarray(self.image.transpose(1, 2, 0)))


def write(layout: str, data: DataSet, out: Path, progress: Progress = silent) -> dict[str, int]:
    """Write all parts of a data set into a new or empty folder; returns how many images each part has there.

    Images without a number are left out where the layout cannot hold them, see `KEEPS_BLANK`.

    Raises:
        DataError: an image cannot be read.
        UsageError: the layout cannot hold the data, or the folder has other content.
        DiskError: the folder cannot be written.
    """
    if data.extra_train is not None:
        raise UsageError(
            "rendered images are mixed in", "convert data=svhn; svhn render layout=… writes the others"
        )
    if data.framing is not None and not data.originals:
        raise UsageError(f"data={data.name} is rendered", "svhn render layout=… writes it")
    named = {"train": data.train, "val": data.val, "test": data.test}
    parts = {
        name: digits if layout in KEEPS_BLANK else _numbered(digits)
        for name, digits in named.items()
        if digits is not None and len(digits)
    }
    with new_folder(out, ()) as folder:
        LAYOUTS[layout](folder, data, parts, progress)
    return {name: len(digits) for name, digits in parts.items()}


def _numbered(digits: Digits) -> Digits:
    """The images with a number, with as many positions as the longest has."""
    if not digits.is_blank.any():
        return digits
    kept = digits.take(np.flatnonzero(~digits.is_blank))
    longest = int((kept.labels != BLANK).sum(1).max(initial=1))
    boxes = None if kept.boxes is None else kept.boxes[:, :longest]
    return replace(kept, labels=kept.labels[:, :longest], boxes=boxes)


def _rows(data: DataSet, part: str, digits: Digits) -> list[ImageRow]:
    """The images of a part, as they are in their files where they are photographs."""
    labels = [tuple(k for k in label if k != BLANK) for label in digits.labels.tolist()]
    alone = len(np.unique(digits.groups)) == len(digits)
    groups = ["" if alone else f"{part}-{group}" for group in digits.groups.tolist()]
    if (originals := data.originals.get(part)) is None:
        return [
            ImageRow(image, None, label, (), group)
            for image, label, group in zip(digits.images, labels, groups, strict=True)
        ]
    files = {file.name: file for file in originals()}
    white = None if data.framing is None else data.framing.white
    boxes: Sequence[tuple[Box, ...]] = [()] * len(digits)
    if digits.boxes is not None:
        known = ~np.isnan(digits.boxes[:, 0, 0])
        boxes = [
            tuple((x, y, right, bottom) for x, y, right, bottom in row[: len(label)]) if has else ()
            for row, label, has in zip(digits.boxes.tolist(), labels, known, strict=True)
        ]
    return [
        ImageRow(files[name], white, label, around, group)
        for name, label, around, group in zip(digits.names, labels, boxes, groups, strict=True)
    ]


# ----------------------------------------------------------------------------- arrays


def _framed(data: DataSet, digits: Digits) -> np.ndarray:
    """The images as the network sees them when it does not train, uint8 (N, 3, H, W)."""
    return digits.images if data.framing is None else data.framing.middle(digits.images)


def _mat(folder: Path, data: DataSet, parts: Mapping[str, Digits], progress: Progress) -> None:
    for name, digits in parts.items():
        images, labels = _framed(data, digits), digits.labels[:, 0]
        if digits.labels.shape[1] > 1:
            raise UsageError("layout=mat holds single digits, and these are numbers", "choose another layout")
        if images.shape[2] != images.shape[3]:
            raise UsageError(
                f"layout=mat holds square images, not {images.shape[2]}x{images.shape[3]}",
                "give data.height=32 data.width=32, or choose another layout",
            )
        cropped_mat.write(folder / f"{_AS_EXTRA[name]}_32x32.mat", images, labels)
        progress(f"write {name}", len(digits), len(digits))


def _arrays(folder: Path, data: DataSet, parts: Mapping[str, Digits], progress: Progress) -> None:
    """A digits.npz; numbers are padded with -1."""
    arrays: dict[str, Any] = {}
    for name, digits in parts.items():
        labels = np.where(digits.labels == BLANK, -1, digits.labels).astype(np.int8)
        arrays[f"{name}_images"] = np.ascontiguousarray(_framed(data, digits).transpose(0, 2, 3, 1))
        arrays[f"{name}_labels"] = labels[:, 0] if labels.shape[1] == 1 else labels
        arrays[f"{name}_groups"] = digits.groups
        progress(f"write {name}", len(digits), len(digits))
    np.savez_compressed(folder / "digits.npz", **arrays)


# ----------------------------------------------------------------------------- files


def _folder(folder: Path, data: DataSet, parts: Mapping[str, Digits], progress: Progress) -> None:
    """A labels.csv in each part's folder; with boxes, the annotations of COCO in place of it."""
    for name, digits in parts.items():
        rows = _rows(data, name, digits)
        names = [f"{i:06d}.png" for i in range(len(rows))]
        sizes = _save(folder / name, names, rows, name, progress)
        if all(row.boxes for row in rows if row.label):
            write_json(folder / name / "_annotations.coco.json", _coco(names, rows, sizes), indent=None)
            continue
        columns = [*labels_csv.REQUIRED, "group"]
        cells = [
            dict(zip(columns, (file, "".join(map(str, row.label)), row.group), strict=True))
            for file, row in zip(names, rows, strict=True)
        ]
        write_csv(folder / name / "labels.csv", columns, cells)


def _coco(
    names: Sequence[str], rows: Sequence[ImageRow], sizes: Sequence[tuple[int, int]]
) -> dict[str, object]:
    """The annotations of images: a digit is an object, whose category is its class."""
    images = [
        {"id": place, "file_name": name, "width": width, "height": height}
        for place, (name, (width, height)) in enumerate(zip(names, sizes, strict=True))
    ]
    annotations: list[dict[str, object]] = []
    for place, row in enumerate(rows):
        for digit, (left, top, right, bottom) in zip(row.label, row.boxes, strict=True):
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": place,
                    "category_id": digit,
                    "bbox": [left, top, right - left, bottom - top],
                }
            )
    categories = [{"id": digit, "name": str(digit)} for digit in range(10)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _mchar(folder: Path, data: DataSet, parts: Mapping[str, Digits], progress: Progress) -> None:
    for name, digits in parts.items():
        place = "mchar_test_a" if name == "test" else f"mchar_{name}"
        rows = _rows(data, name, digits)
        names = [f"{i:06d}.png" for i in range(len(rows))]
        labels = _boxed(names, rows, _save(folder / place, names, rows, name, progress))
        mchar_json.write(folder / f"{place}.json", labels)


def _svhn_full(folder: Path, data: DataSet, parts: Mapping[str, Digits], progress: Progress) -> None:
    from svhncli.data.formats import digit_struct

    for name, digits in parts.items():
        place = folder / _AS_EXTRA[name]
        rows = _rows(data, name, digits)
        names = [f"{i}.png" for i in range(1, len(rows) + 1)]
        digit_struct.write(
            place / "digitStruct.mat", _boxed(names, rows, _save(place, names, rows, name, progress))
        )


def _parquet(folder: Path, data: DataSet, parts: Mapping[str, Digits], progress: Progress) -> None:
    for name, digits in parts.items():
        rows = _rows(data, name, digits)
        part = "validation" if name == "val" else name
        hub_parquet.write(
            folder / f"{part}-00000-of-00001.parquet",
            (
                (_png(row.decoded()), f"{i}.png", row.label, row.boxes)
                for i, row in _counted(rows, f"write {name}", progress)
            ),
            boxed=all(row.boxes for row in rows),
        )


LAYOUTS: Mapping[str, Callable[[Path, DataSet, Mapping[str, Digits], Progress], None]] = {
    "mat": _mat,
    "svhn_full": _svhn_full,
    "mchar": _mchar,
    "folder": _folder,
    "arrays": _arrays,
    "parquet": _parquet,
}
KEEPS_BLANK = ("folder", "mchar")
"""Layouts in which an image may have no number."""
_AS_EXTRA = {"train": "train", "val": "extra", "test": "test"}
"""SVHN has an extra part and none for validation; data.extra=val makes the extra part that."""


def _boxed(
    names: Sequence[str], rows: Sequence[ImageRow], sizes: Sequence[tuple[int, int]]
) -> list[tuple[str, tuple[int, ...], np.ndarray]]:
    """Names, labels and boxes; the box of a digit without one is its image.

    Raises:
        UsageError: a number of several digits has no boxes.
    """
    labels = []
    for name, row, (width, height) in zip(names, rows, sizes, strict=True):
        if len(row.label) > 1 and not row.boxes:
            raise UsageError(
                "this layout needs the boxes of the digits, and the data has none",
                "choose layout=folder, layout=arrays or layout=parquet",
            )
        around = row.boxes or [(0, 0, width, height)] * len(row.label)
        labels.append((name, row.label, np.array(around, float).reshape(-1, 4)))
    return labels


def _save(
    folder: Path, names: Sequence[str], rows: Sequence[ImageRow], part: str, progress: Progress
) -> list[tuple[int, int]]:
    """Write images as PNG into a new folder, by several processes; returns their widths and heights."""
    folder.mkdir(parents=True)
    jobs = [(folder, names[i : i + CHUNK], rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)]
    sizes: list[tuple[int, int]] = []
    workers = available_cpus() if len(rows) >= _SMALL else 1
    with contextlib.closing(in_order(_save_chunk, jobs, workers)) as saved:
        for more in saved:
            sizes += more
            progress(f"write {part}", len(sizes), len(rows))
    return sizes


def _save_chunk(job: tuple[Path, Sequence[str], Sequence[ImageRow]]) -> list[tuple[int, int]]:
    folder, names, rows = job
    sizes = []
    for name, row in zip(names, rows, strict=True):
        image = row.decoded()
        image.save(folder / name)
        sizes.append(image.size)
    return sizes


def _counted(rows: Sequence[ImageRow], what: str, progress: Progress) -> Iterator[tuple[int, ImageRow]]:
    for place, row in enumerate(rows):
        yield place, row
        progress(what, place + 1, len(rows))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
