"""Rendered data sets on disk, in the layouts in which SVHN and the Tianchi contest hand out theirs.

What is written is whole or not there: it grows in a hidden folder beside its place, and is renamed into it.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from svhncli.core.errors import UsageError, disk_error
from svhncli.core.files import TEMP_PREFIX, write_json
from svhncli.core.processes import available_cpus, in_order
from svhncli.data.formats.label_files import Labels, Row
from svhncli.data.render.photo import Given
from svhncli.data.render.renderer import Piece, draw, pieces_of, render
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
"""What each layout calls the files and folders of its parts, the labels last."""

_FAST = 1
"""How hard PNGs are compressed: noise hardly shrinks, however long one tries."""
_HANDFUL = 1000
"""Crops that a process saves at once."""


@dataclass(frozen=True)
class Order:
    """What to render: seed and spec as for `synth.render`; size is the side of crops in pixels."""

    seed: int
    size: int
    spec: Spec
    cache: Cache
    workers: int | None = None


def write(
    layout: str,
    out: Path,
    parts: Mapping[str, int | Labels],
    order: Order,
    progress: Progress = silent,
) -> list[Path]:
    """Render parts of a data set into a folder; the files and folders that were written.

    Cropped layouts hold the pictures that data=synth trains and tests on. Several parts need a folder that is
    absent or empty; one part is added to what is there.

    parts: the number of pictures of each part of the layout, or the labels that they are to show.

    Raises:
        UsageError: the layout has no such part, crops of this size or labels; or the folder is not empty.
        DataError: the world or its fonts are not as they should be.
        DiskError: the folder cannot be written.
    """
    known = PARTS[layout]
    if wrong := [name for name in parts if name not in known]:
        raise UsageError(f"layout={layout} has no part '{wrong[0]}'", f"its parts: {', '.join(known)}")
    if layout == "mat" and order.size != 32:
        raise UsageError(f"layout=mat holds pictures of 32 x 32, not of {order.size}", "leave data.size out")
    if layout in ("mat", "folder") and any(isinstance(what, Labels) for what in parts.values()):
        raise UsageError(
            f"layout={layout} holds single digits", "labels need layout=mchar or layout=svhn_full"
        )
    if files := [path for path in (out, *out.parents) if path.exists() and not path.is_dir()]:
        raise UsageError(f"'{files[0]}' is a file, not a folder", "choose another folder with out=")
    names = [name for each in parts for name in known[each]]
    there = [name for name in names if (out / name).exists()]
    if there or (len(parts) > 1 and out.exists() and any(out.iterdir())):
        said = f"'{out / there[0]}' is already there" if there else f"'{out}' is not empty"
        raise UsageError(said, "choose another folder with out=, or remove it")
    try:
        with _becoming(out, names) as folder:
            for part, what in parts.items():
                _WRITERS[layout](folder, part, what, order, progress)
    except Exception as error:
        if (disk := disk_error(error)) is not None:
            raise disk from error
        raise
    return [out / name for name in names]


@contextlib.contextmanager
def _becoming(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """An empty folder whose `names` are in `out` once the block ended well; removes what killed ones left."""
    out.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{TEMP_PREFIX}{out.name}-"
    for left in out.parent.glob(f"{prefix}*"):
        with (
            contextlib.suppress(Timeout),
            FileLock(left / ".lock", timeout=0),
        ):  # else another process writes there
            shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    folder.chmod(0o755)
    try:
        with FileLock(folder / ".lock"):
            yield folder
            out.mkdir(exist_ok=True)
            for name in names:
                (folder / name).rename(out / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _crops(part: str, count: int, order: Order, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """The crops uint8 (N, 3, S, S) of a part, and their classes int64 (N,)."""
    images = np.empty((count, 3, order.size, order.size), np.uint8)
    labels, groups = np.empty((count, 1), np.int64), np.empty(count, np.int64)
    render(
        images, labels, groups, seed=order.seed, part=part, spec=order.spec, cache=order.cache,
        workers=order.workers, progress=_adding(f"render {part}", count, progress),
    )  # fmt: skip
    return images, labels[:, 0]


def _mat(folder: Path, part: str, count: int | Labels, order: Order, progress: Progress) -> None:
    from scipy.io import savemat

    assert isinstance(count, int)
    images, labels = _crops(part, count, order, progress)
    content = {
        "X": images.transpose(2, 3, 1, 0),
        "y": np.where(labels == 0, 10, labels)[:, None].astype(np.uint8),
    }
    savemat(folder / PARTS["mat"][part][0], content, do_compression=True)


def _folder(folder: Path, part: str, count: int | Labels, order: Order, progress: Progress) -> None:
    assert isinstance(count, int)
    images, labels = _crops(part, count, order, progress)
    for digit in range(10):
        (folder / part / str(digit)).mkdir(parents=True)
    jobs = [
        (folder / part, start, images[start : start + _HANDFUL], labels[start : start + _HANDFUL])
        for start in range(0, count, _HANDFUL)
    ]
    add = _adding(f"write {part}", count, progress)
    with contextlib.closing(in_order(_save_crops, jobs, _workers(order, count))) as saved:
        for more in saved:
            add(more)


def _save_crops(job: tuple[Path, int, np.ndarray, np.ndarray]) -> int:
    folder, start, images, labels = job
    for place, (image, label) in enumerate(zip(images, labels, strict=True), start):
        Image.fromarray(image.transpose(1, 2, 0)).save(
            folder / str(label) / f"{place:06d}.png", compress_level=_FAST
        )
    return len(images)


def _svhn_full(folder: Path, part: str, what: int | Labels, order: Order, progress: Progress) -> None:
    from svhncli.data.formats import digit_struct

    (place,) = PARTS["svhn_full"][part]
    rows = _photographs(folder / place, "svhn_full", part, what, order, progress)
    target = folder / place / "digitStruct.mat"
    if isinstance(what, Labels) and what.form == "svhn_full":
        shutil.copyfile(what.file, target)
    else:
        digit_struct.write(target, rows)


def _mchar(folder: Path, part: str, what: int | Labels, order: Order, progress: Progress) -> None:
    place, *labelled = PARTS["mchar"][part]
    rows = _photographs(folder / place, "mchar", part, what, order, progress)
    for name in labelled:
        if isinstance(what, Labels) and what.form == "mchar":
            shutil.copyfile(what.file, folder / name)
        else:
            write_json(
                folder / name, {file: _entry(label, boxes) for file, label, boxes in rows}, indent=None
            )


_WRITERS: Mapping[str, Callable[[Path, str, int | Labels, Order, Progress], None]] = {
    "mat": _mat,
    "svhn_full": _svhn_full,
    "mchar": _mchar,
    "folder": _folder,
}


def _entry(label: tuple[int, ...], boxes: np.ndarray) -> dict[str, list[float]]:
    """A picture's entry in mchar's JSON."""
    left, top, right, bottom = np.asarray(boxes, float).T
    sides = {"height": bottom - top, "left": left, "top": top, "width": right - left}
    columns = {
        name: [int(v) if v == int(v) else v for v in values.tolist()] for name, values in sides.items()
    }
    return {"height": columns.pop("height"), "label": list(label), **columns}


@dataclass(frozen=True)
class _Work:
    """A piece of a part, and where its pictures go."""

    piece: Piece
    folder: Path
    names: Sequence[str]


def _photographs(
    folder: Path, layout: str, part: str, what: int | Labels, order: Order, progress: Progress
) -> list[Row]:
    """Write the photographs of a part into a new folder, by several processes; their names and labels.

    Pictures for a label file of this layout keep their names; else they are numbered as the layout does it.
    """
    count = what if isinstance(what, int) else len(what.rows)
    given = None if isinstance(what, int) else [Given(label, boxes) for _, label, boxes in what.rows]
    names = [f"{i:06d}.png" if layout == "mchar" else f"{i + 1}.png" for i in range(count)]
    if isinstance(what, Labels) and what.form == layout:
        names = [name for name, _, _ in what.rows]
    folder.mkdir()
    pieces = pieces_of(count, seed=order.seed, part=part, spec=order.spec, cache=order.cache, given=given)
    works = [_Work(piece, folder, names[piece.start : piece.start + piece.count]) for piece in pieces]
    rows: list[Row] = []
    add = _adding(f"render {part}", count, progress)
    with contextlib.closing(in_order(_save, works, _workers(order, count))) as saved:
        for more in saved:
            rows += more
            add(len(more))
    return (
        rows
        if given is None
        else [(name, one.label, one.boxes) for name, one in zip(names, given, strict=True)]
    )


def _save(work: _Work) -> list[Row]:
    """Draw and write a piece; its names and labels, with boxes of whole pixels, as people draw them."""
    rows = []
    for name, photo in zip(work.names, draw(work.piece), strict=True):
        Image.fromarray(photo.image).save(work.folder / name, compress_level=_FAST)
        boxes = np.rint(photo.boxes)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        rows.append((name, photo.label, boxes))
    return rows


def _workers(order: Order, count: int) -> int:
    """Processes for so many pictures; a few are done sooner than processes start."""
    if order.workers is not None:
        return order.workers
    return available_cpus() if count >= _HANDFUL else 1


def _adding(what: str, total: int, progress: Progress) -> Callable[[int], None]:
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        progress(what, done, total)

    return add
