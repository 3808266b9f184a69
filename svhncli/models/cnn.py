"""The default network: four convolutions, each of which halves the image."""

from __future__ import annotations

from torch import Tensor, nn

from svhncli.models.convolution import Convolution, flattened
from svhncli.models.gates import Units, in_a_row
from svhncli.models.head import Head, require_side
from svhncli.models.reader import SharedReader

SMALLEST_SIDE = 8
LAYERS = ((16, 5, 2), (48, 3, 2), (128, 3, 2), (192, 3, 2))
"""Channels, side of the kernel and stride of each convolution."""
READ = 2
"""The resolution, counted from 0, whose features a shared reader looks at."""


class Cnn(nn.Module):
    """Convolution, batch norm, ReLU, four times or more; (B, C, H, W) -> logits (B, positions, classes).

    293,050 parameters for single digits in 32×32 color images. It is fast on a CPU because no layer works at
    full resolution: even the first has stride 2 (and 5×5 kernels, since only it sees every pixel), and nine
    tenths of the weights are in layers whose output is 4×4 or smaller. The final feature map is flattened,
    not averaged, since a mean would lose the position of a stroke.

    Args:
        in_shape: (C, H, W) of an image; H and W at least 8.
        width: multiplies the channels of every convolution (rounded to multiples of 8).
        depth: convolutions at each resolution except the first, which has one; those with stride 1 have 3×3
            kernels.
        hidden: units of a layer (linear, batch norm, ReLU) between the feature map and the head; 0: none. A
            linear head cannot tell where a number begins, and so not which digit is where: on whole
            photographs such a layer doubled the accuracy.
        reader: "heads", a linear classifier for each position; or "columns", the same one for all positions,
            which looks at the features of the third resolution.
        dropout: share of the inputs of the head, and of the hidden layer, that is dropped in training.

    Raises:
        UsageError: the image is too small.
    """

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        width: float = 1.0,
        depth: int = 1,
        hidden: int = 0,
        reader: str = "heads",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_side("cnn", in_shape, SMALLEST_SIDE)
        channels, rows, columns = in_shape
        layers: list[nn.Module] = []
        for index, (base, kernel, stride) in enumerate(LAYERS):
            out = max(8, round(base * width / 8) * 8)
            layers += _convolution(channels, out, kernel, stride)
            channels, rows, columns = out, -(-rows // stride), -(-columns // stride)
            if index:
                for _ in range(depth - 1):
                    layers += _convolution(channels, channels, 3, 1)
            if index == READ:
                self.read = len(layers)
                cells = channels, rows, columns
        self.body = nn.Sequential(*layers)
        features = channels * rows * columns
        self.hidden = nn.Sequential()
        if hidden:
            self.hidden = nn.Sequential(
                nn.Dropout(dropout),
                nn.Linear(features, hidden, bias=False),
                nn.BatchNorm1d(hidden),
                nn.ReLU(inplace=True),
            )
        self.dropout = nn.Dropout(dropout)
        self.head: Head | SharedReader
        if reader == "columns":
            self.head = SharedReader(hidden or features, *cells, positions, classes, dropout)
        else:
            self.head = Head(hidden or features, positions, classes)

    def units(self) -> list[Units]:
        return in_a_row(self) if isinstance(self.head, Head) else []

    def forward(self, images: Tensor) -> Tensor:
        if isinstance(self.head, Head):
            return self.head(self._whole(self.body(images)))
        cells = self.body[: self.read](images)
        return self.head(self._whole(self.body[self.read :](cells)), cells)

    def _whole(self, features: Tensor) -> Tensor:
        return self.dropout(self.hidden(flattened(features)))


def _convolution(channels: int, out: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        Convolution(channels, out, kernel, stride),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    ]
