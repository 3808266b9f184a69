"""The Street View House Numbers data set, format 1: photographs of whole numbers, boxes in digitStruct.mat.

Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images with Unsupervised Feature Learning,
NIPS Workshop on Deep Learning and Unsupervised Feature Learning, 2011.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.core.errors import DataError, UsageError
from svhncli.core.processes import available_cpus, in_order
from svhncli.data.dataset import DataSet
from svhncli.data.formats import labels, photographs
from svhncli.data.formats.photographs import Part, Photograph
from svhncli.data.framing import Framing
from svhncli.data.store.archive import unpack
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Count, Progress, silent
from svhncli.data.store.download import fetch

BASE_URL = "http://ufldl.stanford.edu/housenumbers"
LABELS = "digitStruct.mat"
LAYOUT = (
    "expected: MATLAB 7.3 (HDF5), a struct digitStruct with name and bbox (height, left, top, width, label)"
)

_RANGE = 1000
"""Pictures whose labels a process reads at once: HDF5 takes about a millisecond for each."""


def load(
    root: Path,
    framing: Framing,
    *,
    extra: str = "none",
    download: bool = False,
    skip_broken: bool = False,
    cache: Cache,
    base_url: str = BASE_URL,
    progress: Progress = silent,
) -> DataSet:
    """Folders `train`, `test` and `extra` of PNGs and a digitStruct.mat, or their archives `train.tar.gz`, ….

    Every picture that a label file lists must be there, unless `skip_broken`; others do not matter.

    root: where the folders or archives are, or are put.
    extra: "none"; "train" appends the extra part to the training part; "val" makes it the validation part.
    download: fetch archives that are missing from `base_url`; without it, there may be no test part.

    Raises:
        DataError: a file is missing, damaged, or of another layout.
        DiskError: the cache or `root` cannot be written.
        UsageError: `extra` is none of the three.
    """
    if extra not in ("none", "train", "val"):
        raise UsageError(f"extra is '{extra}'", "it is one of none, train, val")

    def part(*names: str) -> Part:
        folders = [_folder(root, name, download, base_url, progress) for name in names]
        return Part(tuple(folders), partial(_photographs, folders, progress))

    parts = {"train": part("train", "extra") if extra == "train" else part("train")}
    if download or _is_there(root, "test"):  # files of your own may have no test part
        parts["test"] = part("test")
    if extra == "val":
        parts["val"] = part("extra")
    return photographs.load(
        "svhn_full", parts, framing, skip_broken=skip_broken, cache=cache, progress=progress
    )


def _is_there(root: Path, name: str) -> bool:
    return (root / name).is_dir() or (root / f"{name}.tar.gz").is_file()


def _folder(root: Path, name: str, download: bool, base_url: str, progress: Progress) -> Path:
    """A part's folder, unpacked and downloaded where it has to be."""
    folder, archive = root / name, root / f"{name}.tar.gz"
    if not _is_there(root, name):
        if not download:
            raise DataError(
                f"there is neither a folder '{os.path.abspath(folder)}' nor {archive.name}",
                "data.download=true fetches it, data.root=FOLDER says where it is",
            )
        # Nobody publishes a checksum; the server tells the size, and gzip has a checksum of its own.
        fetch(f"{base_url}/{archive.name}", archive, md5=None, progress=partial(progress, f"download {name}"))
    if not folder.is_dir():
        unpack(archive, name, partial(progress, f"unpack {archive.name}"))
    return folder


def _photographs(folders: Sequence[Path], progress: Progress) -> list[Photograph]:
    return [
        Photograph(f"{folder.name}/{file}", folder / file, label, boxes)
        for folder in folders
        for file, label, boxes in read_labels(
            folder / LABELS, count=partial(progress, f"read labels of {folder.name}")
        )
    ]


def read_labels(path: Path, workers: int | None = None, count: Count = silent) -> list[labels.Row]:
    """Name, digits and boxes (left, top, right, bottom in pixels) of every picture, in the file's order.

    The file's label 10 is digit 0.

    workers: processes; None takes every CPU that this process may use, one for a short file.

    Raises:
        DataError: the file cannot be read, is damaged or of another layout.
    """
    total = _guarded(path, _count)
    jobs = [(path, start) for start in range(0, total, _RANGE)]
    if workers is None:
        workers = available_cpus()
    found: list[labels.Row] = []
    with contextlib.closing(in_order(_rows, jobs, workers)) as pieces:
        for rows in pieces:
            found += rows
            count(len(found), total)
    return found


def _guarded(path: Path, read: Any) -> Any:
    """`read(file)`, with HDF5's many complaints of a damaged file in one."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return read(file)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # whatever HDF5 stumbles over
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is damaged"
        raise DataError(f"cannot read the labels in '{path}': {reason}", LAYOUT) from error


def _count(file: Any) -> int:
    names, boxes = (file["digitStruct"][field] for field in ("name", "bbox"))
    if names.size != boxes.size or names.dtype.kind != "O":
        raise ValueError("no array of structs")
    return int(names.size)


def _rows(job: tuple[Path, int]) -> list[labels.Row]:
    """The rows of `_RANGE` pictures from `start` on."""
    path, start = job

    def read(file: Any) -> list[labels.Row]:
        struct = file["digitStruct"]
        names, boxes = (struct[field][start : start + _RANGE].ravel() for field in ("name", "bbox"))
        return [_row(path, file, *references) for references in zip(names, boxes, strict=True)]

    rows: list[labels.Row] = _guarded(path, read)
    return rows


def _row(path: Path, file: Any, name: Any, box: Any) -> labels.Row:
    """By h5py's low level, since its high one takes several times as long."""
    from h5py import h5d, h5r, ref_dtype

    text = h5r.dereference(name, file.id)
    letters = _values(text, _size(text, 255), np.uint16)
    struct = h5r.dereference(box, file.id)
    label = h5d.open(struct, b"label")
    count, refers = _size(label, labels.LONGEST), label.dtype.kind == "O"  # of one digit, it is the number
    values = {}
    for field in labels.FIELDS:
        data = h5d.open(struct, field.encode())
        if refers:
            parts = [h5r.dereference(one, file.id) for one in _values(data, count, ref_dtype)]
            values[field] = [_values(part, 1, np.float64)[0] for part in parts]
        else:
            values[field] = _values(data, count, np.float64).tolist()
    return labels.row(path, letters.tobytes().decode("utf-16-le"), values, (10, *range(1, 10)))


def _size(data: Any, most: int) -> int:
    size = int(np.prod(data.shape))
    if size > most:
        raise ValueError(f"{size} values where there are at most {most}")
    return size


def _values(data: Any, count: int, kind: Any) -> np.ndarray:
    """The `count` values of a data set; HDF5 refuses one that has more or fewer, or of another kind."""
    from h5py import h5s

    found = np.empty(count, kind)
    data.read(h5s.create_simple((count,)), h5s.ALL, found)
    return found
