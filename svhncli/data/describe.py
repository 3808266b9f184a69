"""What a part of a data set is made of, in numbers: how many of what, how large, how bright."""

from __future__ import annotations

from typing import Any

import numpy as np

from svhncli.core.color import LUMA

SAMPLE = 20_000
"""Pictures, spread evenly over the part, whose pixels are looked at: more would move no shown figure."""
BATCH = 1_000


def luminance(images: np.ndarray) -> np.ndarray:
    """Brightness of every pixel: uint8 (N, C, H, W), C = 1 or 3, to float32 (N, H, W) in [0, 255]."""
    if images.shape[1] == 1:
        return images[:, 0].astype(np.float32)
    return np.einsum("nchw,c->nhw", images.astype(np.float32), np.array(LUMA, np.float32))


def light(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and contrast of every picture: mean and standard deviation of its pixels' luminance, both
    float32 (N,) in [0, 255].

    images: uint8 (N, C, H, W), C = 1 or 3, which may be memory-mapped: it is read in small pieces.
    """
    brightness, contrast = np.empty(len(images), np.float32), np.empty(len(images), np.float32)
    for start in range(0, len(images), BATCH):
        grey = luminance(images[start : start + BATCH])
        brightness[start : start + BATCH] = grey.mean((1, 2))
        contrast[start : start + BATCH] = grey.std((1, 2))
    return brightness, contrast


def describe(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray, rows: np.ndarray, blank: int
) -> dict[str, Any]:
    """Counts of pictures `rows` of a part, and the light of up to `SAMPLE` of them.

    Args:
        images: uint8 (N, C, H, W). labels: int64 (N, L), digits 0-9 padded with `blank`. groups: int64 (N,).
        rows: int64 (n,), of which pictures; one that is named twice (as in a bootstrap) counts once.

    Returns:
        {"n", "shape": [C, H, W], "classes": digits of each class 0-9, "lengths": numbers of 1, 2, … L digits,
        "groups": house numbers, "brightness" and "contrast": {"mean", "sd"} over pictures, in [0, 255]}.

    Raises:
        ValueError: no rows.
    """
    rows = np.unique(rows)
    if not len(rows):
        raise ValueError("a part without pictures cannot be described")
    found = labels[rows]
    brightness, contrast = light(images[rows[:: -(-len(rows) // SAMPLE)]])
    return {
        "n": len(rows),
        "shape": list(images.shape[1:]),
        "classes": np.bincount(found.ravel(), minlength=10)[:10].tolist(),
        "lengths": np.bincount((found != blank).sum(1), minlength=labels.shape[1] + 1)[1:].tolist(),
        "groups": len(np.unique(groups[rows])),
        "brightness": {"mean": float(brightness.mean()), "sd": float(brightness.std())},
        "contrast": {"mean": float(contrast.mean()), "sd": float(contrast.std())},
    }
