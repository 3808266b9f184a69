"""A spatial transformer (Jaderberg et al. 2015): a network looks where the number is and turns to it."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

POOLED = 32
"""Side of the picture that the localisation network sees."""

LIMITS = (math.pi / 4, math.log(4), math.log(4), 1.0, 1.0)
"""The largest turn (radians; more makes other digits of 6 and 9), the logarithms of the largest zoom along x
and y, and the largest shifts in half sides: any place can come to the middle, and none gets out of sight."""

CAUTION = 0.1
"""Factor of the localisation network's answers, so that its steps are small beside those of the network
behind, from which it learns. Without it (on digits shifted far, before a linear model) the answers ran to the
limits and stayed there: 4 of 4 times with SGD at lr 0.05, once in 8 with Adam at 0.003; with it never."""


class SpatialTransformer(nn.Module):
    """Resamples every picture once, by an affine map of its own: (B, C, H, W) -> (B, C, *size), float32.

    Two small convolutions see the picture pooled to 32×32 and say how far it is turned, zoomed along each
    side and shifted, within `LIMITS`. They start with the answer "not at all", which gives the whole picture
    back. Places outside of a picture repeat its edge.

    Args:
        channels: of the pictures.
        size: height and width of what it gives back. A number that fills a quarter of a photograph keeps its
            pixels in half as many rows and columns, once the transformer has found it, and the network
            behind has a quarter of the work.
    """

    limits: Tensor

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.localise = nn.Sequential(
            nn.AdaptiveAvgPool2d(POOLED),
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (POOLED // 4) ** 2, 32),
            nn.ReLU(inplace=True),
            last := nn.Linear(32, len(LIMITS)),
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("limits", torch.tensor(LIMITS), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        # in reduced precision a coordinate would be off by half a pixel
        answers = (CAUTION * self.localise(images).float()).tanh() * self.limits
        turn, zoom_x, zoom_y, right, down = answers.unbind(1)
        height, width = images.shape[2:]
        rows, columns = self.size
        x, y = ((2 * torch.arange(side, device=images.device) + 1) / side - 1 for side in (columns, rows))
        # a turn in pixels, also where the sides differ; products of single numbers, since autocast reduces
        # those of matrices
        cos, sin = turn.cos(), turn.sin()
        across = _plane(cos, x, -sin * (height / width), y) * zoom_x.exp()[:, None, None]
        along = _plane(sin * (width / height), x, cos, y) * zoom_y.exp()[:, None, None]
        grid = torch.stack((across + right[:, None, None], along + down[:, None, None]), -1)
        return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def _plane(by_x: Tensor, x: Tensor, by_y: Tensor, y: Tensor) -> Tensor:
    """by_x · x + by_y · y of factors (B,) and coordinates (W,), (H,): (B, H, W)."""
    return (by_x[:, None] * x)[:, None, :] + (by_y[:, None] * y)[:, :, None]


def in_front(network: nn.Module, channels: int, size: tuple[int, int]) -> nn.Module:
    """A network for pictures of a size (height, width), behind a transformer that makes them; the names of
    its own parts stay, after `network.`."""
    return nn.Sequential(OrderedDict(stn=SpatialTransformer(channels, size), network=network))
