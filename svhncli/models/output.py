"""What a network returns, and what one that learns from boxes must have."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class BoxOutput(NamedTuple):
    """What a network that learns from boxes returns while it trains.

    logits: float (B, L, K), as in evaluation. located: what its loss takes beside them.
    """

    logits: Tensor
    located: tuple[Tensor, ...]


class Spots(NamedTuple):
    """The digits found in B images, in reading order, then what was found but rejected.

    logits: float32 (B, L, K). boxes: float32 (B, L, 4), left, top, right and bottom in pixels of the images;
    meaningless at positions whose most likely class is blank.
    """

    logits: Tensor
    boxes: Tensor


Output = Tensor | BoxOutput
"""Of a network in training; in evaluation it is always logits (B, L, K)."""


@runtime_checkable
class LearnsBoxes(Protocol):
    """A network whose loss depends on where the digits are."""

    def losses(
        self, output: BoxOutput, labels: Tensor, boxes: Tensor, classify: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The loss of every image, float32 (B,).

        Args:
            output: of this network in training.
            labels: int64 (B, L).
            boxes: float32 (B, L, 4), each digit's left, top, right and bottom in pixels of the network's
                input, NaN where none is known; they may reach beyond it.
            classify: logits -> their cross-entropy with the labels, float32 (B,).
        """
        ...


@runtime_checkable
class FindsBoxes(Protocol):
    """A network that knows where the digits are that it predicts."""

    def spots(self, images: Tensor) -> Spots:
        """What it finds in its input, in evaluation mode; the logits are those of `forward`."""
        ...
