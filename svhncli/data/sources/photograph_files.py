"""Labeled photographs of any size: decoded once into the cache, by several processes."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from svhncli.core.errors import DataError
from svhncli.core.files import read_json, write_json
from svhncli.core.labels import BLANK
from svhncli.core.processes import AHEAD, CrashError, available_cpus, each_apart, in_order
from svhncli.core.text import printable
from svhncli.data.dataset import DataSet
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import blank_windows, white
from svhncli.data.store.arrays import create_arrays, load_parts, shorten
from svhncli.data.store.cache import Cache, fingerprint
from svhncli.data.store.disk import Count, Progress, silent
from svhncli.data.store.identity import identity

log = logging.getLogger(__name__)

VERSION = 2
"""Part of a cache's key: increased whenever what is written changes."""

WHITE = "white.json"

CHUNK = 128
"""Photographs that a process decodes at once, and the most that a resumed build repeats."""

SHOWN = 3
"""Names of broken images that a warning lists."""

_SMALL = 500
"""Fewer photographs than this are decoded by one process, in threads, before several have started."""

LEAVE_OUT = "set data.skip_broken=true to leave out all such images"

FrameJob = tuple[Sequence[PhotographFile], Framing, bool]
"""Photographs, how they are framed, and whether those that cannot be read are left out."""
Framed = tuple[np.ndarray, np.ndarray, list[str | None]]
"""The k of K photographs that can be read as stored images, uint8 (k, 3, H, W), their widths and heights
(k, 2), and an error message or None for each of the K."""
Read = tuple[np.ndarray, tuple[int, int]]
"""A stored image, uint8 (3, H, W), and the photograph's width and height."""

ArrayTypes = Mapping[str, tuple[DTypeLike, tuple[int, ...]]]


@dataclass(frozen=True)
class PhotographPart:
    """A part of a data set as it lies on disk.

    files: the label files and folders of images that make up the part.
    read: parses the labels; called only if the images are not prepared yet.
    selection: what decides, besides the files, which images these are.
    listed: the file that names all images, where there is one.
    """

    files: tuple[Path, ...]
    read: Callable[[], list[PhotographFile]]
    selection: Mapping[str, Any] = field(default_factory=dict)
    listed: Path | None = None


def load(
    name: str,
    parts: Mapping[str, PhotographPart],
    framing: Framing,
    *,
    skip_broken: bool = False,
    blank: float = 0.0,
    backgrounds: bool = False,
    unread: Sequence[str] = (),
    cache: Cache,
    progress: Progress = silent,
    workers: int | None = None,
) -> DataSet:
    """The parts "train" and, if given, "val" and "test"; or "test" alone.

    Labels of all parts are padded to the longest number. If the framing has no scale for deep images, it gets
    the one of the training part.

    skip_broken: leave out images that are missing or cannot be read, with one warning per part.
    blank: how many windows without a number are added to each part, as a fraction of its numbers.
    backgrounds: whether `parts` also read images whose labels name no digit.
    unread: what lies beside the images, for people to read.
    workers: processes that decode, at least one beside this; None takes every CPU that this process may use.

    Raises:
        DataError: an image or a label file is missing or damaged, or lacks boxes that are needed.
        DiskError: the cache cannot be written.
    """
    parts = {part: replace(source, read=functools.cache(source.read)) for part, source in parts.items()}
    if backgrounds:
        parts = {part: _selected(source, {"backgrounds": True}) for part, source in parts.items()}
    if framing.white is None and "train" in parts:
        framing = replace(framing, white=_white(name, parts["train"], cache))
    if blank:
        parts = {part: _with_windows(source, blank) for part, source in parts.items()}
    folders = {
        part: _prepare(name, part, files, framing, skip_broken, cache, progress, workers)
        for part, files in parts.items()
    }
    broken: list[str] = []
    for part, folder in folders.items():
        state = read_json(_state_file(folder, part))
        broken += state["names"]
        _warn_skipped(part, state)
    loaded = load_parts(folders)
    mark = fingerprint(*folders.values())
    data = DataSet.of_parts(name, loaded, mark, framing=framing, broken=tuple(broken), unread=tuple(unread))
    lacking = [blank_windows.shortage(part, digits, blank) for part, digits in loaded.items() if blank]
    return replace(
        data,
        originals={part: source.read for part, source in parts.items()},
        lacking=tuple(filter(None, lacking)),
    )


def _selected(source: PhotographPart, selection: Mapping[str, Any]) -> PhotographPart:
    return replace(source, selection={**source.selection, **selection})


