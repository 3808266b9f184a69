"""Images and labels in array files of other tools: .npz, pairs of .npy, HDF5, .mat of any version."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.core.errors import DataError
from svhncli.core.files import read_json, write_json
from svhncli.core.text import some
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.formats import array_file, array_images, array_labels
from svhncli.data.formats.array_file import StoredArray
from svhncli.data.formats.array_pairs import Pair, choose
from svhncli.data.formats.part_names import PART, part_name
from svhncli.data.house_numbers import inferred
from svhncli.data.sources.nested import inner, visible
from svhncli.data.sources.recognize import not_here
from svhncli.data.store.arrays import create_arrays, load_parts
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Progress, silent
from svhncli.data.store.identity import identity

VERSION = 1  # of what the conversion writes: raised whenever that changes
BLOCK = 1024  # images converted at once


def load(
    root: Path,
    *,
    images: str | None = None,
    labels: str | None = None,
    test_only: bool = False,
    cache: Cache,
    progress: Progress = silent,
) -> DataSet:
    """The arrays in a file, or in the files of a folder and of its folders train, test and val.

    An array belongs to the part whose name is in its own, or in its file's or folder's; to the training part
    without any. Of a part's arrays, images and labels are recognized by their shapes, then by their names.

    images, labels: words in the names of the arrays to use, where that does not decide.
    test_only: load nothing but the test part, if there is one.

    Raises:
        DataError: no arrays that are images and labels, several, or values that are neither.
        DiskError: the cache cannot be written.
    """
    root, files, others = _files(root)
    arrays = [array for file in files for array in array_file.arrays_in(file)]
    by_part: dict[str, list[StoredArray]] = {}
    for array in arrays:
        by_part.setdefault(_part_of(array, root), []).append(array)
    if "train" not in by_part and "" in by_part:
        by_part["train"] = by_part.pop("")
    parts: dict[str, Pair] = {
        name: pair
        for name in ("train", "test", "val")
        if name in by_part and (pair := choose(by_part[name], name, images, labels)) is not None
    }
    if "train" not in parts:
        if not arrays:
            listed = some([f"'{file}'" for file in files])
            raise DataError(
                f"'{root}' has no arrays of a training part: there are none in {listed}",
                "the files may be damaged: get them again",
            )
        held = "; ".join(_where(array, root) for array in arrays)
        raise DataError(f"'{root}' has no arrays of a training part", f"it holds {held}")
    used = {array for part in parts.values() for array in (part.images, part.labels, part.groups)}
    unread = [*others, *(_where(array, root) for array in arrays if array not in used)]

    key: dict[str, Any] = {"version": VERSION, "files": identity(files), "images": images, "labels": labels}
    rules = cache.open("arrays-rules", key, partial(_decide, parts))
    facts = read_json(rules / "rules.json")
    wanted = ["test"] if test_only and "test" in parts else list(parts)
    folders = {
        name: cache.open(
            f"arrays-{name}", key | {"part": name}, partial(_convert, parts[name], name, facts, progress)
        )
        for name in wanted
    }
    loaded = load_parts(folders)
    _require_same_size(parts, loaded)
    scale, written = array_images.Scale(**facts["scale"]), array_labels.Convention(**facts["labels"])
    shown = parts[wanted[0]]
    read = [f"images {shown.images} as {shown.axes}, {scale}", f"labels {shown.labels}", str(written)]
    return DataSet.of_parts(
        "arrays", loaded, fingerprint(*folders.values()), read=tuple(filter(None, read)), unread=tuple(unread)
    )


# ----------------------------------------------------------------------------- which arrays


def _files(root: Path) -> tuple[Path, list[Path], list[str]]:
    """The folder that holds the array files, these files, and the names of whatever else lies there.

    A .npy stands for its folder, since its labels are in another one.
    """
    if root.is_file() and root.suffix.lower() in array_file.SUFFIXES and root.suffix.lower() != ".npy":
        return root.parent, [root], []
    folder = inner(root.parent if root.is_file() else root, _holds_arrays)
    files: list[Path] = []
    others: list[str] = []
    for path in visible(folder):
        if path.is_file() and path.suffix.lower() in array_file.SUFFIXES:
            files.append(path)
        elif path.is_dir() and PART.fullmatch(path.name) and _holds_arrays(path):
            for inside in visible(path):
                if inside.suffix.lower() in array_file.SUFFIXES:
                    files.append(inside)
                else:
                    others.append(f"{path.name}/{inside.name}")
        else:
            others.append(path.name)
    if not files:
        raise not_here(
            f"there are no array files ({', '.join(array_file.SUFFIXES)}) in '{os.path.abspath(root)}'",
            root,
            "arrays",
            "set data.root to such a file or its folder",
        )
    return folder, files, others


def _holds_arrays(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    inside = visible(folder)
    if any(path.is_dir() and PART.fullmatch(path.name) and _holds_arrays(path) for path in inside):
        return True
    return any(path.suffix.lower() in array_file.SUFFIXES for path in inside)


def _part_of(array: StoredArray, root: Path) -> str:
    """The part by the array's name, else by that of its file or of its folder; "" without any."""
    names = (array.name, array.file.stem, *array.file.relative_to(root).parent.parts)
    return next(filter(None, map(part_name, names)), "")


