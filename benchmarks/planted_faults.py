"""How many planted faults `svhn inspect` finds, and how much of what it finds is planted.

    python benchmarks/planted_faults.py FOLDER [--seed 0] [--keep DIR] [KEY=VALUE ...]

FOLDER holds train_32x32.mat and test_32x32.mat. Of a copy, 30 training labels are swapped for others, 20
training pictures are copied into the test part, 10 training pictures are made blank, and 10 near-duplicates
are added to the training part (moved by a pixel, another brightness, JPEG). Then `svhn inspect` looks at the
data, and at a 5-fold run that is trained on it; words with "=" go to that training. The natural duplicates
and blank pictures of the folder
itself, which the same search finds before anything is planted, are no errors of the search: they are counted
    beside it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from svhncli.data import svhn
from svhncli.data.cache import Cache

SWAPPED, COPIED, BLANK, NEAR = 30, 20, 10, 10
TOP = 60
FINDINGS = ("blank", "exact_duplicates", "near_duplicates", "leakage")


@dataclass(frozen=True)
class Planted:
    """Which pictures, as (part, index), have which fault."""

    swapped: set[tuple[str, int]]
    copied: set[tuple[str, int]]
    blank: set[tuple[str, int]]
    near: set[tuple[str, int]]


def read(folder: Path, part: str, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 3, 32, 32) and classes int64 (N,) of a file of the cropped layout."""
    digits = svhn.load_file(folder / f"{part}_32x32.mat", cache=Cache(cache))
    return np.array(digits.images), digits.labels[:, 0].copy()


def write(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    rows = images.transpose(2, 3, 1, 0)
    savemat(folder / f"{part}_32x32.mat", {"X": rows, "y": np.where(labels == 0, 10, labels)[:, None]})


def nearly(picture: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The picture uint8 (3, H, W) a pixel aside, a little lighter or darker, through JPEG of quality 75 to
    90."""
    down, right = draw.permutation([0, draw.choice([-1, 1])])
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge")
    moved = padded[:, 1 + down : 33 + down, 1 + right : 33 + right]
    lit = np.clip(moved * draw.uniform(0.9, 1.1) + draw.uniform(-8, 8), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(lit.transpose(1, 2, 0)).save(file, "jpeg", quality=int(draw.integers(75, 91)))
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def plant(source: Path, folder: Path, cache: Path, seed: int) -> Planted:
    """Write a copy of `source` with faults into `folder`."""
    draw = np.random.default_rng(seed)
    train, labels = read(source, "train", cache)
    test, test_labels = read(source, "test", cache)
    rows = draw.permutation(len(train))[: SWAPPED + COPIED + BLANK + NEAR]
    swapped, copied, blank, near = np.split(rows, np.cumsum([SWAPPED, COPIED, BLANK]))
    labels[swapped] = (labels[swapped] + draw.integers(1, 10, SWAPPED)) % 10
    colours = draw.integers(0, 256, (BLANK, 3, 1, 1))
    noise = draw.normal(0, 1.5, (BLANK, *train.shape[1:]))
    train[blank] = np.clip(colours + noise, 0, 255).astype(np.uint8)
    again = np.stack([nearly(train[row], draw) for row in near])
    write(folder, "train", np.concatenate([train, again]), np.concatenate([labels, labels[near]]))
    write(
        folder,
        "test",
        np.concatenate([test, train[copied]]),
        np.concatenate([test_labels, labels[copied]]),
    )
    return Planted(
        {("train", int(row)) for row in swapped},
        {("test", len(test) + place) for place in range(COPIED)},
        {("train", int(row)) for row in blank},
        {("train", len(train) + place) for place in range(NEAR)},
    )
