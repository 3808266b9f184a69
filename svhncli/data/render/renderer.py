"""The built-in data set: labeled street-number digits, drawn with fonts.

A scene is a whole house number on its wall; each digit's crop is a view of it, with its neighbors cut off
at the edges, as in SVHN's cropped set; a whole photograph is another view. Digits and lengths are as
frequent as in SVHN: more than a quarter of the numbers begin with a 1.

The modules: `world` (every factor's distribution), `faces` and `painter` (digits as distance fields), `scene`
(layout, pose), `surfaces` (walls, plates, digits, light), `camera` (lens, sensor, file, crop), `chunk` (the
pipeline and the unit of work for crops), `whole_photographs`, `request` (numbers that are to be drawn),
`dice` (draws for a batch), `fresh` (new images for every epoch). This one starts the processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from svhncli.core.processes import available_cpus, in_order
from svhncli.data.render.request import RenderedPhotograph, RequestedNumber, check
from svhncli.data.render.world import STREET, Spec, load
from svhncli.data.store.cache import Cache

RENDERER_VERSION = 4
"""Part of a cache's key: increased whenever the images change."""

_SMALL = 2000
"""Fewer images than this are drawn faster than processes start."""
_FEW = 300
"""Fewer photographs than this are drawn faster than processes start."""

PER_JOB = 128
"""Photographs that a process draws at once: enough for many to have similar sizes."""

ChunkJob = tuple[int, str, int, int, Spec, Cache]
Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class PhotographJob:
    """Photographs `start` to `start + count` of a part.

    numbers: what they show; None lets the world draw it. blank: as for `photographs`.
    """

    seed: int
    part: str
    start: int
    count: int
    spec: Spec
    cache: Cache
    numbers: Sequence[RequestedNumber] | None
    blank: bool = False


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

    Image i depends only on (seed, part, i) and the size, never on N or the workers, so a longer set begins
    with the shorter one. Crops of a house number are consecutive and share a group; groups count from 0.

    Args:
        images: uint8 (N, 3, S, S), filled in place; S is the size of the crops.
        labels: int64 (N, 1), filled with 0-9.
        groups: int64 (N,).
        seed, part: key the random numbers; parts ("train", "test") share no scene.
        spec: the world that is rendered.
        cache: holds the faces once they have been drawn.
        progress: called with the number of images that were just rendered.
        workers: processes; None takes every CPU that this process may use. Small sets are drawn in this one.

    Raises:
        ValueError: an array has another shape or dtype.
        DataError, UsageError: the world or its fonts are invalid.
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

    # Here, since a cached set needs no scipy.ndimage.
    from svhncli.data.render.chunk import CHUNK
    from svhncli.data.render.faces import atlas

    atlas(spec.fonts, load(spec), cache)  # before the processes start, which would wait for each other
    workers = available_cpus() if workers is None else workers
    jobs: list[ChunkJob] = [(seed, part, index, size, spec, cache) for index in range(-(-count // CHUNK))]
    group = 0
    with contextlib.closing(in_order(_draw_chunk, jobs, workers if count >= _SMALL else 1)) as chunks:
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
    numbers: Sequence[RequestedNumber] | None = None,
    blank: bool = False,
) -> Generator[RenderedPhotograph, None, None]:
    """Whole photographs with their numbers and boxes, in order, in little memory; close it to end it early.

    Photograph i depends only on (seed, part, i) and on its requested number, if there is one.

    Args:
        count: how many.
        numbers: what each photograph shows; None lets the world draw numbers, positions and sizes.
        blank: whether they are the same photographs without their digits.
        seed, part, spec, cache, progress, workers: as for `render`.

    Raises:
        ValueError: there are not `count` numbers, or one cannot be drawn, see `request.check`.
        DataError, UsageError: the world or its fonts are invalid.
        DiskError: the cache cannot be written.
    """
    jobs = [
        replace(job, blank=blank)
        for job in photograph_jobs(count, seed=seed, part=part, spec=spec, cache=cache, numbers=numbers)
    ]
    workers = available_cpus() if workers is None else workers
    with contextlib.closing(in_order(draw_photographs, jobs, workers if count >= _FEW else 1)) as drawn:
        for photos in drawn:
            yield from photos
            progress(len(photos))


def photograph_jobs(
    count: int, *, seed: int, part: str, spec: Spec, cache: Cache, numbers: Sequence[RequestedNumber] | None
) -> list[PhotographJob]:
    """The work of `photographs`, each job for one call of `draw_photographs`, in this or another process.

    Raises:
        As `photographs`.
    """
    from svhncli.data.render.faces import atlas

    if numbers is not None and len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers are given for {count} photographs")
    for number in numbers or ():
        check(number)
    atlas(spec.fonts, load(spec), cache)  # before the processes start, which would wait for each other
    starts = range(0, count, PER_JOB)
    return [
        PhotographJob(
            seed,
            part,
            start,
            min(PER_JOB, count - start),
            spec,
            cache,
            numbers and numbers[start : start + PER_JOB],
        )
        for start in starts
    ]


def draw_photographs(job: PhotographJob) -> list[RenderedPhotograph]:
    """The photographs of a job."""
    from svhncli.data.render.faces import atlas
    from svhncli.data.render.whole_photographs import photographs as draw

    world = load(job.spec)
    fonts = atlas(job.spec.fonts, world, job.cache)
    return draw(job.seed, job.part, job.start, job.count, world, fonts, job.numbers, job.blank)


def _draw_chunk(job: ChunkJob) -> Chunk:
    from svhncli.data.render.chunk import render_chunk
    from svhncli.data.render.faces import atlas

    seed, part, index, size, spec, cache = job
    world = load(spec)
    return render_chunk(seed, part, index, size, world, atlas(spec.fonts, world, cache))
