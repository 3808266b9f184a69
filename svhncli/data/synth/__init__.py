"""The embedded data set: labelled street-number digits, drawn from fonts.

A scene is a whole house number on its wall; each digit's crop is one view of it, with its neighbours cut off
at the edges, as in SVHN's cropped set. Digits and lengths are as common as in SVHN: a 1 begins
more than a quarter of the numbers.

The rooms: `world` (every factor's distribution), `faces` (digits as distance fields), `scene` (layout, pose),
`surfaces` (walls, plates, digits, light), `camera` (lens, sensor, file, crop), `chunk` (the pipeline and the
unit of work), `dice` (draws for a batch). This door hands chunks to processes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from svhncli.cpus import available_cpus
from svhncli.data.cache import Cache
from svhncli.data.children import end_with_parent, interrupts_held
from svhncli.data.synth.world import STREET, Spec, load

RENDERER_VERSION = 4
"""Part of a cache's key: raised whenever the pictures change."""

_SMALL = 2000
"""Fewer images than this are drawn sooner than processes start."""

Job = tuple[int, str, int, int, Spec, Cache]
Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]


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
    from svhncli.data.synth.chunk import CHUNK
    from svhncli.data.synth.faces import atlas

    atlas(spec.fonts, load(spec), cache)  # before processes begin, which would wait for each other
    workers = available_cpus() if workers is None else workers
    jobs: list[Job] = [(seed, part, index, size, spec, cache) for index in range(-(-count // CHUNK))]
    group = 0
    with contextlib.closing(_chunks(jobs, workers if count >= _SMALL else 1)) as chunks:
        for index, (drawn, classes, numbers) in enumerate(chunks):
            start, stop = index * CHUNK, min(count, (index + 1) * CHUNK)
            images[start:stop] = drawn[: stop - start]
            labels[start:stop, 0] = classes[: stop - start]
            groups[start:stop] = group + numbers[: stop - start]
            group += int(numbers[-1]) + 1
            progress(stop - start)


def _chunks(jobs: list[Job], workers: int) -> Generator[Chunk, None, None]:
    """The chunks in order, drawn here or by processes that end with this generator, however it ends."""
    if workers == 1:
        yield from map(_draw, jobs)
        return
    # Spawned, since a fork after OpenMP was used (torch was) hangs for ever.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_begin)
    try:
        with interrupts_held():
            drawn = pool.map(_draw, jobs)
        yield from drawn
    finally:
        pool.shutdown(cancel_futures=True)


def _draw(job: Job) -> Chunk:
    from svhncli.data.synth.chunk import render_chunk
    from svhncli.data.synth.faces import atlas

    seed, part, index, size, spec, cache = job
    world = load(spec)
    return render_chunk(seed, part, index, size, world, atlas(spec.fonts, world, cache))


def _begin() -> None:
    """In each new process: leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