def _with_windows(source: PhotographPart, blank: float) -> PhotographPart:
    read = functools.cache(lambda: blank_windows.with_windows(source.read(), blank))
    return _selected(replace(source, read=read), {"blank": blank})


def _white(name: str, train: PhotographPart, cache: Cache) -> float | None:
    """The value that is white in the deep images of the training part, measured once; see `white.measure`."""

    def build(folder: Path) -> None:
        write_json(folder / WHITE, {"white": white.measure(train.read())})

    key = {"version": VERSION, "files": identity(train.files), **train.selection}
    return cast("float | None", read_json(cache.open(f"{name}-white", key, build) / WHITE)["white"])


def _prepare(
    name: str,
    part: str,
    source: PhotographPart,
    framing: Framing,
    skip_broken: bool,
    cache: Cache,
    progress: Progress,
    workers: int | None,
) -> Path:
    """The cached folder of a part."""

    def build(folder: Path) -> None:
        photographs = source.read()
        if not any(photograph.label for photograph in photographs):
            raise DataError(
                f"there are no labeled images in '{source.listed or os.path.commonpath(source.files)}'",
                f"set data.root to the folder that holds them; images end in {', '.join(SUFFIXES)}",
            )
        if framing.crop == "boxes":
            _require_boxes(photographs)
        count = partial(progress, f"decode {name} {part}")
        _fill(folder, part, photographs, framing, skip_broken, count, workers)

    key = {
        "version": VERSION,
        "files": identity(source.files),
        "framing": framing.key,
        "skip_broken": skip_broken,
        **source.selection,
    }
    return cache.open(f"{name}-{part}", key, build, resumable=True)


def _require_boxes(photographs: Sequence[PhotographFile]) -> None:
    for photograph in photographs:
        if photograph.label and not photograph.boxes:
            raise DataError(
                f"'{photograph.path}'{photograph.origin} has no boxes to crop its number by",
                "set data.crop=whole to use whole photographs; a network trained on boxes needs them",
            )


# ----------------------------------------------------------------------------- decoding


def _fill(
    folder: Path,
    part: str,
    photographs: Sequence[PhotographFile],
    framing: Framing,
    skip_broken: bool,
    count: Count,
    workers: int | None,
) -> None:
    """Write a part's arrays, or continue with those that exist.

    Rows are written in order, so the number of chunks describes the progress. It is saved only when the rows
    are on disk.
    """
    n, longest = len(photographs), max(len(photograph.label) for photograph in photographs)
    width = max(len(_stored_name(photograph)) for photograph in photographs)
    wanted: ArrayTypes = {
        "images": (np.uint8, (n, 3, *framing.stored)),
        "labels": (np.int64, (n, longest)),
        "groups": (np.int64, (n,)),
        "boxes": (np.float32, (n, longest, 4)),
        "sizes": (np.int32, (n, 2)),
        "names": (f"S{width}", (n,)),
    }
    numbers = _group_numbers(photographs)
    jobs = [(photographs[start : start + CHUNK], framing, skip_broken) for start in range(0, n, CHUNK)]
    state, arrays = _begun(folder, part, wanted, len(jobs))
    if workers is None:
        workers = available_cpus() if n >= _SMALL else 1
    with contextlib.closing(_framed(jobs[state["chunks"] :], workers)) as framed:
        for images, sizes, errors in framed:
            chunk, _, _ = jobs[state["chunks"]]
            kept = [photograph for photograph, error in zip(chunk, errors, strict=True) if error is None]
            groups = [numbers[photograph.name] for photograph in kept]
            _write(arrays, state["rows"], kept, groups, images, sizes)
            for array in arrays.values():
                array.flush()
            broken = [
                photograph.name for photograph, error in zip(chunk, errors, strict=True) if error is not None
            ]
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
        raise DataError(f"none of {n:,} images can be read; the first: {state['reason']}", "check data.root")
    del arrays
    if state["rows"] < n:
        for name in wanted:
            shorten(folder / f"{part}_{name}.npy", state["rows"])


def _group_numbers(photographs: Sequence[PhotographFile]) -> dict[str, int]:
    """Name of a photograph -> number of its group: the place of the group's first photograph."""
    first: dict[str, int] = {}
    return {
        photograph.name: first.setdefault(photograph.group, place) if photograph.group else place
        for place, photograph in enumerate(photographs)
    }


