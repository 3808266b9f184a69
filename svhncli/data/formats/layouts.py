"""Rendered data sets on disk, in the layouts in which SVHN and the Tianchi contest are distributed.

A data set appears complete or not at all: it is written to a hidden folder, then renamed.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from svhncli.core.errors import UsageError, disk_error
from svhncli.core.locks import locked
from svhncli.core.processes import available_cpus, in_order
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.data.formats import cropped_mat, mchar_json
from svhncli.data.formats.requested_labels import ImageLabel, RequestedLabels
from svhncli.data.render.renderer import PhotographJob, draw_photographs, photograph_jobs, render
from svhncli.data.render.request import RequestedNumber
from svhncli.data.render.world import Spec
from svhncli.data.store.cache import Cache
from svhncli.data.store.disk import Progress, silent

PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mat": {"train": ("train_32x32.mat",), "test": ("test_32x32.mat",)},
    "svhn_full": {"train": ("train",), "test": ("test",)},
    "mchar": {
        "train": ("mchar_train", "mchar_train.json"),
        "val": ("mchar_val", "mchar_val.json"),
        "test": ("mchar_test_a",),
    },
    "folder": {"train": ("train",), "test": ("test",)},
}
"""Each layout's names for the files and folders of its parts, labels last."""

_FAST = 1
"""PNG compression level: noise hardly shrinks at higher ones."""
_BATCH = 1000
"""Crops that a process saves at once; fewer images are written faster than processes start."""


@dataclass(frozen=True)
class RenderSettings:
    """How to render: seed and spec as for `renderer.render`; size is the side of crops in pixels."""

    seed: int
    size: int
    spec: Spec
    cache: Cache
    workers: int | None = None


def write(
    layout: str,
    out: Path,
    parts: Mapping[str, int | RequestedLabels],
    settings: RenderSettings,
    progress: Progress = silent,
) -> list[Path]:
    """Render parts of a data set into a folder; returns the files and folders that were written.

    Cropped layouts hold the images that data=synth trains and tests on. Several parts need a new or empty
    folder; a single part is added to an existing folder.

    parts: the number of images in each part of the layout, or the labels that they are to show.

    Raises:
        UsageError: the layout does not support the part, crop size or labels; or the folder is not empty.
        DataError: the world or its fonts are invalid.
        DiskError: the folder cannot be written.
    """
    known = PARTS[layout]
    if wrong := [name for name in parts if name not in known]:
        raise UsageError(f"layout={layout} has no part '{wrong[0]}'", f"its parts: {', '.join(known)}")
    if layout == "mat" and settings.size != 32:
        raise UsageError(f"layout=mat holds images of 32 x 32, not of {settings.size}", "leave out data.size")
    if layout in ("mat", "folder") and any(
        isinstance(content, RequestedLabels) for content in parts.values()
    ):
        raise UsageError(
            f"layout={layout} holds single digits", "labels need layout=mchar or layout=svhn_full"
        )
    if files := [path for path in (out, *out.parents) if path.exists() and not path.is_dir()]:
        raise UsageError(f"'{files[0]}' is a file, not a folder", "choose another folder with out=")
    names = [name for part in parts for name in known[part]]
    existing = [name for name in names if (out / name).exists()]
    if existing or (len(parts) > 1 and out.exists() and any(out.iterdir())):
        problem = f"'{out / existing[0]}' already exists" if existing else f"'{out}' is not empty"
        raise UsageError(problem, "choose another folder with out=, or remove it")
    try:
        with _atomic_folder(out, names) as folder:
            for part, content in parts.items():
                _WRITERS[layout](folder, part, content, settings, progress)
    except Exception as error:
        if (disk := disk_error(error)) is not None:
            raise disk from error
        raise
    return [out / name for name in names]


