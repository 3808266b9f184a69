"""Tiny images of a person's own on disk, and data=folder on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.framing import Framing
from svhncli.data.sources import folder
from svhncli.data.store.cache import Cache

FRAMING = Framing(8, 8)


def make_image(path: Path, value: int) -> None:
    """An image of one gray value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 9), (value, value, value)).save(path)


def load(root: Path, framing: Framing = FRAMING, **options: Any) -> DataSet:
    beside = root if root.is_dir() else root.parent
    return folder.load(root, framing, cache=Cache(beside.parent / "cache"), **options)


def contents(part: Digits | None) -> dict[str, tuple[str, int]]:
    """Each image's name, with its number and the gray value of its pixels."""
    assert part is not None
    assert (part.images == part.images[:, :1, :1, :1]).all(), "an image is not of one gray value"
    numbers = ["".join(str(digit) for digit in row if digit != 10) for row in part.labels.tolist()]
    return dict(zip(part.names, zip(numbers, part.images[:, 0, 0, 0].tolist(), strict=True), strict=True))


def group_of(part: Digits) -> dict[str, int]:
    """Each image's name, with the number of its group."""
    return dict(zip(part.names, part.groups.tolist(), strict=True))
