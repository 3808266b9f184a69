"""Your own images: folders named 0 to 9, or a labels.csv that lists each image's number."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.formats import labels_csv
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.framing import Framing
from svhncli.data.sources import photograph_files
from svhncli.data.sources.photograph_files import PhotographFile, PhotographPart
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

log = logging.getLogger(__name__)

CSV = "labels.csv"
CLASSES = tuple("0123456789")
LAYOUT = "expected in data.root, or in its folders train, test and val: folders 0 to 9, or a labels.csv"


def load(
    root: Path,
    framing: Framing,
    *,
    skip_broken: bool = False,
    test_only: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """Images in `root`, or in its folders `train` and, where they exist, `test` and `val`.

    Each part is a folder with a labels.csv, or else with class folders `0` to `9`, some of which may be
    missing. Files in class folders without the suffix of an image are left out, with a warning.

    test_only: load nothing but the test part, if there is one.

    Raises:
        DataError: no such layout, or a file that is damaged.
        DiskError: the cache cannot be written.
    """
    parts = {"train": _part(root)}
    if test_only and (root / "test").is_dir():
        parts = {"test": _part(root / "test")}
    elif (root / "train").is_dir():
        parts = {name: _part(root / name) for name in ("train", "test", "val") if (root / name).is_dir()}
    return photograph_files.load(
        "folder", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress
    )


def _part(folder: Path) -> PhotographPart:
    if (folder / CSV).is_file():
        return PhotographPart((folder,), partial(_from_csv, folder))
    classes = tuple(folder / name for name in CLASSES if (folder / name).is_dir())
    return PhotographPart(classes or (folder,), partial(_from_classes, folder, classes))


def _from_classes(folder: Path, classes: tuple[Path, ...]) -> list[PhotographFile]:
    if not classes:
        raise DataError(f"'{folder}' has neither folders 0 to 9 nor a labels.csv", LAYOUT)
    images, others = [], 0
    for class_folder in classes:
        for path in sorted(class_folder.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                name = f"{folder.name}/{class_folder.name}/{path.name}"
                images.append(PhotographFile(name, path, (int(class_folder.name),)))
            else:
                others += not path.name.startswith(".")
    if others:
        log.warning(
            "%s files in '%s' do not have the suffix of an image and are left out", f"{others:,}", folder
        )
    return images


def _from_csv(folder: Path) -> list[PhotographFile]:
    return [
        PhotographFile(f"{folder.name}/{file}", folder / file, digits)
        for file, digits in labels_csv.read(folder / CSV).items()
    ]
