"""Your own images: folders named 0 to 9, or a labels.csv that lists each image's number."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
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
from svhncli.data.sources import photograph_files
from svhncli.data.sources.photograph_files import PhotographFile, PhotographPart
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

log = logging.getLogger(__name__)

CSV = "labels.csv"
CLASSES = tuple("0123456789")
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
    """Images in `root`, or in its folders `train` and, where they exist, `test` and `val`.

    Each part is a folder with a labels.csv, or else with class folders `0` to `9`, some of which may be
    missing. A labels.csv in `root` may name the part of each image. Files in class folders without the suffix
    of an image are left out, with a warning.

    group: a regular expression; images for whose names it finds the same text form a group.
    test_fraction: how much of the training part is set aside as the test part, in whole groups; the same
        images whatever seed a run has.
    test_only: load nothing but the test part, if there is one.

    Raises:
        DataError: no such layout, or a file that is damaged.
        DiskError: the cache cannot be written.
    """
    alone = test_only and (root / "test").is_dir()
    parts = {"test": _part(root / "test", group)} if alone else _parts(root, group)
    if test_fraction and not alone:
        if "test" in parts:
            raise DataError(
                f"'{root}' has a test part already", "leave data.test_fraction out, or the test part"
            )
        parts |= {name: _cut(parts["train"], name, test_fraction) for name in ("train", "test")}
    if test_only and "test" in parts:
        parts = {"test": parts["test"]}
    return photograph_files.load(
        "folder", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress
    )


def _parts(root: Path, group: str | None) -> dict[str, PhotographPart]:
    """The parts in a folder, by name, the training part first."""
    if (root / "train").is_dir():
        names = [name for name in ("train", "test", "val") if (root / name).is_dir()]
        return {name: _part(root / name, group) for name in names}
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
        for path in sorted(class_folder.iterdir()):
            if path.suffix.lower() in SUFFIXES:
                name = f"{folder.name}/{class_folder.name}/{path.name}"
                label = (int(class_folder.name),)
                images.append(PhotographFile(name, path, label, group=_group_of(path.name, group)))
            elif not path.name.startswith("."):
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
