"""Random numbers by name: every draw comes from a generator keyed by (seed, what, where).

Nothing draws from global state, so what a step does never depends on how it was reached. That is what
makes a resumed run end with the same bits, and a data set that is extended keep what it had.
"""

from __future__ import annotations

import hashlib
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


def torch_generator(seed: int, *path: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator of its own for (seed, path)."""
    import torch

    return torch.Generator(device).manual_seed(key(seed, *path))
