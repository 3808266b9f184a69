"""The list of data folders that people have, and what makes the files in them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

FOLDERS: dict[str, Callable[[Path], str]] = {}
"""Name -> what makes a data folder that does not exist yet, and returns the words of a command: in its parent
folder, they read it."""


def folder(make: Callable[[Path], str]) -> Callable[[Path], str]:
    """List a function in `FOLDERS` by its name."""
    FOLDERS[make.__name__] = make
    return make


def image(path: Path, deep: bool = False) -> None:
    """Noise that depends on the name; deep: gray of 12 bits in 16."""
    draw = np.random.default_rng(zlib.crc32(path.name.encode()))
    pixels = draw.integers(0, 256, (12, 10, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 16 if deep else pixels).save(path)


def images(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        image(folder / name)


def files(folder: Path, *names: str) -> None:
    """Small files that are no images."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\1\2")
