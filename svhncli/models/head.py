"""What every network shares: the classifier that ends it, and the check that a picture is large enough."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svhncli.core.errors import UsageError


class Head(nn.Module):
    """A linear classifier for every position at once: (B, features) -> logits (B, positions, classes).

    It is the attribute `head` of every network, so its keys in a state dict start with `head.` and
    fine-tuning for other labels can leave it out.
    """

    def __init__(self, features: int, positions: int, classes: int) -> None:
        super().__init__()
        self.positions = positions
        self.classes = classes
        self.linear = nn.Linear(features, positions * classes)

    def start_from(self, shares: Tensor) -> None:
        """Answer, before any training and but for the features, with these shares: float (positions, classes)
        above 0. Then the first steps need not find out how frequent each class is (Karpathy 2019)."""
        with torch.no_grad():
            self.linear.bias.copy_(shares.log().flatten())

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features).unflatten(1, (self.positions, self.classes))


def require_side(network: str, in_shape: tuple[int, int, int], smallest: int) -> None:
    """Refuse pictures (C, H, W) whose shorter side is below `smallest` pixels.

    Raises:
        UsageError: says the size that was met and the smallest that the network takes.
    """
    _, height, width = in_shape
    if min(height, width) < smallest:
        raise UsageError(
            f"model {network} cannot read {height}×{width} pictures: the smallest are {smallest}×{smallest}",
            "choose a larger picture size, or model=mlp, which takes any",
        )
