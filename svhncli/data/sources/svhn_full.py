"""The Street View House Numbers data set, format 1: photographs of whole numbers, boxes in digitStruct.mat.

Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images with Unsupervised Feature Learning,
NIPS Workshop on Deep Learning and Unsupervised Feature Learning, 2011.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from svhncli.core.errors import DataError, UsageError
from svhncli.data.dataset import DataSet
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import photograph_files
from svhncli.data.sources.photograph_files import PhotographPart
from svhncli.data.store.archive import unpack
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent
from svhncli.data.store.download import fetch

BASE_URL = "http://ufldl.stanford.edu/housenumbers"
LABELS = "digitStruct.mat"


def load(
    root: Path,
    framing: Framing,
    *,
    extra: str = "none",
    download: bool = False,
    skip_broken: bool = False,
    test_only: bool = False,
    cache: Cache,
    base_url: str = BASE_URL,
    progress: Progress = silent,
) -> DataSet:
    """Folders `train`, `test` and `extra` of PNGs and a digitStruct.mat, or their archives `train.tar.gz`, ….

    Every image that a label file lists must exist, unless `skip_broken`; other files do not matter.

    root: the folder of these folders or archives, also of those that are downloaded.
    extra: "none"; "train" appends the extra part to the training part; "val" makes it the validation part.
    download: fetch missing archives from `base_url`; without it, the test part may be missing.
    test_only: load nothing but the test part, if there is one.

    Raises:
        DataError: a file is missing, damaged, or of another layout.
        DiskError: the cache or `root` cannot be written.
        UsageError: `extra` is something else.
    """
    if extra not in ("none", "train", "val"):
        raise UsageError(f"extra is '{extra}'", "choose none, train or val")

    def part(*names: str) -> PhotographPart:
        folders = [_folder(root, name, download, base_url, progress) for name in names]
        return PhotographPart(tuple(folders), partial(_photographs, folders, progress))

    has_test = download or _exists(root, "test")  # your own files may lack a test part
    if test_only and has_test:
        parts = {"test": part("test")}
    else:
        parts = {"train": part("train", "extra") if extra == "train" else part("train")}
        if has_test:
            parts["test"] = part("test")
        if extra == "val":
            parts["val"] = part("extra")
    return photograph_files.load(
        "svhn_full", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress
    )


def _exists(root: Path, name: str) -> bool:
    return (root / name).is_dir() or (root / f"{name}.tar.gz").is_file()


def _folder(root: Path, name: str, download: bool, base_url: str, progress: Progress) -> Path:
    """A part's folder, downloaded and unpacked where necessary."""
    folder, archive = root / name, root / f"{name}.tar.gz"
    if not _exists(root, name):
        if not download:
            raise DataError(
                f"there is neither a folder '{os.path.abspath(folder)}' nor {archive.name}",
                "set data.download=true to fetch it, or data.root to the folder that holds it",
            )
        # No checksum is published; the server reports the size, and gzip has a checksum of its own.
        fetch(f"{base_url}/{archive.name}", archive, md5=None, progress=partial(progress, f"download {name}"))
    if not folder.is_dir():
        unpack(archive, name, partial(progress, f"unpack {archive.name}"))
    return folder


def _photographs(folders: Sequence[Path], progress: Progress) -> list[PhotographFile]:
    from svhncli.data.formats import digit_struct  # a cached set needs no HDF5

    return [
        PhotographFile(f"{folder.name}/{file}", folder / file, label, boxes)
        for folder in folders
        for file, label, boxes in digit_struct.read(
            folder / LABELS, count=partial(progress, f"read labels of {folder.name}")
        )
    ]
