"""Labelled photographs of any size: decoded once, by several processes, into the cache."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from svhncli.core.errors import DataError
from svhncli.core.files import read_json, write_json
from svhncli.core.labels import BLANK
from svhncli.core.processes import available_cpus, in_order
from svhncli.data.dataset import DataSet
from svhncli.data.formats.images import decode
from svhncli.data.framing import Box, Framing
from svhncli.data.store.arrays import create_arrays, shorten
from svhncli.data.store.arrays import load as load_part
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Count, Progress, silent

log = logging.getLogger(__name__)

VERSION = 2
"""Of what is written, part of a cache's key: raised whenever that changes."""

CHUNK = 128
"""Photographs that a process decodes at once, and the most that a killed build does again."""

SHOWN = 3
"""Names of broken pictures in a warning."""

_SMALL = 500
"""Fewer photographs than this are decoded sooner than processes start."""

Wanted = Mapping[str, tuple[DTypeLike, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A file, its number and where its digits are.

    name: for people, with its part, such as train/1.png.
    label: L digits 0-9, from 1 on. boxes: one a digit, or none at all.
    """

    name: str
    path: Path
    label: tuple[int, ...]
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Part:
    """A part of a data set as it lies on disk.

    files: label files, and folders of pictures: what the part consists of.
    read: parses the labels; called only where the pictures are not prepared yet.
    """

    files: tuple[Path, ...]
    read: Callable[[], list[Photograph]]


def load(
    name: str,
    parts: Mapping[str, Part],
    framing: Framing,
    *,
    skip_broken: bool = False,
    cache: Cache,
    progress: Progress = silent,
    workers: int | None = None,
) -> DataSet:
    """The parts "train" and, where they are given, "val" and "test".

    Labels of all parts are padded to the longest number. Every photograph is a group of its own.

    skip_broken: leave out pictures that are missing or cannot be read, with one warning a part.
    workers: processes; None takes every CPU that this process may use.

    Raises:
        DataError: a picture or a label file is missing or damaged, or has no boxes where they are needed.
        DiskError: the cache cannot be written.
    """
    folders = {
        part: _prepare(name, part, files, framing, skip_broken, cache, progress, workers)
        for part, files in parts.items()
    }
    found = {}
    broken: list[str] = []
    first_group = 0
    for part, folder in folders.items():
        found[part] = load_part(folder, part, part, first_group)
        first_group += len(found[part])
        state = read_json(_state_file(folder, part))
        broken += state["names"]
        _say_skipped(part, state)
    longest = max(digits.labels.shape[1] for digits in found.values())
    found = {part: digits.padded(longest) for part, digits in found.items()}
    mark = fingerprint(*folders.values())
    return DataSet(
        name,
        found["train"],
        mark,
        found.get("test"),
        found.get("val"),
        framing=framing,
        broken=tuple(broken),
    )


def _prepare(
    name: str,
    part: str,
    source: Part,
    framing: Framing,
    skip_broken: bool,
    cache: Cache,
    progress: Progress,
    workers: int | None,
) -> Path:
    """The cached folder of a part."""

    def build(folder: Path) -> None:
        photographs = source.read()
        if not photographs:
            raise DataError(
                f"there are no pictures in '{source.files[0]}'", "data.root says where the data is"
            )
        if framing.crop == "boxes":
            _demand_boxes(photographs)
        count = partial(progress, f"decode {name} {part}")
        _fill(folder, part, photographs, framing, skip_broken, count, workers)

    key = {
        "version": VERSION,
        "files": _identity(source.files),
        "framing": asdict(framing),
        "skip_broken": skip_broken,
    }
    return cache.open(f"{name}-{part}", key, build, resumable=True)


def _demand_boxes(photographs: Sequence[Photograph]) -> None:
    for photograph in photographs:
        if not photograph.boxes:
            raise DataError(
                f"'{photograph.path}' has no boxes to cut its number out by",
                "data.crop=whole sees whole photographs; a network that was trained on boxes needs them",
            )


def _identity(paths: Sequence[Path]) -> str:
    """What tells these files from others without reading them, the same after a move."""
    sha = hashlib.sha256()
    try:
        for path in paths:
            for name, stat in sorted(_walk(path)):
                sha.update(f"{name!r} {stat[0]} {stat[1]}\n".encode())
    except OSError as error:
        raise DataError(f"cannot read '{error.filename}': {error.strerror}", "look at its path") from error
    return sha.hexdigest()


def _walk(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each file's name from `path` on, its bytes and its time."""
    if path.is_dir():
        pending = [str(path)]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        with contextlib.suppress(FileNotFoundError):  # a link to nowhere
                            stat = entry.stat()
                            yield os.path.relpath(entry.path, path.parent), (stat.st_size, stat.st_mtime_ns)
    else:
        stat = path.stat()
        yield path.name, (stat.st_size, stat.st_mtime_ns)


# ----------------------------------------------------------------------------- decoding


def _fill(
    folder: Path,
    part: str,
    photographs: Sequence[Photograph],
    framing: Framing,
    skip_broken: bool,
    count: Count,
    workers: int | None,
) -> None:
    """Write a part's arrays, or go on with those that lie there.

    Rows are written in order, so a number of chunks says all about what is done. It is noted only when the
    rows are on disk.
    """
    n, longest = len(photographs), max(len(each.label) for each in photographs)
    width = max(len(_stored_name(each)) for each in photographs)
    wanted: Wanted = {
        "images": (np.uint8, (n, 3, *framing.stored)),
        "labels": (np.int64, (n, longest)),
        "groups": (np.int64, (n,)),
        "boxes": (np.float32, (n, longest, 4)),
        "sizes": (np.int32, (n, 2)),
        "names": (f"S{width}", (n,)),
    }
    jobs = [(photographs[start : start + CHUNK], framing, skip_broken) for start in range(0, n, CHUNK)]
    state, arrays = _begun(folder, part, wanted, len(jobs))
    if workers is None:
        workers = available_cpus() if n >= _SMALL else 1
    with contextlib.closing(in_order(_frame, jobs[state["chunks"] :], workers)) as framed:
        for images, sizes, errors in framed:
            chunk, _, _ = jobs[state["chunks"]]
            kept = [each for each, error in zip(chunk, errors, strict=True) if error is None]
            _write(arrays, state["rows"], kept, images, sizes)
            for array in arrays.values():
                array.flush()  # type: ignore[attr-defined]
            broken = [each.name for each, error in zip(chunk, errors, strict=True) if error is not None]
            first = next((error for error in errors if error is not None), None)
            state = {
                "chunks": state["chunks"] + 1,
                "rows": state["rows"] + len(kept),
                "broken": state["broken"] + len(broken),
                "names": state["names"] + broken,
                "reason": state["reason"] or first,
            }
            write_json(_state_file(folder, part), state)
            count(state["rows"] + state["broken"], n)
    if not state["rows"]:
        raise DataError(
            f"none of {n:,} pictures can be read; the first: {state['reason']}", "look at data.root"
        )
    del arrays
    if state["rows"] < n:
        for name in wanted:
            shorten(folder / f"{part}_{name}.npy", state["rows"])


def _begun(
    folder: Path, part: str, wanted: Wanted, chunks: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """How far a part is, and its arrays: those that a killed process left, or new ones."""
    try:
        state = read_json(_state_file(folder, part))
        arrays = {name: np.load(folder / f"{part}_{name}.npy", mmap_mode="r+") for name in wanted}
    except (OSError, ValueError):
        arrays = {}
    whole = arrays and all(
        arrays[name].dtype == np.dtype(kind)
        and arrays[name].shape[1:] == dims[1:]
        and (len(arrays[name]) == dims[0] or state["chunks"] == chunks)  # shortened when all was done
        for name, (kind, dims) in wanted.items()
    )
    if whole:
        return state, arrays
    arrays = create_arrays(folder, part, wanted)
    state = {"chunks": 0, "rows": 0, "broken": 0, "names": [], "reason": None}
    write_json(_state_file(folder, part), state)
    return state, arrays


def _write(
    arrays: Mapping[str, np.ndarray],
    start: int,
    photographs: Sequence[Photograph],
    images: np.ndarray,
    sizes: np.ndarray,
) -> None:
    rows = slice(start, start + len(photographs))
    arrays["images"][rows] = images
    arrays["sizes"][rows] = sizes
    arrays["groups"][rows] = np.arange(rows.start, rows.stop)
    arrays["labels"][rows] = BLANK
    arrays["boxes"][rows] = np.nan
    for row, photograph in enumerate(photographs, start):
        arrays["names"][row] = _stored_name(photograph)
        arrays["labels"][row, : len(photograph.label)] = photograph.label
        if photograph.boxes:
            arrays["boxes"][row, : len(photograph.boxes)] = photograph.boxes


def _frame(
    job: tuple[Sequence[Photograph], Framing, bool],
) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """K photographs as those k stored pictures that can be read, uint8 (k, 3, H, W), the photographs' widths
    and heights (k, 2), and K times None or what is wrong."""
    photographs, framing, skip_broken = job
    images, sizes = [], []
    errors: list[str | None] = []
    for photograph in photographs:
        found = _read(photograph, framing)
        if not isinstance(found, DataError):
            images.append(found[0])
            sizes.append(found[1])
            errors.append(None)
        elif skip_broken:
            errors.append(found.message)
        else:
            raise found
    stored = np.stack(images) if images else np.empty((0, 3, *framing.stored), np.uint8)
    return stored, np.array(sizes, np.int32).reshape(-1, 2), errors


def _read(photograph: Photograph, framing: Framing) -> tuple[np.ndarray, tuple[int, int]] | DataError:
    """The stored picture, uint8 (3, H, W), and the photograph's width and height; or what is wrong."""
    leave_out = "data.skip_broken=true leaves out all such pictures"
    try:
        picture = decode(photograph.path)
        return framing.store(picture, photograph.boxes), picture.size
    except DataError as error:
        return DataError(error.message, f"{error.hint}; {leave_out}")
    except ValueError as error:
        return DataError(f"'{photograph.path}': {error}", leave_out)


def _stored_name(photograph: Photograph) -> bytes:
    return photograph.name.encode("utf-8", "backslashreplace")


def _state_file(folder: Path, part: str) -> Path:
    return folder / f"{part}_state.json"


def _say_skipped(part: str, state: Mapping[str, Any]) -> None:
    if broken := state["broken"]:
        names = ", ".join(state["names"][:SHOWN]) + (", …" if broken > SHOWN else "")
        log.warning(
            "%s of %s pictures of the %s part cannot be read and are left out: %s",
            f"{broken:,}",
            f"{broken + state['rows']:,}",
            part,
            names,
        )
