"""Small files in the layout of SVHN's cropped digits, and a check against scipy's reading of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, savemat

from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.sources import svhn
from svhncli.data.store.cache import Cache

COUNTS = {"train": 31, "test": 12, "extra": 23}


def make_images(part: str, n: int, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """X uint8 (H, W, 3, N) and y uint8 (N, 1) in 1-10, as the official files hold them."""
    draw = numpy_generator(0, "svhn", part)
    return draw.integers(0, 256, (size, size, 3, n), np.uint8), draw.integers(1, 11, (n, 1), np.uint8)


def write(path: Path, x: Any, y: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"X": x, "y": y}, do_compression=True)
    return path


def load(root: Path, cache: Path | None = None, **options: Any) -> DataSet:
    defaults: dict[str, Any] = {"check_md5": False, "cache": Cache(cache or root.parent / "cache")}
    return svhn.load(root, **(defaults | options))


def assert_equals_mat(digits: Any, *paths: Path) -> None:
    start = 0
    for path in paths:
        reference = loadmat(path)
        labels = reference["y"].ravel().astype(int)
        labels[labels == 10] = 0
        rows = slice(start, start + len(labels))
        assert digits.labels[rows, 0].tolist() == labels.tolist()
        assert np.array_equal(digits.images[rows], reference["X"].transpose(3, 2, 0, 1))
        start += len(labels)
    assert len(digits) == start
