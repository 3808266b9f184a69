"""Networks that read together: each behind its own normalisation, their probabilities mixed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from svhncli.core.colour import luma


class Member(nn.Module):
    """A network of an ensemble: pictures float32 (B, C, H, W) in [0, 1] -> its logits (B, L, K).

    Args:
        mean, std: of its own training part, a channel that it sees; one of grey pictures (one channel) sees
            the brightness of coloured ones.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] > self.mean.shape[1]:
            images = luma(images)
        return self.network((images - self.mean) / self.std)


class Ensemble(nn.Module):
    """Pictures float32 (B, C, H, W) in [0, 1] -> logarithms of probabilities, float32 (B, L, K).

    Softmax gives the probabilities back, so it is a network like any other. They are mixed position by
    position: sum over members of share times probability.

    Args:
        shares: of each member, 0 or more; together 1.
        vote: instead, what each member reads has one vote at each position. The mixed probabilities are one
            vote more, cut in parts that are below 1: it decides ties, never anything else.
    """

    shares: Tensor

    def __init__(self, members: Sequence[Member], shares: Sequence[float], vote: bool = False) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("shares", torch.tensor(shares))
        self.vote = vote

    def forward(self, images: Tensor) -> Tensor:
        said = torch.stack([member(images).float().log_softmax(-1) for member in self.members])
        mixed = (said + self.shares.log().view(-1, 1, 1, 1)).logsumexp(0)
        if not self.vote:
            return mixed
        classes = torch.arange(said.shape[-1], device=said.device)
        votes = (said.argmax(-1, keepdim=True) == classes).float().sum(0)
        return ((votes + mixed.exp()) / (len(said) + 1)).log()
