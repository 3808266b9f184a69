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
from svhncli.data.formats import cropped_mat
from svhncli.data.formats.cropped_mat import require_file
from svhncli.data.house_numbers import house_numbers
from svhncli.data.sources.nested import inner, visible
from svhncli.data.sources.recognize import not_here
from svhncli.data.store.arrays import create, load_parts
from svhncli.data.store.arrays import load as load_part
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Progress, silent
from svhncli.data.store.download import fetch, md5_of

FILES = {
    "train": ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
    "test": ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    "extra": ("extra_32x32.mat", "a93ce644f1a588dc4d68dda5feec44a7"),
}
"""Part -> name and md5 of its official file."""
_NAMES = [name for name, _ in FILES.values()]

VERSION = 2  # of what the conversion writes, groups included: raised whenever that changes
SAMPLES = 64  # pieces of a file that identify it


@dataclass(frozen=True)
class MatFile:
    """A .mat file and the md5 that it must have, None for a custom file."""

    path: Path
    md5: str | None


def load(
    root: Path,
    *,
    extra: str = "none",
    check_md5: bool = True,
    download: bool = False,
    val_file: Path | None = None,
    test_only: bool = False,
    cache: Cache,
    urls: Sequence[str] = (),
    progress: Progress = silent,
) -> DataSet:
    """The official cropped set, or custom files in its layout: X uint8 (H, W, 3, N), y (N, 1), 10 for 0.

    Files are converted once, into the cache. They hold no house ids, so groups are derived from the pixels
    that neighboring crops share (`house_numbers`); groups are distinct across parts and files.

    root: the folder of `train_32x32.mat`, `test_32x32.mat` and, where it is used, `extra_32x32.mat`, or a
        folder that holds it; or a .mat file of your own, which is the training part alone.
    extra: "none"; "train" appends the extra part to the training part; "val" makes it the validation part.
    check_md5: refuse files other than the official ones; a `val_file` is never checked.
    download: fetch missing files into `root`, but only if `check_md5` verifies them.
    val_file: a file in the same layout that becomes the validation part.
    test_only: load nothing but the test part, if there is one.
    urls: the folders to fetch from, tried in order.

    Raises:
        DataError: a file is missing, has the wrong md5, is damaged, or has another layout.
        DiskError: the cache or `root` cannot be written.
        UsageError: `extra` is something else, or two validation parts are requested.
    """
    if extra not in ("none", "train", "val"):
        raise UsageError(f"extra is '{extra}'", "choose none, train or val")
    if extra == "val" and val_file is not None:
        raise UsageError("two validation parts are requested: extra=val and val_file", "drop one of them")

    own = root if root.is_file() and root.name not in _NAMES else None
    if own is not None and own.suffix.lower() != ".mat":
        raise not_here(
            f"'{own}' is not a .mat file", own, "svhn", "data.root is the folder of the .mat files"
        )
    root = inner(root.parent if root.is_file() else root, _holds_official)

    def official(part: str) -> MatFile:
        name, md5 = FILES[part]
        can_fetch = download and check_md5  # official files do not belong with your own
        if not (root / name).is_file() and not can_fetch:
            raise _missing(root, name, can_fetch=check_md5)
        return MatFile(root / name, md5 if check_md5 else None)

    has_test = check_md5 or (root / FILES["test"][0]).is_file()  # your own files may lack a test part
    if own is not None:
        sources = {"train": [MatFile(own, None)]}
    elif test_only and has_test:
        sources = {"test": [official("test")]}
    else:
        sources = {"train": [official("train")]} | ({"test": [official("test")]} if has_test else {})
        if extra == "train":
            sources["train"].append(official("extra"))
        elif extra == "val":
            sources["val"] = [official("extra")]
        elif val_file is not None:
            require_file(val_file)
            sources["val"] = [MatFile(val_file, None)]

    folders: dict[str, Path] = {}
    for part, files in sources.items():
        for file in files:  # only now that the training part, if it was there, is known to be official
            if not file.path.is_file():
                count = partial(progress, f"download {file.path.name}")
                fetch(urls, file.path, md5=file.md5, progress=count)
        folders[part] = _prepare(cache, part, files, progress)
    parts = load_parts(folders)
    first = next(iter(parts))
    for part in parts:
        _require_same_size(
            sources[first][0].path, parts[first].shape[2], sources[part][0].path, parts[part].shape[2]
        )
    unread = () if own else _unread(root, {file.path for files in sources.values() for file in files})
    return DataSet.of_parts("svhn", parts, fingerprint(*folders.values()), unread=tuple(unread))


