"""The embedded data set: labelled street-number digits, drawn from fonts.

A scene is a whole house number on its wall; each digit's crop is one view of it, with its neighbours cut off
at the edges, as in SVHN's cropped set; a whole photograph is another. Digits and lengths are as common as in
SVHN: a 1 begins more than a quarter of the numbers.

The rooms: `world` (every factor's distribution), `faces` (digits as distance fields), `scene` (layout, pose),
`surfaces` (walls, plates, digits, light), `camera` (lens, sensor, file, crop), `chunk` (the pipeline and the
unit of work for crops), `whole` (whole photographs), `dice` (draws for a batch). This door hands the work to
processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from svhncli.core.processes import available_cpus, in_order
from svhncli.data.render.photo import Given, Photo, check
from svhncli.data.render.world import STREET, Spec, load
from svhncli.data.store.cache import Cache

RENDERER_VERSION = 4
"""Part of a cache's key: raised whenever the pictures change."""

_SMALL = 2000
"""Fewer images than this are drawn sooner than processes start."""
_FEW = 300
"""Fewer photographs than this are."""

PIECE = 128
"""Photographs that a process draws at once: enough of them are of like size."""

Job = tuple[int, str, int, int, Spec, Cache]
Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Piece:
    """Photographs `start` to `start + count` of a part; what they show, or None where the world says it."""

    seed: int
    part: str
    start: int
    count: int
    spec: Spec
    cache: Cache
    given: Sequence[Given] | None


def render(
    images: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    part: str,
    spec: Spec = STREET,
    cache: Cache,
    progress: Callable[[int], None] = lambda n: None,
    workers: int | None = None,
) -> None:
    """Fill preallocated (or memory-mapped) arrays with N rendered digits.

    Image i depends on (seed, part, i) and the size alone, never on N or the workers, so a longer set begins
    with the shorter one. Crops of one house number stand side by side and share a group; groups count from 0.

    Args:
        images: uint8 (N, 3, S, S), filled in place; S is the size that is drawn.
        labels: int64 (N, 1), filled with 0-9.
        groups: int64 (N,).
        seed, part: name the random numbers; parts ("train", "test") share no scene.
        spec: which world is drawn.
        cache: where the faces lie, once they were drawn.
        progress: called with the number of images that were just done.
        workers: processes; None takes every CPU that this process may use. Small sets are drawn in this one.

    Raises:
        ValueError: an array's shape or dtype is not the above.
        DataError, UsageError: the world or its fonts are not as they should be.
        DiskError: the cache cannot be written.
    """
    count, size = len(images), images.shape[-1]
    wanted = {
        "images": (images, np.uint8, (count, 3, size, size)),
        "labels": (labels, np.int64, (count, 1)),
        "groups": (groups, np.int64, (count,)),
    }
    for name, (array, dtype, shape) in wanted.items():
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name} must be {np.dtype(dtype)} {shape}, not {array.dtype} {array.shape}")

    # Here, since a set that is cached needs no scipy.ndimage.
    from svhncli.data.render.chunk import CHUNK
    from svhncli.data.render.faces import atlas

    atlas(spec.fonts, load(spec), cache)  # before processes begin, which would wait for each other
    workers = available_cpus() if workers is None else workers
    jobs: list[Job] = [(seed, part, index, size, spec, cache) for index in range(-(-count // CHUNK))]
    group = 0
    with contextlib.closing(in_order(_draw, jobs, workers if count >= _SMALL else 1)) as chunks:
        for index, (drawn, classes, numbers) in enumerate(chunks):
            start, stop = index * CHUNK, min(count, (index + 1) * CHUNK)
            images[start:stop] = drawn[: stop - start]
            labels[start:stop, 0] = classes[: stop - start]
            groups[start:stop] = group + numbers[: stop - start]
            group += int(numbers[-1]) + 1
            progress(stop - start)


def photographs(
    count: int,
    *,
    seed: int,
    part: str,
    spec: Spec = STREET,
    cache: Cache,
    progress: Callable[[int], None] = lambda n: None,
    workers: int | None = None,
    given: Sequence[Given] | None = None,
) -> Generator[Photo, None, None]:
    """Whole photographs with their numbers and boxes, in order, in little memory; close it to end it early.

    Photograph i depends on (seed, part, i) and, where that is given, on what it shows.

    Args:
        count: how many.
        given: what each of them shows; None leaves numbers, places and sizes to the world.
        seed, part, spec, cache, progress, workers: as for `render`.

    Raises:
        ValueError: what is given is not `count` numbers, or one cannot be drawn: it has no digits, or others
            than 0 to 9, boxes of another shape or not finite, or a picture of no pixels or beyond `LARGEST`.
        DataError, UsageError: the world or its fonts are not as they should be.
        DiskError: the cache cannot be written.
    """
    pieces = pieces_of(count, seed=seed, part=part, spec=spec, cache=cache, given=given)
    workers = available_cpus() if workers is None else workers
    with contextlib.closing(in_order(draw, pieces, workers if count >= _FEW else 1)) as drawn:
        for photos in drawn:
            yield from photos
            progress(len(photos))


def pieces_of(
    count: int, *, seed: int, part: str, spec: Spec, cache: Cache, given: Sequence[Given] | None
) -> list[Piece]:
    """The work of `photographs` in pieces, each for one call of `draw`, here or in another process.

    Raises:
        As `photographs`.
    """
    from svhncli.data.render.faces import atlas

    if given is not None and len(given) != count:
        raise ValueError(f"{len(given)} numbers are given for {count} photographs")
    for number in given or ():
        check(number)
    atlas(spec.fonts, load(spec), cache)  # before processes begin, which would wait for each other
    starts = range(0, count, PIECE)
    return [
        Piece(
            seed, part, start, min(PIECE, count - start), spec, cache, given and given[start : start + PIECE]
        )
        for start in starts
    ]


def draw(piece: Piece) -> list[Photo]:
    """The photographs of a piece."""
    from svhncli.data.render.faces import atlas
    from svhncli.data.render.whole import photographs as drawn

    world = load(piece.spec)
    fonts = atlas(piece.spec.fonts, world, piece.cache)
    return drawn(piece.seed, piece.part, piece.start, piece.count, world, fonts, piece.given)


def _draw(job: Job) -> Chunk:
    from svhncli.data.render.chunk import render_chunk
    from svhncli.data.render.faces import atlas

    seed, part, index, size, spec, cache = job
    world = load(spec)
    return render_chunk(seed, part, index, size, world, atlas(spec.fonts, world, cache))
