"""The arrays of a prepared part: memory-mapped files, filled once, then opened as `Digits`."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svhncli.data.digits import Digits, NumberedNames, StoredNames
from svhncli.data.store.disk import no_space, require_space


def create(
    folder: Path, part: str, n: int, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """New memory-mapped files for a part of N single digits of `shape` (C, H, W), to be filled.

    Returns images uint8 (N, C, H, W), labels int64 (N, 1) and groups int64 (N,).

    Raises:
        DiskError: there is no space for them.
    """
    wanted = {"images": (np.uint8, (n, *shape)), "labels": (np.int64, (n, 1)), "groups": (np.int64, (n,))}
    made = create_arrays(folder, part, wanted)
    return made["images"], made["labels"], made["groups"]


def create_arrays(
    folder: Path, part: str, wanted: Mapping[str, tuple[DTypeLike, tuple[int, ...]]]
) -> dict[str, np.memmap[Any, Any]]:
    """New memory-mapped files of a part, `{part}_{name}.npy`, by name; `load` says which names it reads.

    wanted: name -> dtype and shape.

    Raises:
        DiskError: there is no space for them.
    """
    size = sum(math.prod(dims) * np.dtype(kind).itemsize for kind, dims in wanted.values())
    require_space(folder.parent, size)
    arrays: dict[str, np.memmap[Any, Any]] = {}
    for name, (kind, dims) in wanted.items():
        path = folder / f"{part}_{name}.npy"
        arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=dims)
        try:
            _allocate(path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise no_space(folder.parent, size) from error
    return arrays


def shorten(path: Path, n: int) -> None:
    """Keep the first n rows of an array's file, in place."""
    array = np.load(path, mmap_mode="r")
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (n, *array.shape[1:])}
    with path.open("r+b") as file:
        np.lib.format.write_array_header_1_0(file, header)  # padded, so its length does not change
        file.truncate(file.tell() + n * array[:1].nbytes)


def load(folder: Path, part: str, prefix: str, first_group: int = 0) -> Digits:
    """A part of a prepared data set: images and names are memory-mapped, the rest is read into memory.

    Reads `images`, `labels`, `groups` and, where they exist, `names`, `boxes` and `sizes`.

    prefix: names are `prefix/0`, `prefix/1`, … if the part has none of its own.
    first_group: added to the groups, so that those of several parts are distinct.
    """

    def optional(name: str) -> np.ndarray | None:
        path = folder / f"{part}_{name}.npy"
        return np.load(path) if path.exists() else None

    images = np.load(folder / f"{part}_images.npy", mmap_mode="r")
    labels = np.load(folder / f"{part}_labels.npy")
    groups = np.load(folder / f"{part}_groups.npy") + first_group
    stored = folder / f"{part}_names.npy"
    names = (
        StoredNames(np.load(stored, mmap_mode="r")) if stored.exists() else NumberedNames(prefix, len(images))
    )
    return Digits(images, labels, groups, names, optional("boxes"), optional("sizes"))


def load_parts(folders: Mapping[str, Path]) -> dict[str, Digits]:
    """The prepared parts of a data set, each from its own folder, by name.

    Their groups are distinct, and their labels padded to the longest number of all parts, and to two
    positions where any image shows none.
    """
    parts: dict[str, Digits] = {}
    first_group = 0
    for name, folder in folders.items():
        parts[name] = load(folder, name, name, first_group)
        first_group = int(parts[name].groups.max()) + 1
    longest = max(digits.labels.shape[1] for digits in parts.values())
    if any(digits.is_blank.any() for digits in parts.values()):
        longest = max(longest, 2)
    return {name: digits.padded(longest) for name, digits in parts.items()}


def _allocate(path: Path) -> None:
    """Reserve the file's blocks: writing to a map on a disk that is full kills the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
