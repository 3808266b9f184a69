"""New images for every epoch, rendered by a background process while the previous epoch trains."""

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
"""The renderer's niceness: a training step waits for its slowest thread, so a core shared evenly slows all
of them. If the renderer falls behind, the loop waits and leaves it the cores."""

POLL = 0.1
"""Seconds between two checks of a process that is waited for."""


@dataclass(frozen=True)
class FreshImages:
    """How new images are rendered: seed, side in pixels and world; and the cache that holds them."""

    cache: Cache
    seed: int
    size: int
    spec: Spec = STREET

    @contextmanager
    def open(self, n: int, epochs: int) -> Iterator[AheadRenderer]:
        """n images for each epoch except the first; files and process are removed when the block ends.

        Raises:
            DiskError: the cache cannot be written.
        """
        with self.cache.scratch("fresh") as folder:
            ahead = AheadRenderer(self, folder, n, epochs)
            try:
                yield ahead
            finally:
                ahead.close()


class AheadRenderer:
    """The images of the current epoch, and those of the next one, which are being rendered.

    Epochs count from 0. Image i of epoch e > 0 depends only on (seed, e, i) and the size: it belongs to the
    renderer's part `fresh-e`, which shares no scene with other epochs or with the parts of a data set.
    """

    def __init__(self, source: FreshImages, folder: Path, n: int, epochs: int) -> None:
        self.source = source
        self.folder = folder
        self.n = n
        self.epochs = epochs
        self._begun = 0
        self._process: SpawnProcess | None = None

    def turn_to(self, epoch: int) -> Iterator[None]:
        """Wait until the images of `epoch` are rendered, then start on the next epoch's.

        Yields every so often while it waits. Epochs are requested in order, starting from any.

        Raises:
            DiskError: there is no space for them.
            SvhnError: the renderer ended early.
        """
        self._begin(epoch)
        while self._process is not None and self._process.is_alive():
            self._process.join(POLL)
            yield
        if self._process is not None and self._process.exitcode != 0:
            raise SvhnError(
                f"the process that renders new images ended with exit code {self._process.exitcode}",
                "resume the run from its last checkpoint, or set data.fresh=false to do without the process",
            )
        shutil.rmtree(self._place(epoch - 1), ignore_errors=True)
        self._begin(epoch + 1)

    def digits(self, epoch: int) -> Digits:
        """The n images of an epoch > 0, the last one passed to `turn_to`."""
        return load_part(self._place(epoch), "train", f"fresh-{epoch}")

    def close(self) -> None:
        """End the process, if there is one; nothing is written afterwards."""
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
        create(place, "train", self.n, shape)  # here, so that a full disk is reported in one line
        # Spawned, since a fork after OpenMP has been used (as by torch) hangs forever.
        self._process = spawning().Process(target=_render, args=(place, self.source, f"fresh-{epoch}"))
        with interrupts_held():
            self._process.start()
        self._begun = epoch


def _render(place: Path, source: FreshImages, part: str) -> None:
    """The background process: fill the files in `place`."""
    end_with_parent()
    if hasattr(os, "nice"):
        os.nice(NICE)
    images, labels, groups = (
        np.load(place / f"train_{name}.npy", mmap_mode="r+") for name in ("images", "labels", "groups")
    )
    render(images, labels, groups, seed=source.seed, part=part, spec=source.spec, cache=source.cache)
