"""Images of one part, a batch at a time, on the device; and which of them an epoch trains on.

The loop knows only `TrainingImages`. An epoch's images and their order depend on (seed, epoch) alone, so an
interrupted epoch continues as if nothing had happened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
import torch

from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.framing import Framing
from svhncli.data.render.fresh import AheadRenderer
from svhncli.engine.device import to_device


class Batch(NamedTuple):
    """Labeled images on the device.

    images: uint8 (B, C, H, W). labels: int64 (B, L). boxes: float32 (B, L, 4), each digit's left, top, right
    and bottom in pixels of the images, NaN where none is known; None: the data has no boxes.
    """

    images: torch.Tensor
    labels: torch.Tensor
    boxes: torch.Tensor | None


Take = Callable[[int, int], Batch]
"""`take(start, stop)`: the images at these positions of an epoch's order."""


class TrainingImages(ABC):
    """The images that each epoch trains on."""

    @abstractmethod
    def __len__(self) -> int:
        """Images per epoch."""

    def prepare(self, epoch: int) -> Iterator[None]:
        """Make the images of `epoch` available; yields every so often while they are being rendered."""
        return iter(())

    @abstractmethod
    def of_epoch(self, seed: int, epoch: int) -> Take:
        """The images of `epoch`, which has been prepared, in the order given by (seed, epoch)."""


class Batches(TrainingImages):
    """`digits[indices]` in batches on the device. Each image once per epoch.

    On a CPU images are gathered directly from the memory map: a worker process could only add a copy. A GPU
    holds all labels, and the images as well if they fit into half of its free memory; otherwise batches are
    copied to it from pinned memory. Either way no step waits for the GPU.

    Args:
        framing: how the images were cut from the photographs that the boxes are of; None: boxes are ignored.
    """

    def __init__(
        self, digits: Digits, indices: np.ndarray, device: torch.device, framing: Framing | None = None
    ) -> None:
        self.digits = digits
        self.indices = indices
        self.device = device
        self.boxes: np.ndarray | None = None
        if framing is not None and digits.boxes is not None and digits.sizes is not None:
            self.boxes = framing.placed(digits.boxes[indices], digits.sizes[indices])
        self.resident: torch.Tensor | None = None
        if device.type == "cuda":
            self.resident_labels = torch.from_numpy(self.labels).to(device)
            self.resident_boxes = None if self.boxes is None else torch.from_numpy(self.boxes).to(device)
            if digits.images[:1].nbytes * len(self) < torch.cuda.mem_get_info(device)[0] // 2:
                self.resident = torch.from_numpy(digits.images[indices]).to(device)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> np.ndarray:
        """Labels int64 (N, L) in the order of `indices`."""
        return self.digits.labels[self.indices]

    def take(self, positions: np.ndarray) -> Batch:
        """The images at these positions of `indices`."""
        if self.device.type == "cuda":
            return self.along(positions)(0, len(positions))
        rows = self.indices[positions]
        images, labels = self.digits.images[rows], self.digits.labels[rows]
        boxes = None if self.boxes is None else torch.from_numpy(self.boxes[positions])
        return Batch(torch.from_numpy(images), torch.from_numpy(labels), boxes)

    def labels_of(self, start: int, stop: int) -> torch.Tensor:
        """The labels at indices[start:stop], on the device."""
        if self.device.type == "cuda":
            return self.resident_labels[start:stop]
        return torch.from_numpy(self.digits.labels[self.indices[start:stop]])

    def of_epoch(self, seed: int, epoch: int) -> Take:
        return self.along(numpy_generator(seed, "order", epoch).permutation(len(self)))

    def along(self, order: np.ndarray) -> Take:
        """The images in a given order, int64 positions of `indices`."""
        if self.device.type == "cpu":
            return lambda start, stop: self.take(order[start:stop])
        places = to_device(torch.from_numpy(order), self.device)
        labels = self.resident_labels.index_select(0, places)
        boxes = None if self.resident_boxes is None else self.resident_boxes.index_select(0, places)
        gather = None if self.resident is not None else GatherAhead(self.digits.images, self.indices[order])

        def take(start: int, stop: int) -> Batch:
            if gather is not None:
                images = to_device(gather(start, stop), self.device)
            else:
                assert self.resident is not None
                images = self.resident.index_select(0, places[start:stop])
            return Batch(images, labels[start:stop], None if boxes is None else boxes[start:stop])

        return take


