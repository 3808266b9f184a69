"""The street-character contest on Tianchi: whole numbers, with labels and boxes in JSON files."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.formats import mchar_json
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import photograph_files
from svhncli.data.sources.nested import inner, visible
from svhncli.data.sources.photograph_files import PhotographPart
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

KNOWN = re.compile(r"mchar_(test|sample|data)|.*\.(zip|csv|md|txt)$")
"""What the contest hands out beside the labeled parts."""


def load(
    root: Path, framing: Framing, *, skip_broken: bool = False, cache: Cache, progress: Progress = silent
) -> DataSet:
    """`mchar_train/` with `mchar_train.json`, and the same of `mchar_val`, where it exists, as `val`.

    The contest's test part, `mchar_test_a/`, has no labels: it can be predicted, but not loaded.

    Raises:
        DataError: a file is missing, damaged, or of another layout.
        DiskError: the cache cannot be written.
    """
    root = inner(root, lambda folder: (folder / "mchar_train.json").is_file())
    parts = {"train": _part(root, "mchar_train")}
    if (root / "mchar_val.json").exists():
        parts["val"] = _part(root, "mchar_val")
    data = photograph_files.load(
        "mchar", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress
    )
    used = {name for part in parts for name in (f"mchar_{part}", f"mchar_{part}.json")}
    without = "mchar_val (there is no mchar_val.json)"
    unread = (path.name for path in visible(root) if path.name not in used and not KNOWN.match(path.name))
    return replace(data, unread=tuple(without if name == "mchar_val" else name for name in unread))


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in SUFFIXES for path in visible(folder))


def _part(root: Path, name: str) -> PhotographPart:
    file, folder = root / f"{name}.json", inner(root / name, _holds_images)
    if not file.is_file():
        raise DataError(
            f"there is no file '{os.path.abspath(file)}'",
            "data.root is the folder of the contest's files: mchar_train.json, mchar_train/, …",
        )
    if not folder.is_dir():
        archive = root / f"{name}.zip"
        unpack = f"; unpack {archive.name} there" if archive.is_file() else ""
        raise DataError(
            f"there is no folder '{os.path.abspath(folder)}'", f"it holds the images of {name}.json{unpack}"
        )

    def read() -> list[PhotographFile]:
        return [
            PhotographFile(f"{name}/{image}", folder / image, label, boxes)
            for image, label, boxes in mchar_json.read(file)
        ]

    return PhotographPart((file, folder), read)
