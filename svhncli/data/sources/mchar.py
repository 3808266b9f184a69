"""The street-character contest on Tianchi: whole numbers, with labels and boxes in JSON files."""

from __future__ import annotations

import os
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.formats import mchar_json
from svhncli.data.framing import Framing
from svhncli.data.sources import photograph_files
from svhncli.data.sources.photograph_files import PhotographFile, PhotographPart
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent


def load(
    root: Path, framing: Framing, *, skip_broken: bool = False, cache: Cache, progress: Progress = silent
) -> DataSet:
    """`mchar_train/` with `mchar_train.json`, and the same of `mchar_val`, where it exists, as `val`.

    The contest's test part, `mchar_test_a/`, has no labels: it can be predicted, but not loaded.

    Raises:
        DataError: a file is missing, damaged, or of another layout.
        DiskError: the cache cannot be written.
    """
    parts = {"train": _part(root, "mchar_train")}
    if (root / "mchar_val.json").exists():
        parts["val"] = _part(root, "mchar_val")
    return photograph_files.load(
        "mchar", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress
    )


def _part(root: Path, name: str) -> PhotographPart:
    file, folder = root / f"{name}.json", root / name
    if not file.is_file():
        raise DataError(
            f"there is no file '{os.path.abspath(file)}'",
            "data.root is the folder of the contest's files: mchar_train.json, mchar_train/, …",
        )
    if not folder.is_dir():
        raise DataError(
            f"there is no folder '{os.path.abspath(folder)}'", f"it holds the images of {name}.json"
        )

    def read() -> list[PhotographFile]:
        return [
            PhotographFile(f"{name}/{image}", folder / image, label, boxes)
            for image, label, boxes in mchar_json.read(file)
        ]

    return PhotographPart((file, folder), read)
