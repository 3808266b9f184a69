"""The default network: five 3×3 convolutions, of which three halve the picture."""

from __future__ import annotations

from torch import Tensor, nn

from svhncli.models.head import Head, require_side

SMALLEST_SIDE = 8
CHANNELS_STRIDES = ((32, 2), (64, 2), (64, 1), (128, 2), (128, 1))


class Cnn(nn.Module):
    """Convolution, batch norm, ReLU, five times; (B, C, H, W) -> logits (B, positions, classes).

    About 0.3M parameters for 32×32 colour pictures. It is fast on a CPU because no layer works at full
    resolution: the first already has stride 2, and most weights stand where 4×4 or 8×8 cells are left.
    The head sees the cells side by side, since a mean over them would forget where a stroke was.

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
        channels, height, side = in_shape
        layers: list[nn.Module] = []
        for base, stride in CHANNELS_STRIDES:
            out = max(8, round(base * width / 8) * 8)
            layers += [
                nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
            channels, height, side = out, -(-height // stride), -(-side // stride)
        self.body = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = Head(channels * height * side, positions, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(images).flatten(1)))
