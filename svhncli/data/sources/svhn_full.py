"""The Street View House Numbers data set, format 1: photographs of whole numbers, boxes in digitStruct.mat.

Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images with Unsupervised Feature Learning,
NIPS Workshop on Deep Learning and Unsupervised Feature Learning, 2011.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from svhncli.core.errors import DataError, UsageError
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet
from svhncli.data.formats import digit_struct_json
from svhncli.data.formats.boxed_labels import BoxedLabel
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import photograph_files
from svhncli.data.sources.nested import inner, listed, root_of, unlisted, visible
from svhncli.data.sources.photograph_files import PhotographPart
from svhncli.data.sources.recognize import not_here
from svhncli.data.store.archive import KINDS, beside, unpack
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent
from svhncli.data.store.download import fetch

NAMES = ("train", "test", "extra")
LABELS = ("digitStruct.mat", "digitStruct.json")
"""A part's label file: the first that exists."""


def load(
    root: Path,
    framing: Framing,
    *,
    extra: str = "none",
    download: bool = False,
    skip_broken: bool = False,
    blank: float = 0.0,
    test_only: bool = False,
    cache: Cache,
    urls: Sequence[str] = (),
    progress: Progress = silent,
) -> DataSet:
    """Folders `train`, `test` and `extra` of PNGs and a label file, or their archives `train.tar.gz`, ….

    Every image that a label file lists must exist, unless `skip_broken`; images that it does not list are
    counted as unread.

    root: the folder of these folders or archives, also of those that are downloaded; or one of them.
    extra: "none"; "train" appends the extra part to the training part; "val" makes it the validation part.
    download: fetch missing archives; without it, the test part may be missing.
    blank: as for `photograph_files.load`.
    test_only: load nothing but the test part, if there is one.
    urls: the folders to fetch from, tried in order.

    Raises:
        DataError: a file is missing, damaged, or of another layout.
        DiskError: the cache or `root` cannot be written.
        UsageError: `extra` is something else.
    """
    if extra not in ("none", "train", "val"):
        raise UsageError(f"extra is '{extra}'", "choose none, train or val")

    root = root_of(root, _has_part, {*NAMES, *(f"{name}{kind}" for name in NAMES for kind in KINDS), *LABELS})
    if root.is_file():
        hint = "set data.root to the folder of train.tar.gz or train/"
        raise not_here(f"'{root}' is a file, and none of this data set", root, "svhn_full", hint)
    folders: dict[str, Path] = {}

    def part(*names: str) -> PhotographPart:
        own = {name: _folder(root, name, download, urls, progress) for name in names}
        folders.update(own)
        labels = [path for labels in LABELS for folder in own.values() if (path := folder / labels).is_file()]
        read = partial(_photographs, own, progress)
        return PhotographPart(tuple(own.values()), read, listed=next(iter(labels), None))

    has_test = download or _exists(root, "test")  # your own files may lack a test part
    if test_only and has_test:
        parts = {"test": part("test")}
    else:
        parts = {"train": part("train", "extra") if extra == "train" else part("train")}
        if has_test:
            parts["test"] = part("test")
        if extra == "val":
            parts["val"] = part("extra")
    data = photograph_files.load(
        "svhn_full", parts, framing, skip_broken=skip_broken, blank=blank, cache=cache, progress=progress
    )
    return replace(data, unread=(*_unread(root, folders), *_unlisted(data, folders)))


def _unread(root: Path, used: Collection[str]) -> Iterator[str]:
    """What lies in the root and is no part of the data; an extra part with the key that uses it."""
    for path in visible(root):
        part = next((name for name in NAMES if path.name in {f"{name}{kind}" for kind in ("", *KINDS)}), None)
        if part is None:
            yield path.name
        elif part not in used and part == "extra":
            yield f"{path.name} (data.extra=train or val uses it)"


def _has_part(root: Path) -> bool:
    return any(_exists(root, name) for name in NAMES)


def _exists(root: Path, name: str) -> bool:
    return (root / name).is_dir() or beside(root / name) is not None


def _folder(root: Path, name: str, download: bool, urls: Sequence[str], progress: Progress) -> Path:
    """A part's folder, downloaded and unpacked where necessary."""
    folder, archive = root / name, root / f"{name}.tar.gz"
    if not _exists(root, name):
        if not download:
            raise not_here(
                f"there is neither a folder '{os.path.abspath(folder)}' nor {archive.name}",
                root,
                "svhn_full",
                "set data.download=true to fetch it, or data.root to the folder that holds it",
            )
        # No checksum is published; the server reports the size, and gzip has a checksum of its own.
        fetch(urls, archive, md5=None, progress=partial(progress, f"download {name}"))
    if not folder.is_dir():
        archive = beside(folder) or archive
        unpack(archive, name, partial(progress, f"unpack {archive.name}"), is_content=_has_labels)
    return inner(folder, _has_labels)


def _has_labels(folder: Path) -> bool:
    return any((folder / labels).is_file() for labels in LABELS)


def _photographs(folders: Mapping[str, Path], progress: Progress) -> list[PhotographFile]:
    photographs = []
    for name, folder in folders.items():
        source, labels = _labels(name, folder, progress)
        photographs += [
            PhotographFile(f"{name}/{file}", folder / file, label, boxes, listed=source)
            for file, label, boxes in labels
        ]
    return photographs


def _labels(name: str, folder: Path, progress: Progress) -> tuple[Path, list[BoxedLabel]]:
    """The label file of a part, and what it lists."""
    matlab, json = (folder / labels for labels in LABELS)
    if matlab.is_file():
        from svhncli.data.formats import digit_struct  # a cached set needs no HDF5

        return matlab, digit_struct.read(matlab, count=partial(progress, f"read labels of {name}"))
    if json.is_file():
        return json, digit_struct_json.read(json)
    above = next((folder.parent / labels for labels in LABELS if (folder.parent / labels).is_file()), None)
    problem = f"there is neither {LABELS[0]} nor {LABELS[1]} in '{os.path.abspath(folder)}'"
    if above is not None:
        raise DataError(problem, f"move '{os.path.abspath(above)}' into it, if that lists its images")
    raise DataError(
        problem, f"it lies in the official {name}.tar.gz; images with other labels are for data=folder"
    )


def _unlisted(data: DataSet, folders: Mapping[str, Path]) -> Iterator[str]:
    """How many images of each part have no label."""
    names = listed(data)
    for name, folder in folders.items():
        if count := unlisted(folder, name, names):
            yield f"{name}: {counted(count, 'image')} that its label file does not list"
