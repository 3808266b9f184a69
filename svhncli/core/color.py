"""Luma: the one weighting of red, green and blue to brightness."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""


def luma(images: Tensor) -> Tensor:
    """Gray images (B, 1, H, W) of images (B, C, H, W): weighted by `LUMA` if C is 3, else the mean."""
    if images.shape[1] != len(LUMA):
        return images.mean(1, keepdim=True)
    red, green, blue = (share * channel for share, channel in zip(LUMA, images.unbind(1), strict=True))
    return (red + green + blue)[:, None]
