"""Photographs whose digits are bright rectangles, and a detector that finds these without being trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from box_files import write_coco
from conftest import write_run
from photo_files import Row
from PIL import Image
from torch import Tensor

from svhncli.config.groups.model import SpotterConfig
from svhncli.core.labels import BLANK
from svhncli.data.framing import Framing
from svhncli.models.output import Spots
from svhncli.models.spotter import Spotter
from svhncli.runs import checkpoint

PADDED = Framing(40, 80, fit="pad")
POSITIONS = 4

TWO: Row = ("two.png", (4, 2), ((10, 12, 20, 36), (30, 8, 44, 34)))
ONE: Row = ("one.png", (7,), ((64, 20, 84, 50),))
NONE: Row = ("none.png", (), ())
ROWS = [TWO, ONE, NONE]
SIZES = {"two.png": (60, 40), "one.png": (120, 70), "none.png": (50, 50)}


def write_photographs(folder: Path) -> None:
    """The photographs of `ROWS`: black, with a rectangle for each digit, the larger the brighter."""
    folder.mkdir(parents=True)
    for name, label, boxes in ROWS:
        photograph = Image.new("RGB", SIZES[name])
        for digit, (left, top, right, bottom) in zip(label, boxes, strict=True):
            size = int(right - left), int(bottom - top)
            photograph.paste(
                3 * (105 + 15 * digit,), (int(left), int(top), *(np.add((left, top), size).tolist()))
            )
        photograph.save(folder / name)


def write_labeled(root: Path) -> None:
    """The same as training and as test part of a data set, with boxes."""
    for part in ("train", "test"):
        write_photographs(root / part)
        write_coco(root / part / "_annotations.coco.json", [TWO, ONE])
        file = root / part / "_annotations.coco.json"
        (root / part / "none.png").unlink()
        assert json.loads(file.read_text())["images"]


def write_detector(
    folder: Path,
    framing: Framing = PADDED,
    *,
    off: int = 0,
    sure: tuple[float, ...] = (6,) * POSITIONS,
    right: int = 0,
) -> Path:
    """A run of a detector that reads `bright` once `finds_bright` is used.

    off: added to the class of each digit. sure: the logit of the class at each position. right: pixels of its
    input by which its boxes are too far right.
    """
    write_run(folder, framing, POSITIONS, SpotterConfig(width=0.25, depth=1))
    content = checkpoint.load(folder / "best.pt")
    content["weights"]["head.bias"] = torch.tensor([off, right, *sure, *[0] * (15 - 2 - POSITIONS)]).float()
    checkpoint.save(folder / "best.pt", content)
    return folder


@pytest.fixture
def finds_bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spotter, "spots", bright)


def bright(detector: Spotter, images: Tensor) -> Spots:
    """The bright rectangles of images with a black border between them, from left to right."""
    off, right, *sure = detector.head.bias[: 2 + POSITIONS].tolist()
    pixels = (255 * (0.4 + 0.2 * images.mean(1))).numpy()
    logits = torch.zeros(len(images), POSITIONS, 11)
    logits[..., BLANK] = 9
    boxes = torch.full((len(images), POSITIONS, 4), -1e3)
    for i, image in enumerate(pixels):
        columns = np.flatnonzero(np.diff(np.pad((image > 60).any(0), 1).astype(int)))
        for place, (start, end) in enumerate(columns.reshape(-1, 2)):
            rows = np.flatnonzero((image[:, start:end] > 60).any(1))
            top, bottom = rows[0], rows[-1] + 1
            digit = round((image[(top + bottom) // 2, (start + end) // 2] - 105) / 15)
            logits[i, place] = 0
            logits[i, place, (int(digit) + int(off)) % 10] = sure[place]
            boxes[i, place] = torch.tensor([start + right, top, end + right, bottom])
    return Spots(logits, boxes)
