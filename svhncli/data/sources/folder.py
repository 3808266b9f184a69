"""Pictures of one's own: folders named 0 to 9, or a labels.csv that says each picture's number."""

from __future__ import annotations

import csv
import io
import logging
import os
from functools import partial
from pathlib import Path, PurePosixPath

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.formats import photographs
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.formats.labels import LONGEST
from svhncli.data.formats.photographs import Part, Photograph
from svhncli.data.framing import Framing
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

log = logging.getLogger(__name__)

CSV = "labels.csv"
CLASSES = tuple("0123456789")
LAYOUT = "expected in data.root, or in its folders train, test and val: folders 0 to 9, or a labels.csv"
HEADER = "its first line is: file,label"


def load(
    root: Path, framing: Framing, *, skip_broken: bool = False, cache: Cache, progress: Progress = silent
) -> DataSet:
    """Pictures in `root`, or in its folders `train` and, where they are there, `test` and `val`.

    Each part is a folder with a labels.csv, or else with class folders `0` to `9`, of which some may be
    missing. Files in class folders whose suffix is no picture's are left out, with a warning.

    Raises:
        DataError: no such layout, or a file that is damaged.
        DiskError: the cache cannot be written.
    """
    if not root.is_dir():
        raise DataError(
            f"there is no folder '{os.path.abspath(root)}'", "data.root says where the pictures are"
        )
    parts = {"train": _part(root)}
    if (root / "train").is_dir():
        parts = {name: _part(root / name) for name in ("train", "test", "val") if (root / name).is_dir()}
    return photographs.load("folder", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress)


def _part(folder: Path) -> Part:
    if (folder / CSV).is_file():
        return Part((folder,), partial(_of_csv, folder))
    found = tuple(folder / name for name in CLASSES if (folder / name).is_dir())
    return Part(found or (folder,), partial(_of_classes, folder, found))


def _of_classes(folder: Path, found: tuple[Path, ...]) -> list[Photograph]:
    if not found:
        raise DataError(f"'{folder}' has neither folders 0 to 9 nor a labels.csv", LAYOUT)
    pictures, others = [], 0
    for place in found:
        for path in sorted(place.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                name = f"{folder.name}/{place.name}/{path.name}"
                pictures.append(Photograph(name, path, (int(place.name),)))
            else:
                others += not path.name.startswith(".")
    if others:
        log.warning("%s files in '%s' have no picture's suffix and are left out", f"{others:,}", folder)
    return pictures


def _of_csv(folder: Path) -> list[Photograph]:
    """The rows of a labels.csv, in its order."""
    path = folder / CSV
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is no CSV in UTF-8: {error}", HEADER) from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "look at its permissions") from error
    if not rows or rows[0] != ["file", "label"]:
        raise DataError(
            f"'{path}' begins with {','.join(rows[0])[:60]!r}" if rows else f"'{path}' is empty", HEADER
        )
    found: dict[str, Photograph] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        where = f"'{path}', row {number}"
        if len(row) != 2:
            raise DataError(f"{where}: {len(row)} fields instead of 2", HEADER)
        file, label = row
        if not (label.isascii() and label.isdigit() and len(label) <= LONGEST):
            raise DataError(
                f"{where}: label {label[:60]!r}", f"a label is 1 to {LONGEST} digits, such as 007"
            )
        inside = PurePosixPath(file)
        if not file.strip() or "\0" in file or inside.is_absolute() or ".." in inside.parts:
            raise DataError(f"{where}: file {file[:60]!r}", f"files are named from '{folder}' on, inside it")
        if str(inside) in found:
            raise DataError(f"{where}: '{inside}' stands there twice", "name each picture once")
        digits = tuple(int(digit) for digit in label)
        found[str(inside)] = Photograph(f"{folder.name}/{inside}", folder / inside, digits)
    return list(found.values())