def _require_same_size(parts: dict[str, Pair], loaded: dict[str, Digits]) -> None:
    first = next(iter(loaded))
    for name, digits in loaded.items():
        if digits.shape != loaded[first].shape:
            raise DataError(
                f"the images of {parts[first].images} and {parts[name].images} have different sizes",
                "make all parts the same size",
            )


def _where(array: StoredArray, root: Path) -> str:
    return f"{array.file.relative_to(root)}: {array}"


# ----------------------------------------------------------------------------- conversion


def _decide(parts: dict[str, Pair], folder: Path) -> None:
    """Write the rules that hold for all parts: which values are black and white, how labels are written."""
    named = [(str(part.images), part.images.read()) for part in parts.values()]
    written = [array_labels.integers(part.labels.read(), _of(part.labels)) for part in parts.values()]
    width = max(labels.shape[1] for labels in written)
    together = np.concatenate(
        [np.pad(labels, ((0, 0), (0, width - labels.shape[1])), constant_values=-1) for labels in written]
    )
    rule = array_labels.convention(together, " and ".join(_of(part.labels) for part in parts.values()))
    write_json(folder / "rules.json", {"scale": asdict(array_images.scale(named)), "labels": asdict(rule)})


def _of(array: StoredArray) -> str:
    return f"'{array.file}', {array.name}"


def _convert(part: Pair, name: str, facts: dict[str, Any], progress: Progress, folder: Path) -> None:
    scale = array_images.Scale(**facts["scale"])
    written = array_labels.integers(part.labels.read(), _of(part.labels))
    digits = array_labels.read(written, array_labels.Convention(**facts["labels"]))
    pixels = array_images.as_nchw(part.images.read(), part.axes)
    n, _, height, width = pixels.shape
    made = create_arrays(
        folder,
        name,
        {
            "images": (np.uint8, (n, 3, height, width)),
            "labels": (np.int64, digits.shape),
            "groups": (np.int64, (n,)),
        },
    )
    made["labels"][:] = digits
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        made["images"][rows] = scale.apply(pixels[rows])
        progress(f"convert {part.images.name}", min(start + BLOCK, n), n)
    made["groups"][:] = _groups(part, made["images"], digits, progress)


def _groups(part: Pair, images: np.ndarray, digits: np.ndarray, progress: Progress) -> np.ndarray:
    """Those of an array, or the house numbers of single digits that seem to be SVHN's crops in order."""
    if part.groups is not None:
        return np.unique(part.groups.read(), return_inverse=True)[1].ravel()
    if digits.shape[1] == 1:
        return inferred(images, digits, partial(progress, f"find house numbers in {part.images.name}"))
    return np.arange(len(images))
