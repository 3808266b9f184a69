"""The small network of Datawhale's street-view character tutorial."""

from __future__ import annotations

from torch import Tensor, nn

from svhncli.models.gates import Units, in_a_row
from svhncli.models.head import Head, require_side

SMALLEST_SIDE = 21  # 21 -> 10 -> 5 -> 2 -> 1


class Datawhale(nn.Module):
    """Twice: 3×3 convolution with stride 2, ReLU, 2×2 max pool; then a linear head.

    (B, C, H, W) -> logits (B, positions, classes). Nothing is padded, as in the tutorial, whose 64×128 images
    give a 32×3×7 feature map; 32×32 images give 32×1×1.

    Args:
        in_shape: (C, H, W) of an image; H and W at least 21.
        dropout: share of the head's inputs that is dropped in training.

    Raises:
        UsageError: the image is too small.
    """

    def __init__(
        self, in_shape: tuple[int, int, int], positions: int, classes: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        require_side("datawhale", in_shape, SMALLEST_SIDE)
        channels, height, width = in_shape
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        for _ in range(2):
            height, width = ((side - 1) // 2 // 2 for side in (height, width))
        self.dropout = nn.Dropout(dropout)
        self.head = Head(32 * height * width, positions, classes)

    def units(self) -> list[Units]:
        return in_a_row(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(images).flatten(1)))
