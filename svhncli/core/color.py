"""Brightness, as all who change or draw pictures weigh it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue add to brightness (ITU-R BT.601)."""


def luma(images: Tensor) -> Tensor:
    """The grey (B, 1, H, W) of pictures (B, C, H, W): by `LUMA` of three channels, else the mean."""
    if images.shape[1] != len(LUMA):
        return images.mean(1, keepdim=True)
    red, green, blue = (share * channel for share, channel in zip(LUMA, images.unbind(1), strict=True))
    return (red + green + blue)[:, None]
