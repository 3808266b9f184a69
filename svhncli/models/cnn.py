"""The default network: four convolutions, each of which halves the picture."""

from __future__ import annotations

from torch import Tensor, nn

from svhncli.models.head import Head, require_side

SMALLEST_SIDE = 8
LAYERS = ((16, 5, 2), (48, 3, 2), (128, 3, 2), (192, 3, 2))
"""Channels, side of the kernel and stride of each convolution."""


class Cnn(nn.Module):
    """Convolution, batch norm, ReLU, four times; (B, C, H, W) -> logits (B, positions, classes).

    293,050 parameters for digits in 32×32 colour pictures. It is fast on a CPU because no layer works at
    full resolution: the first already has stride 2 (and 5×5 kernels, since it sees all detail that there
    is), and nine tenths of the weights stand where 4×4 cells or fewer are left. The head sees the last cells
    side by side, since a mean over them would forget where a stroke was.

    Args:
        in_shape: (C, H, W) of a picture; H and W at least 8.
        width: multiplies the channels of every layer (rounded to multiples of 8).
        dropout: share of the head's inputs that is dropped in training.

    Raises:
        UsageError: the picture is too small.
    """

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        width: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_side("cnn", in_shape, SMALLEST_SIDE)
        channels, rows, columns = in_shape
        layers: list[nn.Module] = []
        for base, kernel, stride in LAYERS:
            out = max(8, round(base * width / 8) * 8)
            layers += [
                nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
            channels, rows, columns = out, -(-rows // stride), -(-columns // stride)
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = Head(channels * rows * columns, positions, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(images).flatten(1)))