def _holds_official(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _NAMES)


def _unread(root: Path, used: set[Path]) -> Iterator[str]:
    """What lies beside the files, the extra part with the key that uses it."""
    for path in visible(root):
        if path not in used and path.name not in (FILES["train"][0], FILES["test"][0]):
            is_extra = path.name == FILES["extra"][0]
            yield f"{path.name} (data.extra=train or val uses it)" if is_extra else path.name


def load_file(path: Path, *, cache: Cache, progress: Progress = silent) -> Digits:
    """A single .mat file in this layout.

    Raises:
        DataError: it is missing, damaged or in another layout.
        DiskError: the cache cannot be written.
    """
    require_file(path)
    return load_part(_prepare(cache, "file", [MatFile(path, None)], progress), "file", "file")


def _prepare(cache: Cache, part: str, files: Sequence[MatFile], progress: Progress) -> Path:
    """The cached folder of a part. The files' md5s are kept beside the arrays, so each is computed once."""

    def build(folder: Path) -> None:
        md5s = [md5_of(file.path, partial(progress, f"check {file.path.name}")) for file in files]
        _require_official(files, md5s)
        _convert([file.path for file in files], folder, part, progress)
        write_json(folder / "md5.json", md5s)

    key = {"version": VERSION, "files": [_identity(file.path) for file in files]}
    folder = cache.open(f"svhn-{part}", key, build)
    _require_official(files, read_json(folder / "md5.json"))
    return folder


def _convert(paths: Sequence[Path], folder: Path, part: str, progress: Progress) -> None:
    files = [cropped_mat.describe(path) for path in paths]
    side = files[0].side
    for file in files:
        _require_same_size(paths[0], side, file.path, file.side)
    images, labels, groups = create(folder, part, sum(map(len, files)), (3, side, side))
    start = first_group = 0
    for file in files:
        rows = slice(start, start + len(file))
        labels[rows, 0] = file.labels()
        done = start
        for block in file.blocks():
            images[done : done + len(block)] = block
            done += len(block)
            progress(f"convert {file.path.name}", done - start, len(file))
        numbers = house_numbers(
            images[rows], labels[rows], partial(progress, f"find house numbers in {file.path.name}")
        )
        groups[rows] = numbers + first_group
        first_group = int(groups[rows].max()) + 1
        start = rows.stop


def _identity(path: Path) -> list[str | int]:
    """Identifies a file's content without reading all of it; unchanged when the file is moved."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            sample = hashlib.sha256()
            for offset in np.linspace(0, max(0, stat.st_size - 4096), SAMPLES).astype(int).tolist():
                file.seek(offset)
                sample.update(file.read(4096))
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error
    return [path.name, stat.st_size, stat.st_mtime_ns, sample.hexdigest()]


def _require_official(files: Sequence[MatFile], md5s: Sequence[str]) -> None:
    for file, md5 in zip(files, md5s, strict=True):
        if file.md5 not in (None, md5):
            raise DataError(
                f"'{file.path}' is not the official file: its md5 is {md5}, not {file.md5}",
                "get it again, or set data.check_md5=false for a custom file in the same layout",
            )


def _require_same_size(first: Path, side: int, other: Path, other_side: int) -> None:
    if other_side != side:
        raise DataError(
            f"the images are {side}×{side} in '{first}', but {other_side}×{other_side} in '{other}'",
            "make all parts the same size",
        )


def _missing(root: Path, name: str, can_fetch: bool) -> DataError:
    fetch_it = "set data.download=true to fetch it, " if can_fetch else ""
    return not_here(
        f"there is no file '{os.path.abspath(root / name)}'",
        root,
        "svhn",
        f"{fetch_it}set data.root=FOLDER to its folder, or put it there",
    )
