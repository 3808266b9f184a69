"""Pictures of one part, a batch at a time, on the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from svhncli.data.digits import Digits


class Batches:
    """`digits[indices]` in batches: uint8 (B, C, H, W) and int64 (B, L) on the device.

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

    def take(self, positions: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
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

    def in_order(self, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every picture once, in the order of `indices`; the last batch may be smaller and is not padded."""
        for start in range(0, len(self), batch_size):
            yield self.take(np.arange(start, min(start + batch_size, len(self))))


def batch_bounds(count: int, batch_size: int) -> np.ndarray:
    """Where the batches of an epoch begin and end: (steps + 1,) int64.

    Batches differ by one picture at most, so no picture is dropped and no batch is a small rest.
    """
    steps = -(-count // batch_size)
    return np.arange(steps + 1) * count // steps
