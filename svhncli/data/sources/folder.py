"""Your own images: folders named 0 to 9, or a labels.csv that lists each image's number."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet
from svhncli.data.formats import labels_csv
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.formats.labels_csv import Row
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import photograph_files
from svhncli.data.sources.nested import inner, visible
from svhncli.data.sources.photograph_files import PhotographPart
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

log = logging.getLogger(__name__)

CSV = "labels.csv"
CLASSES = tuple("0123456789")
FOLDERS = {
    part: [name for name, meant in labels_csv.PARTS.items() if name and meant == part]
    for part in ("train", "test", "val")
}
"""The names that the folder of a part may have; the first with labels counts."""
GROUP = "such as data.group='(meter\\d+)_' for files like meter07_2.jpg"
LAYOUT = "expected in data.root, or in its folders train, test and val: folders 0 to 9, or a labels.csv"


def load(
    root: Path,
    framing: Framing,
    *,
    group: str | None = None,
    test_fraction: float = 0.0,
    skip_broken: bool = False,
    test_only: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """Images in `root`, or in its folders `train` and, where they exist, `test` and `val` (see FOLDERS).

    Each part is a folder with a labels.csv, or else with class folders `0` to `9`, some of which may be
    missing; `test` or `val` without any labels is no part. A labels.csv in `root` may name the part of each
    image. The images may lie one folder deeper than `root` or a part. Hidden files do not count. Whatever
    else is in `root` is listed as unread.

    group: a regular expression; images for whose names it finds the same text form a group.
    test_fraction: how much of the training part is set aside as the test part, in whole groups; the same
        images whatever seed a run has.
    test_only: load nothing but the test part, if there is one.

    Raises:
        DataError: no such layout, or a file that is damaged.
        DiskError: the cache cannot be written.
    """
    root = inner(root, _has_images)
    folders = _folders(root)
    alone = test_only and "test" in folders
    if "train" not in folders and not alone:
        folders = {}
    parts = {"test": _part(folders["test"], group)} if alone else _parts(root, folders, group)
    if test_fraction and not alone:
        if "test" in parts:
            raise DataError(
                f"'{root}' has a test part already", "leave data.test_fraction out, or the test part"
            )
        parts |= {name: _cut(parts["train"], name, test_fraction) for name in ("train", "test")}
    if test_only and "test" in parts:
        parts = {"test": parts["test"]}
    data = photograph_files.load(
        "folder", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress
    )
    return replace(data, unread=tuple(_unread(root, folders)))


def _has_images(folder: Path) -> bool:
    """Whether a folder is laid out as `root` may be."""
    return any((folder / name).is_dir() for name in ("train", "test")) or _has_labels(folder)


def _has_labels(folder: Path) -> bool:
    return (folder / CSV).is_file() or any((folder / name).is_dir() for name in CLASSES)


def _folders(root: Path) -> dict[str, Path]:
    """The folder of each part, by name, the training part first; none where the root is a part itself."""
    if not (root / "train").is_dir() and _has_labels(root):
        return {}
    folders = {}
    for part, names in FOLDERS.items():
        for name in names:
            folder = inner(root / name, _has_labels)
            if part not in folders and (_has_labels(folder) or (name == "train" and folder.is_dir())):
                folders[part] = folder
    return folders


def _unread(root: Path, folders: dict[str, Path]) -> Iterator[str]:
    """What lies in the root and is not read, relative to it, with the reason where it is not plain."""
    used = {root / folder.relative_to(root).parts[0] for folder in folders.values()}
    for path in visible(root) if folders else ():
        if path not in used:
            is_part = path.is_dir() and path.name in {name for names in FOLDERS.values() for name in names}
            yield f"{path.name} (no labels)" if is_part and not _has_labels(path) else path.name
    for folder in folders.values() or (root,):
        yield from (str(path.relative_to(root)) for path in _unread_in(folder))


def _unread_in(folder: Path) -> Iterator[Path]:
    """What lies in the folder of a part and is not read."""
    if (folder / CSV).is_file():
        listed = {Path(row.file).parts[0] for row in labels_csv.read(folder / CSV)} | {CSV}
        yield from (path for path in visible(folder) if path.name not in listed)
        return
    for path in visible(folder):
        if path.name not in CLASSES or not path.is_dir():
            yield path
        else:
            with os.scandir(path) as entries:  # of many images, whose kind it knows without a look at each
                deeper = [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]
            yield from (path / name for name in sorted(deeper))


def _parts(root: Path, folders: dict[str, Path], group: str | None) -> dict[str, PhotographPart]:
    """The parts in a folder, by name, the training part first."""
    if folders:
        return {name: _part(folder, group) for name, folder in folders.items()}
    if not (root / CSV).is_file():
        return {"train": _part(root, group)}
    rows = labels_csv.read(root / CSV)
    _warn_shared(rows)
    if all(row.part is None for row in rows):
        return {"train": _listed(root, group)}
    present = {row.part for row in rows}
    if "train" not in present:
        raise DataError(f"'{root / CSV}' has no training images", "a part is train, val or test")
    return {name: _listed(root, group, name) for name in ("train", "test", "val") if name in present}


def _part(folder: Path, group: str | None) -> PhotographPart:
    """A folder that is one part."""
    if (folder / CSV).is_file():
        return _listed(folder, group)
    classes = tuple(folder / name for name in CLASSES if (folder / name).is_dir())
    read = partial(_from_classes, folder, classes, group)
    return PhotographPart(classes or (folder,), read, {"group": group} if group else {})


def _listed(folder: Path, group: str | None, part: str | None = None) -> PhotographPart:
    """The images of a labels.csv, or of one that names parts those of a part."""
    selection = {name: value for name, value in (("group", group), ("part", part)) if value}
    return PhotographPart((folder,), partial(_from_csv, folder, group, part), selection)


def _cut(whole: PhotographPart, name: str, test_fraction: float) -> PhotographPart:
    """The training or the test part of a part that has both."""

    def read() -> list[PhotographFile]:
        images = whole.read()
        set_aside = _set_aside(images, test_fraction)
        return [image for image in images if (_unit(image) in set_aside) == (name == "test")]

    return replace(whole, read=read, selection=dict(whole.selection) | {"test_fraction": test_fraction})


def _unit(image: PhotographFile) -> str:
    """What is set aside as a whole: a group, or a file, whatever its label and thus its folder."""
    return image.group or image.path.name


def _set_aside(images: Sequence[PhotographFile], fraction: float) -> set[str]:
    """Groups that hold the fraction of the images, or a little more.

    They are the first by a hash of their names: corrected labels change nothing, and further images move
    hardly any group from one part to the other.

    Raises:
        DataError: nothing would be left on one side.
    """
    sizes = Counter(map(_unit, images))
    if len(sizes) < 2:
        raise DataError(
            f"all {len(images):,} images are in one group, so none can be set aside as the test part",
            "check data.group, or the column group of labels.csv",
        )
    chosen: set[str] = set()
    for name in sorted(
        sizes, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    ):
        enough = sum(sizes[other] for other in chosen) >= fraction * len(images)
        if chosen and (enough or len(chosen) == len(sizes) - 1):
            break
        chosen.add(name)
    return chosen


def _from_classes(folder: Path, classes: tuple[Path, ...], group: str | None) -> list[PhotographFile]:
    if not classes:
        raise DataError(f"'{folder}' has neither folders 0 to 9 nor a labels.csv", LAYOUT)
    images, others = [], list[Path]()
    for class_folder in classes:
        for path in visible(class_folder):
            if path.suffix.lower() in SUFFIXES:
                name = f"{folder.name}/{class_folder.name}/{path.name}"
                label = (int(class_folder.name),)
                images.append(PhotographFile(name, path, label, group=_group_of(path.name, group)))
            elif not path.is_dir():
                others.append(path)
    if others:
        log.warning(
            "%s in '%s' left out: the suffix, as of '%s', is not an image's",
            *(counted(len(others), "file"), folder, others[0].name),
        )
    return images


def _from_csv(folder: Path, group: str | None, part: str | None) -> list[PhotographFile]:
    rows = labels_csv.read(folder / CSV)
    if part is None and any(row.part is not None for row in rows):
        raise DataError(
            f"'{folder / CSV}' has a column of parts, but '{folder}' is one part itself",
            "take the column out, or put all images and one labels.csv into data.root",
        )
    if group and any(row.group for row in rows):
        raise DataError(
            f"'{folder / CSV}' has a column of groups, and data.group is set, too", "leave data.group out"
        )
    return [
        PhotographFile(
            f"{folder.name}/{row.file}",
            folder / row.file,
            row.digits,
            group=row.group or _group_of(row.file, group),
        )
        for row in rows
        if row.part == part
    ]


def _group_of(name: str, pattern: str | None) -> str:
    """The text that a pattern, or its first parentheses, finds in a file's name; "" without a pattern."""
    if not pattern:
        return ""
    match = re.search(pattern, name)
    if match is None or not (text := match[min(1, match.re.groups)]):
        raise DataError(f"data.group={pattern} finds nothing in the file name '{name}'", GROUP)
    return text


def _warn_shared(rows: Sequence[Row]) -> None:
    """Say which groups are in several parts: images of the training part would be much like held-out ones."""
    parts: dict[str, set[str]] = {}
    for row in rows:
        if row.group:
            parts.setdefault(row.group, set()).add(row.part or "train")
    if shared := [group for group, of in parts.items() if len(of) > 1]:
        groups = counted(len(shared), "group")
        log.warning("%s in more than one part of the data, such as '%s'", groups, shared[0])
