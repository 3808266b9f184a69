"""Images that a labels.csv or a metadata file lists with their numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from svhncli.core.errors import DataError
from svhncli.core.text import counted, printable
from svhncli.data.formats import labels_csv, metadata
from svhncli.data.formats.labels_csv import PARTS, Row
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources.labeled import Labeled, Reader
from svhncli.data.sources.nested import unused
from svhncli.data.sources.photograph_files import PhotographPart

log = logging.getLogger(__name__)

NAMES = (labels_csv.NAME, *metadata.NAMES)
"""Files that list images; the first that a folder has counts."""


def find(folder: Path, whole: bool, backgrounds: bool = False) -> Reader | None:
    """The reader of a folder with a list; None without any.

    whole: the list may name the part of each image, or the path of each image may begin with it.
    backgrounds: whether a label may be missing.
    """
    lists = [folder / name for name in NAMES if (folder / name).is_file()]
    return partial(_read, lists[0], whole, backgrounds) if lists else None


def _read(path: Path, whole: bool, backgrounds: bool) -> Labeled:
    """The images of a list.

    Raises:
        DataError: the list cannot be read or has an invalid row; it names parts and may not, or no image for
            training.
    """
    folder = path.parent
    if path.name == labels_csv.NAME:
        rows, ignored = labels_csv.read(path, backgrounds), list[str]()
    else:
        rows, ignored = metadata.read(path, backgrounds)
    if whole:
        rows = _with_parts(rows)
        _warn_shared(rows)
    elif any(row.part is not None for row in rows):
        raise DataError(
            f"'{path}' has a column of parts, but '{folder}' is one part itself",
            "take the column out, or put all images and one labels.csv into data.root",
        )

    def images(part: str | None) -> list[PhotographFile]:
        return [
            PhotographFile(
                f"{folder.name}/{row.file}", folder / row.file, row.digits, group=row.group, listed=path
            )
            for row in rows
            if row.part == part
        ]

    def unread(before: str) -> Iterator[str]:
        if ignored:
            columns = "columns" if len(ignored) > 1 else "column"
            yield f"{before}{path.name} ({columns} {', '.join(ignored)})"
        used = {path, *(folder / row.file for row in rows)}
        yield from (f"{before}{name}" for name in unused(folder, used))

    present = {row.part for row in rows}
    if not present or present == {None}:
        parts = {"train": PhotographPart((folder,), partial(images, None), listed=path)}
    elif "train" not in present:
        raise DataError(f"'{path}' has no training images", "a part is train, val or test")
    else:
        parts = {
            name: PhotographPart((folder,), partial(images, name), {"part": name}, path)
            for name in ("train", "test", "val")
            if name in present
        }
    return Labeled(folder, parts, unread, by_path=True)


def _with_parts(rows: list[Row]) -> list[Row]:
    """The rows with the parts by which their paths begin, as in train/a.png, where no column names parts."""
    firsts = [PurePosixPath(row.file).parts[:-1][:1] for row in rows]
    named = [PARTS.get(first[0].lower()) if first else None for first in firsts]
    if not any(named) or any(row.part is not None for row in rows):
        return rows
    return [replace(row, part=part or "train") for row, part in zip(rows, named, strict=True)]


def _warn_shared(rows: Sequence[Row]) -> None:
    """Say which groups are in several parts: images of the training part would be much like held-out ones."""
    parts: dict[str, set[str]] = {}
    for row in rows:
        if row.group:
            parts.setdefault(row.group, set()).add(row.part or "train")
    if shared := [group for group, of in parts.items() if len(of) > 1]:
        groups = counted(len(shared), "group")
        log.warning("%s in more than one part of the data, such as '%s'", groups, printable(shared[0]))
