"""Keyed random numbers: every draw comes from a generator keyed by (seed, purpose, position).

Nothing draws from global state, so what a step does never depends on how it was reached. That is why a
resumed run is bit-identical to an undisturbed one, and why extending a data set keeps its existing images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def key(seed: int, *path: int | str) -> int:
    """A 63-bit integer for (seed, path), the same on every machine and in every Python version."""
    text = "/".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def numpy_generator(seed: int, *path: int | str) -> np.random.Generator:
    """The NumPy generator for (seed, path)."""
    return np.random.Generator(np.random.PCG64(key(seed, *path)))


class Several:
    """B generators as one: image i draws only from the i-th, so its draws depend on no other image."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self.generators = generators

    def take(self, rows: Sequence[int]) -> Several:
        """The generators of these rows."""
        return Several([self.generators[row] for row in rows])

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform float64 (B, …) in [0, 1)."""
        return np.stack([generator.random(shape[1:]) for generator in self.generators])

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Normal float64 (B, …)."""
        return np.stack([generator.standard_normal(shape[1:]) for generator in self.generators])

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform float64 (B, …) in [low, high)."""
        return low + (high - low) * self.random(shape)


def torch_generator(seed: int, *path: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """The torch generator for (seed, path)."""
    import torch

    return torch.Generator(device).manual_seed(key(seed, *path))
