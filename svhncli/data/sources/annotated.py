"""Images whose digits were marked with boxes: the layouts in which tools write YOLO, COCO and VOC."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.core.text import counted
from svhncli.data.formats import coco, marks, voc, yolo
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.formats.labels_csv import PARTS
from svhncli.data.formats.marks import Mark
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources.labeled import Labeled, Reader, part_folders
from svhncli.data.sources.nested import unused, visible
from svhncli.data.sources.photograph_files import PhotographPart

COCO = "_annotations.coco.json"
"""Roboflow's name for the COCO file in the folder of a part."""


@dataclass(frozen=True)
class _Marked:
    """An image with what is marked in it, in the order of the file, and that file.

    marks: None where there is no such file, so that nothing is known of the image.
    """

    image: Path
    marks: tuple[Mark, ...] | None
    source: Path


@dataclass(frozen=True)
class _Boxed:
    """A part with boxes.

    files: label files and folders of images. read: gives all images, also those without boxes. relative:
    whether boxes are fractions of an image's sides. named: the file with the names of the classes, if it is
    another one. listed: the file that names all images, where there is one.
    """

    files: tuple[Path, ...]
    read: Callable[[], list[_Marked]]
    relative: bool = False
    named: Path | None = None
    listed: Path | None = None


def find(folder: Path, root: Path, whole: bool, backgrounds: bool = False) -> Reader | None:
    """The reader of a folder with images and boxes; None where it has no such layout.

    root: where the names of the classes may lie, too. whole: the folder may hold all parts, not one.
    backgrounds: whether images whose label files have no boxes are read: they show no number.
    """
    parts: Mapping[str, _Boxed] = (_parts(folder) if whole else None) or _part(folder, root)
    return partial(_labeled, folder, parts, backgrounds) if "train" in parts else None


def _part(folder: Path, root: Path) -> dict[str, _Boxed]:
    """A folder that is one part, as "train"; empty where it is none."""
    if (folder / COCO).is_file():
        return {"train": _coco(folder / COCO, (folder,))}
    for images, labels in ((folder / "images", folder / "labels"), (folder, folder)):
        if _beside(images, labels):
            return {"train": _yolo(images, labels, folder, root)}
    for images, labels in (*_voc_folders(folder), (folder, folder)):
        if _holds(images, SUFFIXES) and _holds(labels, (".xml",)):
            return {"train": _voc(images, labels, None)}
    return {}


def _parts(root: Path) -> dict[str, _Boxed]:
    """The parts of a folder that holds all of them in a common layout, by name."""
    parts: dict[str, _Boxed] = {}
    for part, folders in part_folders(root / "images").items():
        for images in folders:
            labels = root / "labels" / images.name
            if part not in parts and _beside(images, labels):
                parts[part] = _yolo(images, labels, root)
    if parts:
        return parts
    for part, file in _coco_files(root).items():
        places = (root, root / "images")
        folders = [path for place in places for path in part_folders(place)[part]]
        published = [place / file.stem.rpartition("_")[2] for place in places]  # train2017/
        parts[part] = _coco(file, (*folders, *published, root / "images"))
    for images, labels in () if parts else _voc_folders(root):
        sets = root / "ImageSets" / "Main"
        for name, part in {**PARTS, "trainval": "train"}.items():
            if part not in parts and (sets / f"{name}.txt").is_file() and _holds(labels, (".xml",)):
                parts[part] = _voc(images, labels, sets / f"{name}.txt")
    return parts


def _labeled(folder: Path, parts: Mapping[str, _Boxed], backgrounds: bool) -> Labeled:
    """The images with boxes; a part without any, other than the training part, is none."""

    def images(boxed: _Boxed) -> list[PhotographFile]:
        photographs = []
        by = "" if boxed.named is None else f" (names of classes: '{boxed.named}')"
        for marked in boxed.read():
            if marked.marks or (backgrounds and marked.marks is not None):
                name = f"{folder.name}/{marked.image.relative_to(folder).as_posix()}"
                where = f"'{marked.source}', image '{marked.image.name}'{by}"
                digits, boxes = marks.number(marked.marks, where)
                photographs.append(
                    PhotographFile(
                        name, marked.image, digits, boxes, relative=boxed.relative, listed=marked.source
                    )
                )
        return photographs

    def unread(before: str) -> Iterator[str]:
        used = {path for boxed in parts.values() for path in boxed.files}
        for boxed in parts.values():
            used |= {path for marked in boxed.read() for path in (marked.image, marked.source)}
            empty = sum(marked.marks == () for marked in boxed.read())
            lacking = [
                marked.image
                for marked in boxed.read()
                if marked.marks is None or (marked.marks == () and not backgrounds)
            ]
            if lacking:
                example = f"{before}{lacking[0].relative_to(folder).as_posix()}"
                usable = bool(empty) and not backgrounds
                hint = f" (data.backgrounds=true uses {empty:,} of them, with empty labels)" * usable
                yield f"{counted(len(lacking), 'image')} without boxes, such as {example}{hint}"
        yield from (f"{before}{name}" for name in unused(folder, used))

    labeled = {
        part: PhotographPart(boxed.files, partial(images, boxed), listed=boxed.listed)
        for part, boxed in parts.items()
        if part == "train" or any(marked.marks for marked in boxed.read())
    }
    return Labeled(folder, labeled, unread)


