"""Folders named 0 to 9, which hold the images of these digits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from svhncli.core.text import counted
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources.labeled import Labeled, Reader
from svhncli.data.sources.nested import counts, visible
from svhncli.data.sources.photograph_files import PhotographPart

CLASSES = tuple("0123456789")


def find(folder: Path) -> Reader | None:
    """The reader of a folder with class folders, some of which may be missing; None without any."""
    classes = tuple(folder / name for name in CLASSES if (folder / name).is_dir())
    if not classes:
        return None
    parts = {"train": PhotographPart(classes, partial(_images, folder, classes))}
    return lambda: Labeled(folder, parts, partial(_unread, folder))


def _images(folder: Path, classes: tuple[Path, ...]) -> list[PhotographFile]:
    return [
        PhotographFile(f"{folder.name}/{class_folder.name}/{path.name}", path, (int(class_folder.name),))
        for class_folder in classes
        for path in visible(class_folder)
        if path.suffix.lower() in SUFFIXES
    ]


def _unread(folder: Path, before: str) -> Iterator[str]:
    others: list[str] = []
    for path in visible(folder):
        if path.name not in CLASSES or not path.is_dir():
            yield f"{before}{path.name}"
            continue
        with os.scandir(path) as entries:  # of many images, whose kind it knows without a look at each
            own = [entry for entry in entries if counts(entry.name)]
        yield from sorted(f"{before}{path.name}/{entry.name}" for entry in own if entry.is_dir())
        others += sorted(
            f"{before}{path.name}/{entry.name}"
            for entry in own
            if not entry.name.lower().endswith(SUFFIXES) and not entry.is_dir()
        )
    if others:
        yield f"{counted(len(others), 'file')} without an image's suffix, such as {others[0]}"
