"""The contents of a part of a data set in numbers: counts, sizes, brightness and contrast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from svhncli.core.color import LUMA
from svhncli.core.labels import BLANK, CLASSES
from svhncli.core.plain import optional
from svhncli.core.text import percent
from svhncli.data import boxes
from svhncli.data.dataset import DataSet, val_digits
from svhncli.data.digits import Digits
from svhncli.data.split import Fold

SAMPLE = 20_000
"""Images, spread evenly over the part, whose pixels are measured: more would not change a printed digit."""
BATCH = 1_000
MISPLACED = 0.2
"""Share of images with a box that reaches beyond them: boxes drawn carelessly are fewer."""
FLAT = 32
"""Gray levels, of 255, by which some pixels of a part differ; with fewer, its files have another scale."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over images."""

    mean: float
    sd: float


@dataclass(frozen=True)
class PixelRange:
    """Lengths of one side of photographs, in pixels."""

    min: int
    median: float
    max: int


@dataclass(frozen=True)
class PartDescription:
    """A part of a data set in numbers.

    n: images. shape: C, H, W. classes: digits of each class 0-9. lengths: numbers of 1, 2, … L digits.
    groups: how many. brightness, contrast: over images, in [0, 255]. sizes: of the photographs that were
    scaled down, by "width" and "height". without_number: images that show none; None where each shows one.
    """

    n: int
    shape: list[int]
    classes: list[int]
    lengths: list[int]
    groups: int
    brightness: Spread
    contrast: Spread
    sizes: dict[str, PixelRange] | None = optional()
    without_number: int | None = optional()


def luminance(images: np.ndarray) -> np.ndarray:
    """Brightness of every pixel: uint8 (N, C, H, W), C = 1 or 3, to float32 (N, H, W) in [0, 255]."""
    if images.shape[1] == 1:
        return images[:, 0].astype(np.float32)
    return np.einsum("nchw,c->nhw", images.astype(np.float32), np.array(LUMA, np.float32))


def light(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and contrast of every image: mean and standard deviation of its pixels' luminance, both
    float32 (N,) in [0, 255].

    images: uint8 (N, C, H, W), C = 1 or 3, which may be memory-mapped: it is read in small batches.
    """
    brightness, contrast = np.empty(len(images), np.float32), np.empty(len(images), np.float32)
    for start in range(0, len(images), BATCH):
        gray = luminance(images[start : start + BATCH])
        brightness[start : start + BATCH] = gray.mean((1, 2))
        contrast[start : start + BATCH] = gray.std((1, 2))
    return brightness, contrast


def describe(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray, rows: np.ndarray, blank: int
) -> PartDescription:
    """Counts over the images `rows` of a part, and the brightness and contrast of up to `SAMPLE` of them.

    Args:
        images: uint8 (N, C, H, W). labels: int64 (N, L), digits 0-9 padded with `blank`. groups: int64 (N,).
        rows: int64 (n,), the images; one that is repeated (as in a bootstrap sample) counts once.

    Raises:
        ValueError: no rows.
    """
    rows = np.unique(rows)
    if not len(rows):
        raise ValueError("there are no images to describe")
    chosen = labels[rows]
    brightness, contrast = light(images[rows[:: -(-len(rows) // SAMPLE)]])
    lengths = np.bincount((chosen != blank).sum(1), minlength=labels.shape[1] + 1).tolist()
    return PartDescription(
        n=len(rows),
        shape=list(images.shape[1:]),
        classes=np.bincount(chosen.ravel(), minlength=10)[:10].tolist(),
        lengths=lengths[1:],
        groups=len(np.unique(groups[rows])),
        brightness=Spread(float(brightness.mean()), float(brightness.std())),
        contrast=Spread(float(contrast.mean()), float(contrast.std())),
        without_number=lengths[0] or None,
    )


def flat_parts(data: DataSet) -> Iterator[str]:
    """A sentence for each part whose images are all but constant, judged by some of them."""
    for name, digits in _parts(data):
        sample = digits.images[:: max(1, len(digits) // 200)]
        low, high = int(sample.min()), int(sample.max())
        if high - low < FLAT:
            yield (
                f"the {name} images are all but blank: their pixels are {low} to {high} of 255 (transparent "
                "pixels are shown as white)"
            )


def misplaced_boxes(data: DataSet) -> Iterator[str]:
    """A sentence for each part in which many boxes reach beyond their images."""
    for name, digits in _parts(data):
        if digits.boxes is not None and digits.sizes is not None:
            share = float((boxes.outside(digits.boxes, digits.sizes) > boxes.SLACK).mean())
            if share >= MISPLACED:
                yield (
                    f"in {percent(share, 0)} of the {name} images a box reaches beyond the image: "
                    "are the labels those of other images?"
                )


def class_gaps(data: DataSet, fold: Fold | None = None) -> Iterator[str]:
    """A sentence for the classes that no training image shows, and for each part that shows a single class.

    fold: trains on some of the training images, and validates on its own; None: on those of the data set.
    """
    labels = {name: digits.labels.ravel() for name, digits in _parts(data)}
    if fold is not None:
        labels["training"] = data.train.labels[fold.train].ravel()
        labels["validation"] = val_digits(data, fold).labels[fold.val].ravel()
    if data.extra_train is not None:
        labels["training"] = np.concatenate((labels["training"], data.extra_train.labels.ravel()))
    for name, digits in labels.items():
        shown = set(digits[digits != BLANK].tolist())
        absent = [str(digit) for digit in range(CLASSES) if digit not in shown]
        if len(shown) == 1:
            lost = "no other digit can be learned" if name == "training" else "others are not scored"
            yield f"every digit of the {name} images is {shown.pop()}: {lost}"
        elif absent and name == "training":
            yield f"no training image shows {' or '.join(absent)}: the network cannot learn to read it"


def _parts(data: DataSet) -> Iterator[tuple[str, Digits]]:
    for name, digits in (("training", data.train), ("validation", data.val), ("test", data.test)):
        if digits is not None and len(digits):
            yield name, digits
