"""What test-time augmentation looks at: the picture itself and slightly moved ones, always the same."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from svhncli.engine.augment import inverse_affine, warp

ZOOM = 1.1
VIEWS = (
    *((0, 0, 1.0), (1, 0, 1.0), (-1, 0, 1.0), (0, 1, 1.0), (0, -1, 1.0)),
    *((0, 0, ZOOM), (0, 0, 1 / ZOOM)),
    *((1, 1, 1.0), (-1, -1, 1.0), (1, -1, 1.0), (-1, 1, 1.0)),
    *((0, 0, ZOOM**2), (0, 0, 1 / ZOOM**2)),
)
"""Pixels to the right and down, and the zoom, of every view. 5 views lie evenly about the picture, 7 with a
zoom in and out, 11 with the diagonals. None is mirrored: a mirrored digit is another digit or none."""


def views(images: Tensor, count: int) -> Iterator[Tensor]:
    """The first `count` of `VIEWS`, the first of which is the batch itself.

    images: float32 (B, C, H, W); so is every view. Places outside repeat the picture's edge.
    """
    yield images
    for right, down, zoom in VIEWS[1:count]:
        values = torch.tensor([0, 0, zoom, right, down, 1, 1], device=images.device)
        yield warp(images, inverse_affine(*values[:, None]).expand(len(images), -1, -1))
