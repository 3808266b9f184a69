"""A spatial transformer (Jaderberg et al. 2015): a network locates the number and moves it to the center."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

POOLED = 32
"""Side of the pooled image that the localization network sees."""

LIMITS = (math.pi / 4, math.log(4), math.log(4), 1.0, 1.0)
"""The largest rotation (in radians; more would turn 6 into 9), the logarithms of the largest zoom along x and
y, and the largest shifts in half sides: any point can move to the center, and none entirely out of view."""

CAUTION = 0.1
"""Factor of the localization network's outputs, so that it learns slowly compared with the network behind it,
whose gradients it depends on. Without it (digits shifted far, in front of a linear model) the outputs ran to
the limits and stayed there in 4 of 4 runs with SGD (lr 0.05) and 1 of 8 with Adam (0.003); with it, never."""


class SpatialTransformer(nn.Module):
    """Resamples every image once, by an affine map of its own: (B, C, H, W) -> (B, C, *size), float32.

    A small convolutional network sees the image pooled to 32×32 and predicts its rotation, zoom along each
    side and shift, within `LIMITS`. It is initialized to predict the identity, which returns the whole image.
    Locations outside an image repeat the nearest edge pixel.

    Args:
        channels: of the images.
        size: height and width of the output. A number that fills a quarter of a photograph keeps its
            resolution with half as many rows and columns, once the transformer has located it, and the
            network behind it has a quarter of the work.
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
        outputs = (CAUTION * self.localise(images).float()).tanh() * self.limits
        rotation, zoom_x, zoom_y, right, down = outputs.unbind(1)
        height, width = images.shape[2:]
        rows, columns = self.size
        x, y = ((2 * torch.arange(side, device=images.device) + 1) / side - 1 for side in (columns, rows))
        # a rotation in pixels even if the sides differ; elementwise products, since autocast reduces the
        # precision of matrix products
        cos, sin = rotation.cos(), rotation.sin()
        across = _plane(cos, x, -sin * (height / width), y) * zoom_x.exp()[:, None, None]
        along = _plane(sin * (width / height), x, cos, y) * zoom_y.exp()[:, None, None]
        grid = torch.stack((across + right[:, None, None], along + down[:, None, None]), -1)
        return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def _plane(by_x: Tensor, x: Tensor, by_y: Tensor, y: Tensor) -> Tensor:
    """by_x · x + by_y · y for factors (B,) and coordinates (W,) and (H,): (B, H, W)."""
    return (by_x[:, None] * x)[:, None, :] + (by_y[:, None] * y)[:, :, None]


def in_front(network: nn.Module, channels: int, size: tuple[int, int]) -> nn.Module:
    """A network for images of a size (height, width), behind a transformer that produces them.

    The network's state dict keeps its names, prefixed by `network.`.
    """
    return nn.Sequential(OrderedDict(stn=SpatialTransformer(channels, size), network=network))
