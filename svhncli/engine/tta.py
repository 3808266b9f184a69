"""Test-time augmentation: the image itself and slightly shifted or zoomed views, always the same ones."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from svhncli.engine.augment import inverse_affine, warp
from svhncli.engine.device import to_device

ZOOM = 1.1
VIEWS = (
    *((0, 0, 1.0), (1, 0, 1.0), (-1, 0, 1.0), (0, 1, 1.0), (0, -1, 1.0)),
    *((0, 0, ZOOM), (0, 0, 1 / ZOOM)),
    *((1, 1, 1.0), (-1, -1, 1.0), (1, -1, 1.0), (-1, 1, 1.0)),
    *((0, 0, ZOOM**2), (0, 0, 1 / ZOOM**2)),
)
"""Pixels to the right and down, and the zoom, of every view. The first 5 are symmetric about the image, 7 add
a zoom in and out, 11 the diagonals. None is mirrored: a mirrored digit is another digit or none."""


def views(images: Tensor, count: int) -> Iterator[Tensor]:
    """The first `count` of `VIEWS`, the first of which is the batch itself.

    images: float32 (B, C, H, W); so is every view. Locations outside repeat the nearest edge pixel.
    """
    yield images
    for right, down, zoom in VIEWS[1:count]:
        values = to_device(torch.tensor([0, 0, zoom, right, down, 1, 1]), images.device)
        yield warp(images, inverse_affine(*values[:, None]).expand(len(images), -1, -1))
