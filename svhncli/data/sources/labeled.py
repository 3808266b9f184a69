"""A folder whose images are labeled in some way: its parts, and what else lies there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from svhncli.data.formats.labels_csv import PARTS
from svhncli.data.sources.nested import visible
from svhncli.data.sources.photograph_files import PhotographPart


@dataclass(frozen=True)
class Labeled:
    """The labeled images of a folder.

    parts: "train" alone, or several; a folder that is one part of the data calls it "train", too.
    unread: gives what lies in the folder and is not read, in words, with the path that it gets before a name.
    by_path: whether a pattern for file names (data.group) sees the path relative to the folder, or the name.
    """

    folder: Path
    parts: Mapping[str, PhotographPart]
    unread: Callable[[str], Iterable[str]]
    by_path: bool = False


@dataclass(frozen=True)
class Reading:
    """How labels are read: those that `label` finds in the names of files, where it is given; and whether an
    image whose label names no digit is one without a number (`backgrounds`)."""

    label: str | None = None
    backgrounds: bool = False


Reader = Callable[[], Labeled]
"""Reads how the images of a folder are labeled, once its layout is known."""


def part_folders(folder: Path) -> dict[str, list[Path]]:
    """The folders with the name of a part, in any case, by part: the usual names and exact ones first."""
    present = [path for path in visible(folder) if path.is_dir()] if folder.is_dir() else []
    by_part: dict[str, list[Path]] = {}
    for name, part in PARTS.items():
        same = [path for path in present if path.name.lower() == name]
        by_part.setdefault(part, []).extend(sorted(same, key=lambda path: path.name != name))
    return by_part
