"""What all networks share: the final classifier, and the check that images are large enough."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svhncli.core.errors import UsageError


class Head(nn.Module):
    """A linear classifier for every position at once: (B, features) -> logits (B, positions, classes).

    It is the attribute `head` of every network, so its keys in a state dict start with `head.`, and
    fine-tuning on other labels can skip it.
    """

    def __init__(self, features: int, positions: int, classes: int) -> None:
        super().__init__()
        self.positions = positions
        self.classes = classes
        self.linear = nn.Linear(features, positions * classes)

    def start_from(self, shares: Tensor) -> None:
        """Initialize the bias so that the untrained network predicts these class shares on average.

        Then the first steps need not learn how frequent each class is (Karpathy 2019).

        shares: float (positions, classes), above 0.
        """
        with torch.no_grad():
            self.linear.bias.copy_(shares.log().flatten())

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features).unflatten(1, (self.positions, self.classes))


def require_side(network: str, in_shape: tuple[int, int, int], smallest: int) -> None:
    """Refuse images (C, H, W) whose shorter side is below `smallest` pixels.

    Raises:
        UsageError: names the size and the smallest size that the network accepts.
    """
    _, height, width = in_shape
    if min(height, width) < smallest:
        raise UsageError(
            f"model {network} needs images of at least {smallest}×{smallest} pixels, not {height}×{width}",
            "choose a larger image size, or model=mlp, which accepts any",
        )