class GatherAhead:
    """Rows of a memory map, batch after batch; a thread gathers the next batch while the last one is used."""

    def __init__(self, images: np.ndarray, rows: np.ndarray) -> None:
        self.images = images
        self.rows = rows
        self.thread = ThreadPoolExecutor(1)
        self.ahead: tuple[int, int, Future[np.ndarray]] | None = None

    def __call__(self, start: int, stop: int) -> torch.Tensor:
        """The images of rows[start:stop], uint8 (B, C, H, W) on the CPU."""
        if self.ahead is not None and self.ahead[0] == start and stop <= self.ahead[1]:
            images = self.ahead[2].result()[: stop - start]
        else:
            images = self._gather(start, stop)
        end = min(2 * stop - start + 1, len(self.rows))  # batches differ by at most one image
        self.ahead = stop, end, self.thread.submit(self._gather, stop, end)
        return torch.from_numpy(images)

    def _gather(self, start: int, stop: int) -> np.ndarray:
        return self.images[self.rows[start:stop]]


class Passes(TrainingImages):
    """`count` images per epoch out of any number of images, in pass after pass over all of them.

    Epoch e takes draws e * count to (e + 1) * count of one endless sequence, in which each pass is a
    permutation of its own. So at any time no image has been used more than once more than any other.
    """

    def __init__(self, batches: Batches, count: int) -> None:
        self.batches = batches
        self.count = count

    def __len__(self) -> int:
        return self.count

    def of_epoch(self, seed: int, epoch: int) -> Take:
        size, first = len(self.batches), epoch * self.count
        passes = range(first // size, (first + self.count) // size + 1)
        drawn = [numpy_generator(seed, "rendered", number).permutation(size) for number in passes]
        start = first - passes.start * size
        return self.batches.along(np.concatenate(drawn)[start : start + self.count])


class Interleaved(TrainingImages):
    """Two kinds of images, spread evenly over the epoch: any stretch has its share of each, to within one."""

    def __init__(self, real: TrainingImages, rendered: TrainingImages) -> None:
        self.real = real
        self.rendered = rendered

    def __len__(self) -> int:
        return len(self.real) + len(self.rendered)

    def prepare(self, epoch: int) -> Iterator[None]:
        yield from self.real.prepare(epoch)
        yield from self.rendered.prepare(epoch)

    def of_epoch(self, seed: int, epoch: int) -> Take:
        real, rendered = self.real.of_epoch(seed, epoch), self.rendered.of_epoch(seed, epoch)

        def take(start: int, stop: int) -> Batch:
            before, after = (position * len(self.rendered) // len(self) for position in (start, stop))
            first, second = real(start - before, stop - after), rendered(before, after)
            images = torch.cat([first.images, second.images])
            labels = torch.cat([first.labels, second.labels])
            if first.boxes is None or second.boxes is None:
                return Batch(images, labels, None)
            return Batch(images, labels, torch.cat([first.boxes, second.boxes]))

        return take


class Renewed(TrainingImages):
    """The images of `first` in the first epoch, and as many newly rendered ones in every later epoch."""

    def __init__(self, first: TrainingImages, ahead: AheadRenderer, device: torch.device) -> None:
        self.first = first
        self.ahead = ahead
        self.device = device

    def __len__(self) -> int:
        return len(self.first)

    def prepare(self, epoch: int) -> Iterator[None]:
        return self.ahead.turn_to(epoch)

    def of_epoch(self, seed: int, epoch: int) -> Take:
        if epoch == 0:
            return self.first.of_epoch(seed, epoch)
        new = Batches(self.ahead.digits(epoch), np.arange(len(self)), self.device)
        return Passes(new, len(self)).of_epoch(seed, epoch)


@contextmanager
def training_images(
    data: DataSet, indices: np.ndarray, epochs: int, device: torch.device
) -> Iterator[TrainingImages]:
    """What a fold trains on: `data.train[indices]`, with a share `data.share` of rendered images among them.

    epochs: after this many no new images are rendered; the rendering processes end with the block.
    """
    with ExitStack() as stack:

        def renewed(first: TrainingImages) -> TrainingImages:
            if data.fresh is None:
                return first
            return Renewed(first, stack.enter_context(data.fresh.open(len(first), epochs)), device)

        real = Batches(data.train, indices, device, data.framing)
        count = round(len(real) * data.share / (1 - data.share))
        if data.extra_train is None:
            yield renewed(real)
        elif count == 0:
            yield real
        else:
            extra = Batches(data.extra_train, np.arange(len(data.extra_train)), device, data.framing)
            yield Interleaved(real, renewed(Passes(extra, count)))


def batch_bounds(count: int, batch_size: int) -> np.ndarray:
    """Where the batches of an epoch begin and end: (steps + 1,) int64.

    Batch sizes differ by at most one, so no image is dropped and no small batch is left at the end.
    """
    steps = -(-count // batch_size)
    return np.arange(steps + 1) * count // steps