def _begun(
    folder: Path, part: str, wanted: ArrayTypes, chunks: int
) -> tuple[dict[str, Any], dict[str, np.memmap[Any, Any]]]:
    """A part's progress, and its arrays: those that a killed process left, or new ones."""
    try:
        state = read_json(_state_file(folder, part))
        arrays = {name: np.load(folder / f"{part}_{name}.npy", mmap_mode="r+") for name in wanted}
    except (OSError, ValueError):
        arrays = {}
    complete = arrays and all(
        arrays[name].dtype == np.dtype(kind)
        and arrays[name].shape[1:] == dims[1:]
        and (len(arrays[name]) == dims[0] or state["chunks"] == chunks)  # shortened at the end
        for name, (kind, dims) in wanted.items()
    )
    if complete:
        return state, arrays
    arrays = create_arrays(folder, part, wanted)
    state = {"chunks": 0, "rows": 0, "broken": 0, "names": [], "reason": None}
    write_json(_state_file(folder, part), state)
    return state, arrays


def _write(
    arrays: Mapping[str, np.ndarray],
    start: int,
    photographs: Sequence[PhotographFile],
    groups: Sequence[int],
    images: np.ndarray,
    sizes: np.ndarray,
) -> None:
    rows = slice(start, start + len(photographs))
    arrays["images"][rows] = images
    arrays["sizes"][rows] = sizes
    arrays["groups"][rows] = groups
    arrays["labels"][rows] = BLANK
    arrays["boxes"][rows] = np.nan
    for row, photograph in enumerate(photographs, start):
        arrays["names"][row] = _stored_name(photograph)
        arrays["labels"][row, : len(photograph.label)] = photograph.label
        if photograph.boxes:
            width, height = sizes[row - start].tolist()
            arrays["boxes"][row, : len(photograph.boxes)] = photograph.boxes_in(width, height)


def _framed(jobs: Sequence[FrameJob], workers: int) -> Generator[Framed, None, None]:
    """`_frame` for every job, in other processes: an image may crash its decoder."""
    done = 0
    while len(jobs) - done > 1 and workers > 1:  # in_order does a single one in this process
        with (
            contextlib.suppress(CrashError),
            contextlib.closing(in_order(_frame, jobs[done:], workers)) as framed,
        ):
            for result in framed:
                done += 1
                yield result
        for job in jobs[done : done + AHEAD * workers]:  # one of those that were ahead crashed
            done += 1
            images = _read_apart(job)
            yield _stacked(job, images)
            if any(isinstance(image, CrashError) for image in images):
                break
    for job in jobs[done:]:
        yield _stacked(job, _read_apart(job))


def _read_apart(job: FrameJob) -> list[Read | DataError | CrashError]:
    photographs, framing, _ = job
    return list(each_apart(_read, photographs, framing))


def _frame(job: FrameJob) -> Framed:
    photographs, framing, _ = job
    return _stacked(job, [_read(photograph, framing) for photograph in photographs])


def _stacked(job: FrameJob, results: Sequence[Read | DataError | CrashError]) -> Framed:
    photographs, framing, skip_broken = job
    images, sizes = [], []
    errors: list[str | None] = []
    for photograph, read in zip(photographs, results, strict=True):
        result = _unreadable(photograph.crashed(read)) if isinstance(read, CrashError) else read
        if not isinstance(result, DataError):
            images.append(result[0])
            sizes.append(result[1])
            errors.append(None)
        elif skip_broken:
            errors.append(result.message)
        else:
            raise result
    stored = np.stack(images) if images else np.empty((0, 3, *framing.stored), np.uint8)
    return stored, np.array(sizes, np.int32).reshape(-1, 2), errors


def _read(photograph: PhotographFile, framing: Framing) -> Read | DataError:
    try:
        image = photograph.image(framing.white)
        boxes = photograph.boxes_in(*image.size) if photograph.label else None
        return framing.store(image, boxes), image.size
    except DataError as error:
        return _unreadable(error)
    except ValueError as error:
        return DataError(f"'{photograph.path}'{photograph.origin}: {error}", LEAVE_OUT)


def _unreadable(error: DataError) -> DataError:
    return DataError(error.message, f"{error.hint}; {LEAVE_OUT}")


def _stored_name(photograph: PhotographFile) -> bytes:
    return photograph.name.encode("utf-8", "backslashreplace")


def _state_file(folder: Path, part: str) -> Path:
    return folder / f"{part}_state.json"


def _warn_skipped(part: str, state: Mapping[str, Any]) -> None:
    if broken := state["broken"]:
        names = ", ".join(state["names"][:SHOWN]) + (", …" if broken > SHOWN else "")
        log.warning(
            "%s of %s images of the %s part cannot be read and are left out: %s",
            f"{broken:,}",
            f"{broken + state['rows']:,}",
            part,
            printable(names),
        )
