"""A reader with one classifier for all places: a digit learned at the first place is known at the last.

It looks at the features of small cells by attention (Bahdanau et al. 2015), one glimpse for each place.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from svhncli.models.head import Head

SIZE = 64
"""Length of the vectors that are compared to find where a digit is."""


class SharedReader(nn.Module):
    """Glimpses at a map of features, classified by the same weights: -> logits (B, positions, classes).

    A vector that knows the whole image says where each digit is, as `positions` queries; what lies there says
    which digit it is. Heads of their own would each have to learn every digit from the numbers that are long
    enough.

    Args:
        whole: length of the vector of the whole image.
        channels, rows, columns: of the map.
        dropout: share of a glimpse's features that is dropped in training.
    """

    def __init__(
        self, whole: int, channels: int, rows: int, columns: int, positions: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.positions = positions
        self.queries = nn.Linear(whole, positions * SIZE)
        self.keys = nn.Linear(channels, SIZE)
        self.places = nn.Parameter(torch.randn(rows * columns, SIZE) / math.sqrt(SIZE))
        self.dropout = nn.Dropout(dropout)
        self.head = Head(channels + SIZE, 1, classes)

    def forward(self, whole: Tensor, features: Tensor) -> Tensor:
        """whole: (B, whole). features: (B, channels, rows, columns)."""
        queries = self.queries(whole).unflatten(1, (self.positions, SIZE))
        cells = features.flatten(2).mT
        likeness = queries @ (self.keys(cells) + self.places).mT / math.sqrt(SIZE)
        glimpses = likeness.softmax(-1) @ cells
        seen = torch.cat([glimpses, queries], -1).flatten(0, 1)
        return self.head(self.dropout(seen)).view(-1, self.positions, self.head.classes)
