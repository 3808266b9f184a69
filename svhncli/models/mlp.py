"""A multilayer perceptron: it gets the pixels as a vector and must learn which ones are neighbors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from svhncli.models.gates import Units, in_a_row
from svhncli.models.head import Head


class Mlp(nn.Module):
    """Fully connected layers with ReLU; (B, C, H, W) -> logits (B, positions, classes).

    Args:
        in_shape: (C, H, W) of an image.
        widths: units of each hidden layer; without any it is the linear model.
        dropout: share of each hidden layer's units that is dropped in training.
    """

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        widths: Sequence[int] = (512, 256),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels, height, width = in_shape
        features = channels * height * width
        layers: list[nn.Module] = []
        for units in widths:
            layers += [nn.Linear(features, units), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            features = units
        self.body = nn.Sequential(*layers)
        self.head = Head(features, positions, classes)

    def units(self) -> list[Units]:
        return in_a_row(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images.flatten(1)))
