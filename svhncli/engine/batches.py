"""Pictures of one part, a batch at a time, on the device; and which of them an epoch trains on.

The loop knows `Training` alone. An epoch's pictures and their order depend on (seed, epoch), so one that was
left half-way goes on as if nothing had happened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.sources.fresh import Ahead

Pictures = tuple[torch.Tensor, torch.Tensor]
"""uint8 (B, C, H, W) and labels int64 (B, L), on the device."""

Take = Callable[[int, int], Pictures]
"""`take(start, stop)`: the pictures at these places of an epoch's order."""


class Training(ABC):
    """The training pictures of each epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Pictures an epoch."""

    def prepare(self, epoch: int) -> Iterator[None]:
        """Have the pictures of `epoch` ready; yields every so often while they have to be waited for."""
        return iter(())

    @abstractmethod
    def of_epoch(self, seed: int, epoch: int) -> Take:
        """The pictures of `epoch`, which is prepared, in the order that (seed, epoch) gives."""


class Batches(Training):
    """`digits[indices]` in batches: uint8 (B, C, H, W) and int64 (B, L) on the device. Each once an epoch.

    On a CPU the memory-mapped pictures are gathered directly: a worker process could only add a copy. On a
    GPU they stay resident where they fit into half of the free memory, else batches come from pinned memory.
    """

    def __init__(self, digits: Digits, indices: np.ndarray, device: torch.device) -> None:
        self.digits = digits
        self.indices = indices
        self.device = device
        self.resident: torch.Tensor | None = None
        if device.type == "cuda" and digits.images.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
            self.resident = torch.from_numpy(np.array(digits.images)).to(device)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> np.ndarray:
        """Labels int64 (N, L) in the order of `indices`."""
        return self.digits.labels[self.indices]

    def take(self, positions: np.ndarray) -> Pictures:
        """The pictures and labels at these positions of `indices`."""
        rows = self.indices[positions]
        labels = torch.from_numpy(self.digits.labels[rows])
        if self.resident is not None:
            on_device = torch.from_numpy(rows).to(self.device)
            return self.resident.index_select(0, on_device), labels.to(self.device)
        images = torch.from_numpy(self.digits.images[rows])
        if self.device.type == "cuda":
            images = images.pin_memory().to(self.device, non_blocking=True)
            labels = labels.pin_memory().to(self.device, non_blocking=True)
        return images, labels

    def in_order(self, batch_size: int) -> Iterator[Pictures]:
        """Every picture once, in the order of `indices`; the last batch may be smaller and is not padded."""
        for start in range(0, len(self), batch_size):
            yield self.take(np.arange(start, min(start + batch_size, len(self))))

    def of_epoch(self, seed: int, epoch: int) -> Take:
        return self.along(numpy_generator(seed, "order", epoch).permutation(len(self)))

    def along(self, order: np.ndarray) -> Take:
        """Pictures in an order of one's own, int64 positions of `indices`."""
        return lambda start, stop: self.take(order[start:stop])


class Passes(Training):
    """`count` pictures an epoch, however many there are: pass after pass over all of them.

    Epoch e takes draws e * count to (e + 1) * count of one endless sequence, each pass of which is a
    permutation of its own. So at any time no picture has been used more than once more than another.
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


class Mixed(Training):
    """Two kinds of pictures, spread evenly over the epoch: any stretch holds its share to one picture."""

    def __init__(self, real: Training, rendered: Training) -> None:
        self.real = real
        self.rendered = rendered

    def __len__(self) -> int:
        return len(self.real) + len(self.rendered)

    def prepare(self, epoch: int) -> Iterator[None]:
        yield from self.real.prepare(epoch)
        yield from self.rendered.prepare(epoch)

    def of_epoch(self, seed: int, epoch: int) -> Take:
        real, rendered = self.real.of_epoch(seed, epoch), self.rendered.of_epoch(seed, epoch)

        def take(start: int, stop: int) -> Pictures:
            before, after = (place * len(self.rendered) // len(self) for place in (start, stop))
            images, labels = real(start - before, stop - after)
            more_images, more_labels = rendered(before, after)
            return torch.cat([images, more_images]), torch.cat([labels, more_labels])

        return take


class Renewed(Training):
    """The pictures of `first` in the first epoch, and as many newly rendered ones in each that follows."""

    def __init__(self, first: Training, ahead: Ahead, device: torch.device) -> None:
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
def training_pictures(
    data: DataSet, indices: np.ndarray, epochs: int, device: torch.device
) -> Iterator[Training]:
    """What a fold trains on: `data.train[indices]`, with `data.share` of rendered pictures among them.

    epochs: after so many, no more new pictures are rendered; what renders them ends with the block.
    """
    with ExitStack() as stack:

        def renewed(first: Training) -> Training:
            if data.fresh is None:
                return first
            return Renewed(first, stack.enter_context(data.fresh.open(len(first), epochs)), device)

        real = Batches(data.train, indices, device)
        count = round(len(real) * data.share / (1 - data.share))
        if data.extra_train is None:
            yield renewed(real)
        elif count == 0:
            yield real
        else:
            extra = Batches(data.extra_train, np.arange(len(data.extra_train)), device)
            yield Mixed(real, renewed(Passes(extra, count)))


def batch_bounds(count: int, batch_size: int) -> np.ndarray:
    """Where the batches of an epoch begin and end: (steps + 1,) int64.

    Batches differ by one picture at most, so no picture is dropped and no batch is a small rest.
    """
    steps = -(-count // batch_size)
    return np.arange(steps + 1) * count // steps