# ----------------------------------------------------------------------------- YOLO


def _yolo(images: Path, labels: Path, *places: Path) -> _Boxed:
    """Images with a text file each. places: where the names of the classes may lie, beside `labels`."""
    named = [
        place / name
        for place in (labels, labels.parent, *places)
        for name in yolo.NAMES
        if (place / name).is_file()
    ]

    @cache
    def read() -> list[_Marked]:
        names = yolo.names(named[0]) if named else None
        marked = []
        for image in _images(images):
            file = labels / f"{image.stem}.txt"
            marked.append(_Marked(image, yolo.read(file, names) if file.is_file() else None, file))
        return marked

    files = tuple(dict.fromkeys((images, labels, *named[:1])))
    return _Boxed(files, read, relative=True, named=named[0] if named else None)


def _beside(images: Path, labels: Path) -> bool:
    """Whether some image has a text file of its own name: a folder may hold others, such as a readme.txt."""
    there = images.is_dir() and labels.is_dir()
    return there and any((labels / f"{image.stem}.txt").is_file() for image in _images(images))


# ----------------------------------------------------------------------------- COCO


def _coco_files(root: Path) -> dict[str, Path]:
    """The files in annotations/ with the name of a part in theirs, such as instances_train2017.json.

    Raises:
        DataError: two are of the same part.
    """
    files: dict[str, Path] = {}
    for path in sorted((root / "annotations").glob("*.json")):
        for word in re.findall("[a-z]+", path.stem.lower()):
            if (part := PARTS.get(word)) and files.setdefault(part, path) != path:
                raise DataError(
                    f"'{path.parent}' has two files of the {part} part: {files[part].name} and {path.name}",
                    "keep the one with the boxes of digits there",
                )
    return files


def _coco(file: Path, folders: Iterable[Path]) -> _Boxed:
    """The images of a COCO file, in the first of the folders that has any of them."""
    present = [folder for folder in folders if folder.is_dir()] or [file.parent]

    @cache
    def read() -> list[_Marked]:
        listed = coco.read(file)
        holding = (folder for folder in present if any((folder / name).is_file() for name in listed))
        folder = next(holding, present[0])
        return [_Marked(folder / name, boxes, file) for name, boxes in listed.items()]

    return _Boxed(tuple(dict.fromkeys((file, *present))), read, listed=file)


# ----------------------------------------------------------------------------- VOC


def _voc_folders(root: Path) -> list[tuple[Path, Path]]:
    """The folders of images and of their XML files that VOC's layout may have."""
    names = (("JPEGImages", "Annotations"), ("images", "annotations"))
    return [(root / images, root / labels) for images, labels in names if (root / labels).is_dir()]


def _voc(images: Path, labels: Path, listed: Path | None) -> _Boxed:
    """Images with an XML file each. listed: a file with the names of the part's images, without suffixes."""

    @cache
    def read() -> list[_Marked]:
        files = {image.stem: image for image in _images(images)}
        marked = []
        for stem in _stems(listed) if listed else files:
            file = labels / f"{stem}.xml"
            if stem not in files and not file.is_file():
                raise DataError(f"'{listed}' lists '{stem}', but '{images}' has no such image", "take it out")
            image = files.get(stem, images / f"{stem}.jpg")
            marked.append(_Marked(image, voc.read(file) if file.is_file() else None, file))
        return marked

    return _Boxed(tuple(dict.fromkeys((images, labels, *([listed] if listed else [])))), read)


def _stems(path: Path) -> list[str]:
    """The names of images in a file of ImageSets/Main: the first word of each line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read '{path}': {error}", "list the name of an image in each line") from error
    return list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))


# ----------------------------------------------------------------------------- folders


def _images(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.suffix.lower() in SUFFIXES]


def _holds(folder: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a folder has files with one of these suffixes."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(suffixes) and entry.name[0] != "." for entry in entries)
