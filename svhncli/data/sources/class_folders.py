"""Folders named 0 to 9, which hold the images of these digits."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from svhncli.core.text import counted
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources.labeled import Labeled, Reader
from svhncli.data.sources.nested import visible
from svhncli.data.sources.photograph_files import PhotographPart

log = logging.getLogger(__name__)

CLASSES = tuple("0123456789")


def find(folder: Path) -> Reader | None:
    """The reader of a folder with class folders, some of which may be missing; None without any."""
    classes = tuple(folder / name for name in CLASSES if (folder / name).is_dir())
    if not classes:
        return None
    parts = {"train": PhotographPart(classes, partial(_images, folder, classes))}
    return lambda: Labeled(folder, parts, partial(_unread, folder))


def _images(folder: Path, classes: tuple[Path, ...]) -> list[PhotographFile]:
    images, others = [], list[Path]()
    for class_folder in classes:
        for path in visible(class_folder):
            if path.suffix.lower() in SUFFIXES:
                name = f"{folder.name}/{class_folder.name}/{path.name}"
                images.append(PhotographFile(name, path, (int(class_folder.name),)))
            elif not path.is_dir():
                others.append(path)
    if others:
        log.warning(
            "%s in '%s' left out: the suffix, as of '%s', is not an image's",
            *(counted(len(others), "file"), folder, others[0].name),
        )
    return images


def _unread(folder: Path, before: str) -> Iterator[str]:
    for path in visible(folder):
        if path.name not in CLASSES or not path.is_dir():
            yield f"{before}{path.name}"
        else:
            with os.scandir(path) as entries:  # of many images, whose kind it knows without a look at each
                deeper = [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]
            yield from (f"{before}{path.name}/{name}" for name in sorted(deeper))