@contextlib.contextmanager
def _atomic_folder(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """An empty folder that becomes `out` when the block succeeds; where there are other parts already, its
    `names` move there; removes leftovers of kills."""
    out.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{TEMP_PREFIX}{out.name}-"
    for leftover in out.parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), FileLock(leftover / ".lock", timeout=0):  # unless it is in use
            shutil.rmtree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    folder.chmod(0o755)
    lock = locked(folder / ".lock")
    try:
        yield folder
        if out.is_dir() and any(out.iterdir()):
            for name in names:
                (folder / name).rename(out / name)
        else:
            (folder / ".lock").unlink()
            folder.rename(out)  # at once: a kill leaves all of it or nothing
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _crops(
    part: str, count: int, settings: RenderSettings, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """The crops uint8 (N, 3, S, S) of a part, and their classes int64 (N,)."""
    images = np.empty((count, 3, settings.size, settings.size), np.uint8)
    labels, groups = np.empty((count, 1), np.int64), np.empty(count, np.int64)
    render(
        images, labels, groups, seed=settings.seed, part=part, spec=settings.spec, cache=settings.cache,
        workers=settings.workers, progress=_counter(f"render {part}", count, progress),
    )  # fmt: skip
    return images, labels[:, 0]


def _mat(
    folder: Path, part: str, count: int | RequestedLabels, settings: RenderSettings, progress: Progress
) -> None:
    assert isinstance(count, int)
    images, labels = _crops(part, count, settings, progress)
    cropped_mat.write(folder / PARTS["mat"][part][0], images, labels)


def _folder(
    folder: Path, part: str, count: int | RequestedLabels, settings: RenderSettings, progress: Progress
) -> None:
    assert isinstance(count, int)
    images, labels = _crops(part, count, settings, progress)
    for digit in range(10):
        (folder / part / str(digit)).mkdir(parents=True)
    jobs = [
        (folder / part, start, images[start : start + _BATCH], labels[start : start + _BATCH])
        for start in range(0, count, _BATCH)
    ]
    add = _counter(f"write {part}", count, progress)
    with contextlib.closing(in_order(_save_crops, jobs, _workers(settings, count))) as saved:
        for more in saved:
            add(more)


def _save_crops(job: tuple[Path, int, np.ndarray, np.ndarray]) -> int:
    folder, start, images, labels = job
    for place, (image, label) in enumerate(zip(images, labels, strict=True), start):
        Image.fromarray(image.transpose(1, 2, 0)).save(
            folder / str(label) / f"{place:06d}.png", compress_level=_FAST
        )
    return len(images)


def _svhn_full(
    folder: Path, part: str, content: int | RequestedLabels, settings: RenderSettings, progress: Progress
) -> None:
    from svhncli.data.formats import digit_struct

    (place,) = PARTS["svhn_full"][part]
    rows = _photographs(folder / place, "svhn_full", part, content, settings, progress)
    target = folder / place / "digitStruct.mat"
    if isinstance(content, RequestedLabels) and content.form == "svhn_full":
        shutil.copyfile(content.file, target)
    else:
        digit_struct.write(target, rows)


def _mchar(
    folder: Path, part: str, content: int | RequestedLabels, settings: RenderSettings, progress: Progress
) -> None:
    place, *labeled = PARTS["mchar"][part]
    rows = _photographs(folder / place, "mchar", part, content, settings, progress)
    for name in labeled:
        if isinstance(content, RequestedLabels) and content.form == "mchar":
            shutil.copyfile(content.file, folder / name)
        else:
            mchar_json.write(folder / name, rows)


_WRITERS: Mapping[str, Callable[[Path, str, int | RequestedLabels, RenderSettings, Progress], None]] = {
    "mat": _mat,
    "svhn_full": _svhn_full,
    "mchar": _mchar,
    "folder": _folder,
}


@dataclass(frozen=True)
class _SaveJob:
    """Photographs to draw, and the files to write them to."""

    drawing: PhotographJob
    folder: Path
    names: Sequence[str]


def _photographs(
    folder: Path,
    layout: str,
    part: str,
    content: int | RequestedLabels,
    settings: RenderSettings,
    progress: Progress,
) -> list[ImageLabel]:
    """Write the photographs of a part into a new folder, by several processes; returns their labels.

    Images for a label file in this layout keep their names; others are numbered in the layout's way.
    """
    count = content if isinstance(content, int) else len(content.rows)
    numbers = None
    names = [f"{i:06d}.png" if layout == "mchar" else f"{i + 1}.png" for i in range(count)]
    if isinstance(content, RequestedLabels):
        numbers = [RequestedNumber(label, boxes) for _, label, boxes in content.rows]
        if content.form == layout:
            names = [name for name, _, _ in content.rows]
    folder.mkdir()
    drawings = photograph_jobs(
        count, seed=settings.seed, part=part, spec=settings.spec, cache=settings.cache, numbers=numbers
    )
    jobs = [_SaveJob(drawing, folder, names[drawing.start :][: drawing.count]) for drawing in drawings]
    rows: list[ImageLabel] = []
    add = _counter(f"render {part}", count, progress)
    with contextlib.closing(in_order(_save_photographs, jobs, _workers(settings, count))) as saved:
        for more in saved:
            rows += more
            add(len(more))
    if numbers is None:
        return rows
    return [(name, number.label, number.boxes) for name, number in zip(names, numbers, strict=True)]


def _save_photographs(job: _SaveJob) -> list[ImageLabel]:
    """Draw and write photographs; returns their labels, with boxes in whole pixels, as people draw them."""
    rows = []
    for name, photo in zip(job.names, draw_photographs(job.drawing), strict=True):
        Image.fromarray(photo.image).save(job.folder / name, compress_level=_FAST)
        boxes = np.rint(photo.boxes)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        rows.append((name, photo.label, boxes))
    return rows


def _workers(settings: RenderSettings, count: int) -> int:
    """Processes for `count` images."""
    if settings.workers is not None:
        return settings.workers
    return available_cpus() if count >= _BATCH else 1


def _counter(what: str, total: int, progress: Progress) -> Callable[[int], None]:
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        progress(what, done, total)

    return add
