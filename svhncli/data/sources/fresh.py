"""New pictures for every epoch: rendered by a process in the background while the epoch before trains."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np

from svhncli.core.errors import SvhnError
from svhncli.core.processes import end_with_parent, interrupts_held, spawning
from svhncli.data.digits import Digits
from svhncli.data.render.renderer import render
from svhncli.data.render.world import STREET, Spec
from svhncli.data.store.arrays import create
from svhncli.data.store.arrays import load as load_part
from svhncli.data.store.cache import Cache

NICE = 10
"""How far the renderer stands back: a training step waits for its slowest thread, so a core that is shared
evenly slows all of them. Where the renderer falls behind, the loop waits and leaves it the cores."""

LOOK = 0.1
"""Seconds between two looks at a process that is waited for."""


@dataclass(frozen=True)
class Fresh:
    """Where new pictures come from: seed, side in pixels and world, and where they lie meanwhile."""

    cache: Cache
    seed: int
    size: int
    spec: Spec = STREET

    @contextmanager
    def open(self, n: int, epochs: int) -> Iterator[Ahead]:
        """n pictures for each epoch but the first; files and process are gone when the block ends.

        Raises:
            DiskError: the cache cannot be written.
        """
        with self.cache.scratch("fresh") as folder:
            ahead = Ahead(self, folder, n, epochs)
            try:
                yield ahead
            finally:
                ahead.close()


class Ahead:
    """The pictures of the epoch that trains, and those of the next one, which are on their way.

    Epochs count from 0. Picture i of epoch e > 0 depends on (seed, e, i) and the size alone: it is the
    renderer's part `fresh-e`, which shares no scene with another epoch's or with the parts of a data set.
    """

    def __init__(self, source: Fresh, folder: Path, n: int, epochs: int) -> None:
        self.source = source
        self.folder = folder
        self.n = n
        self.epochs = epochs
        self._begun = 0
        self._process: SpawnProcess | None = None

    def turn_to(self, epoch: int) -> Iterator[None]:
        """Wait until the pictures of `epoch` are there, then begin with the next one's.

        Yields every so often while it waits. Epochs are asked for in their order, from any on.

        Raises:
            DiskError: there is no space for them.
            SvhnError: the renderer ended before its time.
        """
        self._begin(epoch)
        while self._process is not None and self._process.is_alive():
            self._process.join(LOOK)
            yield
        if self._process is not None and self._process.exitcode != 0:
            raise SvhnError(
                f"the process that renders new pictures ended with exit code {self._process.exitcode}",
                "the run can be resumed from what was saved last; data.fresh=false needs no such process",
            )
        shutil.rmtree(self._place(epoch - 1), ignore_errors=True)
        self._begin(epoch + 1)

    def digits(self, epoch: int) -> Digits:
        """The n pictures of an epoch > 0 that was turned to last."""
        return load_part(self._place(epoch), "train", f"fresh-{epoch}")

    def close(self) -> None:
        """End the process, if there is one; nothing is written after that."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _place(self, epoch: int) -> Path:
        return self.folder / str(epoch)

    def _begin(self, epoch: int) -> None:
        if epoch <= self._begun or epoch >= self.epochs:
            return
        place = self._place(epoch)
        place.mkdir()
        shape = 3, self.source.size, self.source.size
        create(place, "train", self.n, shape)  # here: a full disk is told in one line
        # Spawned, since a fork after OpenMP was used (torch was) hangs for ever.
        self._process = spawning().Process(target=_render, args=(place, self.source, f"fresh-{epoch}"))
        with interrupts_held():
            self._process.start()
        self._begun = epoch


def _render(place: Path, source: Fresh, part: str) -> None:
    """What the process does: fill the files that lie in `place`."""
    end_with_parent()
    if hasattr(os, "nice"):
        os.nice(NICE)
    images, labels, groups = (
        np.load(place / f"train_{name}.npy", mmap_mode="r+") for name in ("images", "labels", "groups")
    )
    render(images, labels, groups, seed=source.seed, part=part, spec=source.spec, cache=source.cache)
