"""The Street View House Numbers data set, format 2: 32×32 crops of single digits in .mat files.

Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images with Unsupervised Feature Learning,
NIPS Workshop on Deep Learning and Unsupervised Feature Learning, 2011.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from svhncli.core.errors import DataError, UsageError
from svhncli.core.files import read_json, write_json
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.formats import mat
from svhncli.data.house_numbers import house_numbers
from svhncli.data.store.arrays import create
from svhncli.data.store.arrays import load as load_part
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Progress, silent
from svhncli.data.store.download import fetch, md5_of

BASE_URL = "http://ufldl.stanford.edu/housenumbers"
FILES = {
    "train": ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
    "test": ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    "extra": ("extra_32x32.mat", "a93ce644f1a588dc4d68dda5feec44a7"),
}
"""Part -> name and md5 of its official file."""

VERSION = 2  # of what the conversion writes, groups included: raised whenever that changes
BLOCK = 1024  # images that are converted at once
LAYOUT = "expected: X uint8 side×side×3×N, and y N×1 with the labels 1-10, where 10 is the digit 0"
SAMPLES = 64  # pieces of a file that tell it from others


@dataclass(frozen=True)
class Source:
    """A .mat file and the md5 that it must have; None for a custom file."""

    path: Path
    md5: str | None


def load(
    root: Path,
    *,
    extra: str = "none",
    check_md5: bool = True,
    download: bool = False,
    val_file: Path | None = None,
    cache: Cache,
    base_url: str = BASE_URL,
    progress: Progress = silent,
) -> DataSet:
    """The official cropped set, or custom files of its layout: X uint8 (H, W, 3, N), y (N, 1), 10 for 0.

    Files are converted once into the cache. They hold no house ids, so groups are derived from the pixels
    that neighbouring crops share (`groups.house_numbers`); groups are distinct over parts and files.

    root: the folder of `train_32x32.mat`, `test_32x32.mat` and, where it is used, `extra_32x32.mat`.
    extra: "none"; "train" appends the extra part to the training part; "val" makes it the validation part.
    check_md5: refuse files other than the official ones; a `val_file` is never checked.
    download: fetch missing files from `base_url` into `root`; only where `check_md5` can vouch for them.
    val_file: a file of the same layout that becomes the validation part.

    Raises:
        DataError: a file is missing, another one than the md5 says, damaged, or of another layout.
        DiskError: the cache or `root` cannot be written.
        UsageError: `extra` is none of the three, or two validation parts are asked for.
    """
    if extra not in ("none", "train", "val"):
        raise UsageError(f"extra is '{extra}'", "it is one of none, train, val")
    if extra == "val" and val_file is not None:
        raise UsageError(
            "two validation parts are asked for: extra=val and a val_file", "leave one of them out"
        )

    def official(part: str) -> Source:
        name, md5 = FILES[part]
        if not (root / name).is_file():
            if not download or not check_md5:  # official files would not belong to files of your own
                raise _missing(root / name, can_fetch=check_md5)
            count = partial(progress, f"download {name}")
            fetch(f"{base_url}/{name}", root / name, md5=md5, progress=count)
        return Source(root / name, md5 if check_md5 else None)

    sources = {"train": [official("train")]}
    if check_md5 or (root / FILES["test"][0]).is_file():  # files of your own may have no test part
        sources["test"] = [official("test")]
    if extra == "train":
        sources["train"].append(official("extra"))
    elif extra == "val":
        sources["val"] = [official("extra")]
    elif val_file is not None:
        _require_file(val_file)
        sources["val"] = [Source(val_file, None)]

    folders = {part: _prepare(cache, part, files, progress) for part, files in sources.items()}
    parts: dict[str, Digits] = {}
    first_group = 0
    for part, folder in folders.items():
        parts[part] = load_part(folder, part, part, first_group)
        first_group = int(parts[part].groups.max()) + 1
        first, size = sources["train"][0].path, parts["train"].shape[2]
        _require_same_size(first, size, sources[part][0].path, parts[part].shape[2])
    return DataSet(
        "svhn", parts["train"], fingerprint(*folders.values()), parts.get("test"), parts.get("val")
    )


def load_file(path: Path, *, cache: Cache, progress: Progress = silent) -> Digits:
    """One .mat file of the layout, by itself.

    Raises:
        DataError: it is missing, damaged or of another layout.
        DiskError: the cache cannot be written.
    """
    _require_file(path)
    return load_part(_prepare(cache, "file", [Source(path, None)], progress), "file", "file")


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"there is no file '{os.path.abspath(path)}'", "look at its path")


def _prepare(cache: Cache, part: str, files: Sequence[Source], progress: Progress) -> Path:
    """The cached folder of a part. The files' md5s are kept beside the arrays, so that each is taken once."""

    def build(folder: Path) -> None:
        found = [md5_of(file.path, partial(progress, f"check {file.path.name}")) for file in files]
        _require_official(files, found)
        _convert([file.path for file in files], folder, part, progress)
        write_json(folder / "md5.json", found)

    key = {"version": VERSION, "files": [_identity(file.path) for file in files]}
    folder = cache.open(f"svhn-{part}", key, build)
    _require_official(files, read_json(folder / "md5.json"))
    return folder


