"""Images whose files' names hold their numbers, in folders of any names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.core.text import counted
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.formats.labels_csv import digits_of
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import listed
from svhncli.data.sources.grouping import text_in
from svhncli.data.sources.labeled import Labeled, Reader
from svhncli.data.sources.nested import below, unused
from svhncli.data.sources.photograph_files import PhotographPart

USUAL = (r"^(\d+)_", r"^(\d)\.\d/")
"""Patterns that are proposed where they fit: 3_dig1.jpg, and the folders 0.0 to 9.9 of a dial's readings."""


def find(folder: Path, pattern: str, without: Collection[Path] = ()) -> Reader | None:
    """The reader of a folder with images whose paths below it have a label by a pattern; None without any.

    without: folders that are not searched.
    """
    if not any(text_in(pattern, name) for name, _ in named_images(folder, without)):
        return None
    return partial(_read, folder, pattern, without)


def named_images(folder: Path, without: Collection[Path] = ()) -> Iterator[tuple[str, Path]]:
    """The images in a folder and in the folders below it: their paths relative to it, and as they are."""
    start = len(os.path.join(folder, ""))
    for path in below(folder, without):
        if path.suffix.lower() in SUFFIXES:
            yield Path(str(path)[start:]).as_posix(), path


def _read(folder: Path, pattern: str, without: Collection[Path]) -> Labeled:
    if listed.find(folder, whole=False):
        raise DataError(
            f"'{folder}' lists its images in a file, and data.label={pattern} is set, too",
            "leave data.label out, or remove the list",
        )

    def read() -> list[PhotographFile]:
        images = []
        for name, path in named_images(folder, without):
            if text := text_in(pattern, name):
                label = digits_of(text, f"data.label={pattern} in '{path}'")
                images.append(PhotographFile(f"{folder.name}/{name}", path, label))
        return images

    def unread(before: str) -> Iterator[str]:
        images = dict(named_images(folder, without))
        if lacking := [name for name in images if not text_in(pattern, name)]:
            example = f"such as {before}{lacking[0]}"
            yield f"{counted(len(lacking), 'image')} without a label by data.label, {example}"
        yield from (f"{before}{name}" for name in unused(folder, images.values()))

    selection = {"label": pattern, "without": sorted(path.name for path in without)}
    part = PhotographPart((folder,), read, selection)
    return Labeled(folder, {"train": part}, unread, by_path=True)


def proposal(folder: Path) -> str | None:
    """The usual pattern by which every image in a folder and below has a label, if there is one."""
    names = [name for name, _ in named_images(folder)]
    fits = (pattern for pattern in USUAL if names and all(text_in(pattern, name) for name in names))
    return next(fits, None)
