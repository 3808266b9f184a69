"""Random numbers by name: every draw comes from a generator keyed by (seed, what, where).

Nothing draws from global state, so what a step does never depends on how it was reached. That is what
makes a resumed run end with the same bits, and a data set that is extended keep what it had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def key(seed: int, *path: int | str) -> int:
    """A 63-bit integer for (seed, path), the same on every machine and in every version of Python."""
    text = "/".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def numpy_generator(seed: int, *path: int | str) -> np.random.Generator:
    """A NumPy generator of its own for (seed, path)."""
    return np.random.Generator(np.random.PCG64(key(seed, *path)))


class Several:
    """B generators as one: picture i draws from the i-th alone, so what it draws depends on no other."""

    def __init__(self, each: Sequence[np.random.Generator]) -> None:
        self.each = each

    def take(self, rows: Sequence[int]) -> Several:
        """Some of them."""
        return Several([self.each[row] for row in rows])

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform float64 (B, …) in [0, 1)."""
        return np.stack([one.random(shape[1:]) for one in self.each])

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Normal float64 (B, …)."""
        return np.stack([one.standard_normal(shape[1:]) for one in self.each])

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform float64 (B, …) in [low, high)."""
        return low + (high - low) * self.random(shape)


def torch_generator(seed: int, *path: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator of its own for (seed, path)."""
    import torch

    return torch.Generator(device).manual_seed(key(seed, *path))
