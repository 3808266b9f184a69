"""Your own images: class folders, lists of labels, labels in file names, or boxes of annotation tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet
from svhncli.data.formats import yolo
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.framing import Framing
from svhncli.data.sources import annotated, class_folders, file_names, grouping, listed, photograph_files
from svhncli.data.sources.labeled import Labeled, Reader, Reading, part_folders
from svhncli.data.sources.nested import inner, visible
from svhncli.data.sources.recognize import not_here
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

LAYOUT = (
    "expected in data.root, or in its folders train, test and val: folders 0 to 9, or a labels.csv "
    "(file,label), or boxes by YOLO, COCO or VOC; data.label takes labels from file names"
)
LABEL_FILES = (*listed.NAMES, annotated.COCO, *yolo.NAMES)
"""Files that stand for their folder as data.root."""
VOC = "VOCdevkit"
"""The folder in which VOC's archives hold theirs."""
SHOWN = 3
"""Folders that a message names."""


def load(
    root: Path,
    framing: Framing,
    *,
    group: str | None = None,
    label: str | None = None,
    test_fraction: float = 0.0,
    skip_broken: bool = False,
    blank: float = 0.0,
    backgrounds: bool = False,
    test_only: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """Images in `root`, or in its folders `train` and, where they exist, `test` and `val` (see part_folders).

    Each part is a folder with a list of its images, such as a labels.csv, or else with class folders `0` to
    `9`, some of which may be missing, or with images and boxes (see annotated.py); `test` or `val` without
    any labels is no part. A list in `root` may name the part of each image. The images may lie one folder
    deeper than `root` or a part. Hidden files do not count. Whatever else is in `root` is listed as unread.
    `root` may also be a file that labels images, for its folder.

    group: a regular expression; images for whose names it finds the same text form a group.
    label: a regular expression; the text that it finds in an image's path, relative to its part's folder, is
        the label, and an image in whose path it finds nothing is left out.
    blank, backgrounds: as for `photograph_files.load`.
    test_fraction: how much of the training part is set aside as the test part, in whole groups; the same
        images whatever seed a run has.
    test_only: load nothing but the test part, if there is one.

    Raises:
        DataError: no such layout, or a file that is damaged.
        DiskError: the cache cannot be written.
    """
    how = Reading(label, backgrounds)
    outer = root = _folder_of(root)
    root = inner(root / VOC if (root / VOC).is_dir() else root, partial(_fits, how))
    folders = _readers(root, how)
    alone = test_only and "test" in folders
    if "train" in folders or alone:
        labeled = _joined(root, folders, ("test",) if alone else tuple(folders), group, how)
    elif reader := _reader(root, root, how):
        labeled = grouping.grouped(reader(), group)
    else:
        raise _no_labels(next(iter(part_folders(root)["train"]), root), how.label)
    parts = labeled.parts
    if test_fraction and not alone:
        if "test" in parts:
            raise DataError(
                f"'{root}' has a test part already", "leave data.test_fraction out, or the test part"
            )
        both = {name: grouping.cut(parts["train"], name, test_fraction, group) for name in ("train", "test")}
        parts = {**parts, **both}
    if test_only and "test" in parts:
        parts = {"test": parts["test"]}
    data = photograph_files.load(
        "folder",
        parts,
        framing,
        skip_broken=skip_broken,
        blank=blank,
        backgrounds=backgrounds,
        cache=cache,
        progress=progress,
    )
    if group and data.val is None and not test_only:
        grouping.require_several(data.train.groups, group)
    return replace(data, unread=(*_around(outer, root), *labeled.unread("")))


def _folder_of(root: Path) -> Path:
    """The folder of images: the root itself, or that of a file which labels images in its folder."""
    if not root.is_file():
        return root
    if root.name not in LABEL_FILES:
        raise DataError(
            f"'{root}' is a file, and none that labels the images in its folder",
            f"set data.root to the folder of the images, or to a file named {', '.join(LABEL_FILES)}",
        )
    return root.parent


def _reader(folder: Path, root: Path, how: Reading) -> Reader | None:
    """The reader of a folder's images and their labels; None where it has none in a known layout.

    The root may hold all parts; another folder is one.
    """
    whole = folder == root
    if how.label:
        others = [path for paths in part_folders(folder).values() for path in paths] if whole else ()
        return file_names.find(folder, how.label, others)
    return (
        listed.find(folder, whole, how.backgrounds)
        or class_folders.find(folder)
        or annotated.find(folder, root, whole, how.backgrounds)
    )


def _fits(how: Reading, folder: Path) -> bool:
    """Whether a folder is laid out as `root` may be."""
    parts = part_folders(folder)
    return bool(parts["train"] or parts["test"] or _reader(folder, folder, how))


def _readers(root: Path, how: Reading) -> dict[str, tuple[Path, Reader]]:
    """The folders in the root that are parts, with their readers, by part, the training part first."""
    readers: dict[str, tuple[Path, Reader]] = {}
    for part, folders in part_folders(root).items():
        for folder in folders:
            folder = inner(folder, lambda deeper: _reader(deeper, root, how) is not None)
            reader = _reader(folder, root, how)
            if part not in readers and reader and (part == "train" or _has_images(reader)):
                readers[part] = folder, reader
    return readers


def _has_images(reader: Reader) -> bool:
    """Whether any image has a number: other tools write label files that are empty."""
    return any(image.label for part in reader().parts.values() for image in part.read())


def _joined(
    root: Path,
    folders: Mapping[str, tuple[Path, Reader]],
    wanted: Sequence[str],
    group: str | None,
    how: Reading,
) -> Labeled:
    """The wanted parts, each of a folder in the root, as what the root holds."""
    labeled = {part: grouping.grouped(folders[part][1](), group) for part in wanted}
    parts = {part: inside.parts["train"] for part, inside in labeled.items()}
    used = {root / folder.relative_to(root).parts[0] for folder, _ in folders.values()}
    used.update(file for part in parts.values() for file in part.files)
    named = {path for paths in part_folders(root).values() for path in paths}

    def unread(before: str) -> Iterator[str]:
        for path in visible(root):
            if path not in used:
                empty = path in named and not ((reader := _reader(path, root, how)) and _has_images(reader))
                yield f"{before}{path.name} (no labels)" if empty else f"{before}{path.name}"
        for inside in labeled.values():
            top = root / inside.folder.relative_to(root).parts[0]
            yield from (f"{before}{top.name}/{name}" for name in _around(top, inside.folder))
            yield from inside.unread(f"{before}{inside.folder.relative_to(root).as_posix()}/")

    return Labeled(root, parts, unread)


def _around(outer: Path, root: Path) -> Iterator[str]:
    """What lies beside the root in the folder that was named, and in the folders between."""
    while root != outer:
        yield from (str(path.relative_to(outer)) for path in visible(root.parent) if path != root)
        root = root.parent


def _no_labels(folder: Path, label: str | None) -> DataError:
    """Why a folder is refused: what lies there, and what to type where file names look like labels."""
    if not folder.is_dir():
        return DataError(f"'{folder}' is not a folder", LAYOUT)
    if label:
        names = [name for name, _ in file_names.named_images(folder)]
        example = f"in the paths of {counted(len(names), 'image')}, such as '{names[0]}'" if names else ""
        return DataError(
            f"data.label={label} finds nothing in '{folder}': {example or 'there are no images'}",
            "paths are relative to the part's folder, such as 3_dig1.jpg for data.label='^(\\d+)_'",
        )
    problem = f"'{folder}' has neither folders 0 to 9 nor a labels.csv"
    if not any(file_names.named_images(folder)):
        return not_here(problem, folder, "folder", LAYOUT)
    if pattern := file_names.proposal(folder):
        hint = f"data.label='{pattern}' takes the labels from the file names"
    elif deeper := _deeper(folder):
        hint = f"choose a folder in it: {' or '.join(f'data.root={path}' for path in deeper[:SHOWN])}"
    else:
        hint = LAYOUT
    return DataError(f"{problem}, {_contents(folder)}", hint)


def _deeper(folder: Path) -> list[Path]:
    """The folders one or two levels deeper that are laid out as `root` may be."""
    first = [path for path in visible(folder) if path.is_dir()]
    second = [path for outer in first for path in visible(outer) if path.is_dir()]
    return [path for path in (*first, *second) if _fits(Reading(), path)]


def _contents(folder: Path) -> str:
    """What a folder of images without labels holds instead."""
    there = visible(folder)
    images = [path.name for path in there if path.suffix.lower() in SUFFIXES]
    folders = [f"'{path.name}'" for path in there if path.is_dir()]
    more = ", …" if len(folders) > SHOWN else ""
    kinds = [f"{counted(len(images), 'image')} such as '{images[0]}'"] if images else []
    if folders:
        kinds.append(f"{'folders' if len(folders) > 1 else 'a folder'} {', '.join(folders[:SHOWN])}{more}")
    return f"but {' and '.join(kinds)}"
