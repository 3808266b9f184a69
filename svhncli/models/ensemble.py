"""Several networks as one: each with its own normalization, their probabilities combined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from svhncli.core.color import luma
from svhncli.models.output import FindsBoxes, Spots


class Member(nn.Module):
    """A network of an ensemble: images float32 (B, C, H, W) in [0, 1] -> its logits (B, L, K).

    Args:
        mean, std: of each channel of its own training part. A network for gray images (one channel) gets the
            luma of color images.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self._normalized(images))

    def spots(self, images: Tensor) -> Spots:
        """What its network finds, if that knows where digits are."""
        return cast(FindsBoxes, self.network).spots(self._normalized(images))

    def _normalized(self, images: Tensor) -> Tensor:
        if images.shape[1] > self.mean.shape[1]:
            images = luma(images)
        return (images - self.mean) / self.std


class Ensemble(nn.Module):
    """Images float32 (B, C, H, W) in [0, 1] -> logarithms of probabilities, float32 (B, L, K).

    Softmax recovers the probabilities, so it can be used like any other network.

    Args:
        shares: the weight of each member in their `mixture`, 0 or more; they sum to 1.
        vote: instead, the prediction of each member counts as one vote at each position. The weighted mean is
            one more vote, divided among the classes, so it decides ties and nothing else.
    """

    shares: Tensor

    def __init__(self, members: Sequence[Member], shares: Sequence[float], vote: bool = False) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("shares", torch.tensor(shares))
        self.vote = vote

    def forward(self, images: Tensor) -> Tensor:
        return self.mixed([member(images) for member in self.members])

    def mixed(self, logits: Sequence[Tensor]) -> Tensor:
        """The members' logits as one."""
        log_probabilities = torch.stack([own.float().log_softmax(-1) for own in logits])
        if not self.vote:
            return mixture(log_probabilities, self.shares)
        mean = (log_probabilities.exp() * self.shares.view(-1, 1, 1, 1)).sum(0)
        classes = torch.arange(mean.shape[-1], device=mean.device)
        votes = (log_probabilities.argmax(-1, keepdim=True) == classes).float().sum(0)
        return ((votes + mean) / (len(self.members) + 1)).log()


def mixture(log_probabilities: Tensor, shares: Tensor) -> Tensor:
    """The weighted mean of distributions over numbers, position by position: float32 (M, B, L, K) and (M,)
    -> logarithms of probabilities, float32 (B, L, K).

    At the first position it is the mean of the members' probabilities. From there on a member has the more
    say the likelier it considers the digits chosen before (the chain rule), so one that missed the first
    digit, and is a position behind, is not mixed with those that did not. The product over the positions
    is the mean of the members' probabilities of that number.
    """
    say = shares.log()[:, None]
    positions = []
    for own in log_probabilities.unbind(2):
        mixed = (own + say[..., None]).logsumexp(0)
        chosen = mixed.argmax(-1).expand(len(own), -1)
        say = say + own.gather(2, chosen[..., None])[..., 0]
        say = say - say.logsumexp(0)
        positions.append(mixed)
    return torch.stack(positions, 1)


class DetectorEnsemble(Ensemble):
    """An ensemble whose members all know where the digits are that they predict."""

    def spots(self, images: Tensor) -> Spots:
        """Boxes are those of the first member that predicts the ensemble's number; NaN where none does."""
        found = [member.spots(images) for member in cast(Iterable[Member], self.members)]
        mixed = self.mixed([own.logits for own in found])
        return Spots(mixed, agreeing_boxes(mixed.argmax(-1), found))


def agreeing_boxes(classes: Tensor, found: Sequence[Spots]) -> Tensor:
    """The boxes (B, L, 4) of the first network that itself predicts the number (B, L) and has boxes for it;
    NaN if none does."""
    boxes = torch.full_like(found[0].boxes, torch.nan)
    for own in reversed(found):
        agrees = (own.logits.argmax(-1) == classes).all(1)
        boxes = torch.where(agrees[:, None, None] & ~own.boxes.isnan(), own.boxes, boxes)
    return boxes


def ensemble_of(members: Sequence[Member], shares: Sequence[float], vote: bool) -> Ensemble:
    """The ensemble of some networks; its arguments are those of `Ensemble`."""
    find_boxes = all(isinstance(member.network, FindsBoxes) for member in members)
    return (DetectorEnsemble if find_boxes else Ensemble)(members, shares, vote)
