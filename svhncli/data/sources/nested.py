"""What a folder holds: files one folder deeper or higher than they should be, and all that lie below."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from svhncli.data.dataset import DataSet
from svhncli.data.formats.images import SUFFIXES

OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini"}
"""What macOS and Windows add to archives and folders, in lower case."""


def counts(name: str) -> bool:
    """Whether a file or folder of this name is a person's own, and not hidden."""
    return not name.startswith(".") and name.lower() not in OF_SYSTEMS


def visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without hidden files and what macOS and Windows add."""
    return sorted(path for path in folder.iterdir() if counts(path.name))


def inner(folder: Path, fits: Callable[[Path], bool]) -> Path:
    """The folder itself if it fits, or the only folder in it that does; where there is none, the folder."""
    if fits(folder) or not folder.is_dir():
        return folder
    deeper = [path for path in visible(folder) if path.is_dir() and fits(path)]
    return deeper[0] if len(deeper) == 1 else folder


def root_of(path: Path, fits: Callable[[Path], bool], parts: Collection[str]) -> Path:
    """The folder of a data set's parts, where a user may name the folder or file of a part, too.

    It is the nearest of `path` and its parents that fits, or the only folder in `path` that does; where there
    is none, `path`.

    parts: names of the files and folders in the folder of the parts, and of the files in these folders.
    """
    folder = inner(path, fits)
    if fits(folder) or path.name not in parts:
        return folder
    return next((around for around in path.absolute().parents[:3] if fits(around)), path)


def holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in SUFFIXES for path in visible(folder))


def listed(data: DataSet) -> set[str]:
    """The names of all images that have labels, whether they can be read or not."""
    parts = (part for part in (data.train, data.val, data.test) if part is not None)
    return {*data.broken, *(name for part in parts for name in part.names)}


def unlisted(folder: Path, prefix: str, names: Collection[str]) -> int:
    """How many images in a folder, hidden ones aside, are not in `names`, as `prefix/file`."""
    with os.scandir(folder) as entries:
        return sum(
            entry.name.lower().endswith(SUFFIXES)
            and entry.name[0] != "."
            and f"{prefix}/{entry.name}" not in names
            for entry in entries
        )


def below(folder: Path, without: Collection[Path] = ()) -> Iterator[Path]:
    """The files in a folder and in the folders below it, but for some; each folder's sorted, its own first.

    A link to a folder is followed, unless that was searched already.
    """
    known = {os.path.realpath(path) for path in (folder, *without)}
    for place, folders, files in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in sorted(files) if counts(name))
        real = {name: os.path.realpath(os.path.join(place, name)) for name in sorted(folders)}
        folders[:] = [name for name, path in real.items() if counts(name) and path not in known]
        known.update(real.values())


def unused(folder: Path, used: Collection[Path]) -> list[str]:
    """What lies below a folder and is not used, relative to it: a folder of which nothing is used is named
    as a whole."""
    used = set(used)
    places = {folder, *(place for path in used for place in path.parents)}
    names: dict[str, None] = {}
    for path in below(folder):
        if path not in used:
            while path.parent not in places:
                path = path.parent
            names[str(path.relative_to(folder))] = None
    return list(names)