def _convert(paths: Sequence[Path], folder: Path, part: str, progress: Progress) -> None:
    layouts = [_layout(path) for path in paths]
    size = layouts[0][0].shape[0]
    for path, (x, _) in zip(paths, layouts, strict=True):
        _require_same_size(paths[0], size, path, x.shape[0])
    counts = [_images_in(x) for x, _ in layouts]
    images, labels, groups = create(folder, part, sum(counts), (3, size, size))
    start = first_group = 0
    for path, (x, y), n in zip(paths, layouts, counts, strict=True):
        rows = slice(start, start + n)
        labels[rows, 0] = _labels(path, y)
        done = start
        for block in _blocks(path, x):
            images[done : done + len(block)] = block
            done += len(block)
            progress(f"convert {path.name}", done - start, n)
        found = house_numbers(
            images[rows], labels[rows], partial(progress, f"find house numbers in {path.name}")
        )
        groups[rows] = found + first_group
        first_group = int(groups[rows].max()) + 1
        start += n


def pictures(path: Path) -> Iterator[np.ndarray]:
    """The pictures of a .mat file of the layout, in blocks uint8 (B, 3, side, side); it needs no y.

    Raises:
        DataError: it is missing, damaged or of another layout.
    """
    _require_file(path)
    return _blocks(path, _pictures_of(path, mat.variables(path)))


def _blocks(path: Path, x: mat.Variable) -> Iterator[np.ndarray]:
    size = x.shape[0]
    for block in mat.read(path, x, BLOCK * 3 * size * size):
        yield block.reshape(-1, 3, size, size).swapaxes(2, 3)  # the file runs down columns first


def _layout(path: Path) -> tuple[mat.Variable, mat.Variable]:
    """The variables X and y of a file, when they are what they should be."""
    found = mat.variables(path)
    x, y = _pictures_of(path, found), found.get("y")
    if y is None:
        raise _lacks(path, "y", found)
    if y.kind not in mat.NUMBERS or y.shape not in ((_images_in(x), 1), (1, _images_in(x))):
        raise DataError(f"'{path}': {x}, but {y}", LAYOUT)
    return x, y


def _pictures_of(path: Path, found: dict[str, mat.Variable]) -> mat.Variable:
    """The variable X of a file, when it is what it should be."""
    if (x := found.get("X")) is None:
        raise _lacks(path, "X", found)
    square = len(x.shape) in (3, 4) and x.shape[0] == x.shape[1] and x.shape[2] == 3
    if x.kind != "uint8" or not square or 0 in x.shape:
        raise DataError(f"'{path}': {x}", LAYOUT)
    return x


def _lacks(path: Path, name: str, found: dict[str, mat.Variable]) -> DataError:
    held = ", ".join(map(str, found.values())) or "no arrays"
    return DataError(f"'{path}' lacks the variable {name}: it holds {held}", LAYOUT)


def _images_in(x: mat.Variable) -> int:
    return x.shape[3] if len(x.shape) == 4 else 1  # MATLAB drops a last dimension of 1


def _labels(path: Path, y: mat.Variable) -> np.ndarray:
    """Classes int64 (N,): exactly 1-9 stay and 10 becomes 0."""
    values = np.concatenate(list(mat.read(path, y, 1 << 20)))
    wrong = np.flatnonzero(~np.isin(values, np.arange(1, 11)))
    if len(wrong):
        row = wrong[0]
        raise DataError(
            f"'{path}': label {values[row]} in row {row} of y (counted from 0)",
            f"{LAYOUT}; zeros are written as 10",
        )
    return np.where(values == 10, 0, values).astype(np.int64)


def _identity(path: Path) -> list[str | int]:
    """What tells a file's content from another's without reading it all; the same after a move."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            sample = hashlib.sha256()
            for offset in np.linspace(0, max(0, stat.st_size - 4096), SAMPLES).astype(int).tolist():
                file.seek(offset)
                sample.update(file.read(4096))
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "look at its permissions") from error
    return [path.name, stat.st_size, stat.st_mtime_ns, sample.hexdigest()]


def _require_official(files: Sequence[Source], found: Sequence[str]) -> None:
    for file, md5 in zip(files, found, strict=True):
        if file.md5 not in (None, md5):
            raise DataError(
                f"'{file.path}' is not the official file: its md5 is {md5}, not {file.md5}",
                "get it again, or set data.check_md5=false for a custom file of the same layout",
            )


def _require_same_size(first: Path, size: int, other: Path, found: int) -> None:
    if found != size:
        raise DataError(
            f"the pictures are {size}×{size} in '{first}', but {found}×{found} in '{other}'",
            "make all parts of one size",
        )


def _missing(path: Path, can_fetch: bool) -> DataError:
    fetch_it = "data.download=true fetches it, " if can_fetch else ""
    return DataError(
        f"there is no file '{os.path.abspath(path)}'",
        f"{fetch_it}data.root=FOLDER says where it is, or put it there",
    )
