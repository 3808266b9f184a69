"""The street-character contest on Tianchi: whole numbers, with labels and boxes in JSON files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet
from svhncli.data.formats import mchar_json
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import photograph_files
from svhncli.data.sources.nested import holds_images, inner, listed, root_of, unlisted, visible
from svhncli.data.sources.photograph_files import PhotographPart
from svhncli.data.sources.recognize import not_here
from svhncli.data.store.archive import KINDS, beside, unpack
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

KNOWN = re.compile(r"mchar_(test|sample|data).*|.*\.(csv|md|txt)$")
"""What the contest hands out beside the labeled parts."""

NAMES = {"train": "mchar_train", "val": "mchar_val", "test": "mchar_test_a"}
FILES = {name: {f"{name}{kind}" for kind in ("", ".json", *KINDS)} for name in NAMES.values()}
"""What belongs to a part: its folder, its label file, and the archive of its folder."""


def load(
    root: Path,
    framing: Framing,
    *,
    skip_broken: bool = False,
    blank: float = 0.0,
    backgrounds: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """`mchar_train/` with `mchar_train.json`, and the same of `mchar_val`, where it exists, as `val`.

    A folder that is missing is unpacked from its archive, such as mchar_train.zip. The contest's test part,
    `mchar_test_a/`, has no labels: it can be predicted, but not loaded, unless you have a `mchar_test_a.json`
    of your own. Images without labels are counted as unread.

    root: the folder of these files, or one of them.
    blank, backgrounds: as for `photograph_files.load`.

    Raises:
        DataError: a file is missing, damaged, or of another layout.
        DiskError: the cache, or the folder for an archive's images, cannot be written.
    """
    root = root_of(root, partial(_has_labels, name="mchar_train"), set().union(*FILES.values()))
    labeled = {part: name for part, name in NAMES.items() if part == "train" or _has_labels(root, name)}
    folders = {name: _folder(root, name, progress) for name in labeled.values()}
    parts = {part: _part(root, name, folders[name], backgrounds) for part, name in labeled.items()}
    data = photograph_files.load(
        "mchar",
        parts,
        framing,
        skip_broken=skip_broken,
        blank=blank,
        backgrounds=backgrounds,
        cache=cache,
        progress=progress,
    )
    return replace(data, unread=(*_unread(root, folders), *_unlisted(data, folders)))


def _has_labels(root: Path, name: str) -> bool:
    return (root / f"{name}.json").is_file()


def _folder(root: Path, name: str, progress: Progress) -> Path:
    """The folder of a part's images, unpacked where necessary."""
    folder = root / name
    if not _has_labels(root, name):
        raise not_here(
            f"there is no file '{os.path.abspath(folder)}.json'",
            root,
            "mchar",
            "data.root is the folder of the contest's files: mchar_train.json, mchar_train/, …",
        )
    if not folder.exists() and (archive := beside(folder)) is not None:
        unpack(archive, name, partial(progress, f"unpack {archive.name}"), is_content=holds_images)
    if not folder.is_dir():
        raise DataError(
            f"there is neither a folder '{os.path.abspath(folder)}' nor {name}.zip",
            f"it holds the images of {name}.json",
        )
    return inner(folder, holds_images)


def _part(root: Path, name: str, folder: Path, backgrounds: bool) -> PhotographPart:
    file = root / f"{name}.json"

    def read() -> list[PhotographFile]:
        return [
            PhotographFile(f"{name}/{image}", folder / image, label, boxes, listed=file)
            for image, label, boxes in mchar_json.read(file, backgrounds)
        ]

    return PhotographPart((file, folder), read, listed=file)


def _unread(root: Path, labeled: Collection[str]) -> Iterator[str]:
    """What lies in the root and is no part of the data."""
    for path in visible(root):
        name = next((name for name, files in FILES.items() if path.name in files), None)
        if name not in labeled and not KNOWN.match(path.name):
            yield path.name if name is None else f"{path.name} (there is no {name}.json)"


def _unlisted(data: DataSet, folders: dict[str, Path]) -> Iterator[str]:
    """How many images of each part have no label."""
    names = listed(data)
    for name, folder in folders.items():
        if count := unlisted(folder, name, names):
            yield f"{name}: {counted(count, 'image')} that {name}.json does not list"
