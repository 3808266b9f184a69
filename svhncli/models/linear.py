"""Logistic regression on the pixels, optionally also on products of two pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from svhncli.core.errors import UsageError
from svhncli.models.head import Head, require_side


class Linear(nn.Module):
    """The pixels (B, C, H, W) times one matrix -> logits (B, positions, classes).

    Args:
        in_shape: (C, H, W) of an image.
        degree: 1: only the pixels; 2: in addition all products of two pixels, squares included, of a small
            gray image (`pool` × `pool` means): pool² (pool² + 1) / 2 more features.
        pool: side of that image.
        dropout: share of the features that is dropped in training.

    Raises:
        UsageError: degree is neither 1 nor 2, or the image is smaller than `pool`.
    """

    pairs: Tensor

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        positions: int,
        classes: int,
        *,
        degree: int = 1,
        pool: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if degree not in (1, 2):
            raise UsageError(
                f"model.degree must be 1 or 2, not {degree}", "2 adds the products of two pixels"
            )
        channels, height, width = in_shape
        features = channels * height * width
        self.pool = pool if degree == 2 else 0
        if self.pool:
            require_side("linear with degree=2", in_shape, pool)
            pairs = torch.triu_indices(pool * pool, pool * pool)
            self.register_buffer("pairs", pairs, persistent=False)
            features += pairs.shape[1]
        self.dropout = nn.Dropout(dropout)
        self.head = Head(features, positions, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = images.flatten(1)
        if self.pool:
            small = functional.adaptive_avg_pool2d(images.mean(1), self.pool).flatten(1)
            first, second = self.pairs
            features = torch.cat((features, small[:, first] * small[:, second]), 1)
        return self.head(self.dropout(features))
