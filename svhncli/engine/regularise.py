"""The training objective and what keeps it honest: penalties, mixing, averaged weights, early stopping."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from svhncli.core import rng


def objective(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of every picture, the (weighted) mean over its positions.

    Args:
        logits: float (B, L, K); reduced precision is raised to float32 first.
        labels: int64 (B, L) in [0, K).
        smoothing: share of the target that is spread evenly over the K classes (Szegedy et al. 2016).
        weights: float32 (L,), above 0, how much each position counts, whatever their sum; None: all alike.

    Returns:
        float32 (B,).
    """
    flat = logits.float().flatten(0, 1)
    losses = functional.cross_entropy(flat, labels.flatten(), reduction="none", label_smoothing=smoothing)
    by_position = losses.view(labels.shape)
    return by_position.mean(1) if weights is None else (by_position * (weights / weights.sum())).sum(1)


def l1_penalty(weights: Iterable[Tensor]) -> Tensor:
    """The sum of |w|, which pulls weights to exactly zero (Tibshirani 1996).

    Pass the weights that weight decay would act on, not biases and norm layers.
    """
    return sum((weight.abs().sum() for weight in weights), torch.zeros(()))


def l2_penalty(weights: Iterable[Tensor]) -> Tensor:
    """Half the sum of w², whose gradient is w; pass the same weights as for `l1_penalty`.

    It is a part of the loss, so an adaptive optimiser divides its gradient by the running size of all
    gradients: weights with large gradients shrink less than others. Decoupled weight decay (AdamW) takes
    lr · decay · w off every weight outside of the gradient, and shrinks all alike. With plain SGD the two
    are the same (Loshchilov & Hutter 2019).
    """
    return 0.5 * sum((weight.square().sum() for weight in weights), torch.zeros(()))


Mixed = tuple[Tensor, Tensor, Tensor, float]
"""Pictures, their labels, their partners' labels, and the share of the first, in [0, 1]. The loss is
`share * objective(logits, labels) + (1 - share) * objective(logits, partners' labels)`."""


def mix(images: Tensor, labels: Tensor, mixup_alpha: float, cutmix_alpha: float, seed_key: int) -> Mixed:
    """Mixup or cutmix, whichever has an alpha above 0; of both, one is drawn with equal chance.

    Arguments and result are those of `mixup` and `cutmix`; with both alphas 0 the batch itself is returned.
    """
    both = mixup_alpha > 0 and cutmix_alpha > 0
    if cutmix_alpha and (not both or rng.numpy_generator(seed_key, "which").random() < 0.5):
        return cutmix(images, labels, cutmix_alpha, seed_key)
    return mixup(images, labels, mixup_alpha, seed_key)


def mixup(images: Tensor, labels: Tensor, alpha: float, seed_key: int) -> Mixed:
    """Blend every picture with another one of the batch (Zhang et al. 2018).

    Args:
        images: float (B, C, H, W).
        labels: int64 (B, L).
        alpha: the share is drawn from Beta(alpha, alpha), once a batch; 0 blends nothing.
        seed_key: an integer of `rng.key`, different for every batch.

    Returns:
        `share * images + (1 - share) * partners` and the rest of `Mixed`.
    """
    if alpha == 0:
        return images, labels, labels, 1.0
    generator = rng.numpy_generator(seed_key, "mixup")
    share = float(generator.beta(alpha, alpha))
    partner = _partners(images, generator)
    return torch.lerp(images[partner], images, share), labels, labels[partner], share


def cutmix(images: Tensor, labels: Tensor, alpha: float, seed_key: int) -> Mixed:
    """Paste a box of another picture of the batch into every picture, at the same place (Yun et al. 2019).

    Args:
        images: float (B, C, H, W); left untouched.
        labels: int64 (B, L).
        alpha: the share of the picture that stays is drawn from Beta(alpha, alpha), once a batch; 0 pastes
            nothing. The box has the picture's proportions and its centre may lie anywhere, so part of it may
            be outside.
        seed_key: an integer of `rng.key`, different for every batch.

    Returns:
        The pictures with the box and the rest of `Mixed`; the share is exactly that of the pixels that stay.
    """
    if alpha == 0:
        return images, labels, labels, 1.0
    generator = rng.numpy_generator(seed_key, "cutmix")
    part = math.sqrt(1 - generator.beta(alpha, alpha))
    partner = _partners(images, generator)
    rows, columns = (_segment(length, part, generator) for length in images.shape[2:])
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[partner, :, rows, columns]
    height, width = images.shape[2:]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, labels, labels[partner], 1 - pasted / (height * width)


def _partners(images: Tensor, generator: np.random.Generator) -> Tensor:
    return torch.from_numpy(generator.permutation(len(images))).to(images.device)


def _segment(length: int, part: float, generator: np.random.Generator) -> slice:
    """A part of a side about a pixel drawn from it, cut off at the ends."""
    size = int(length * part)
    start = int(generator.integers(length)) - size // 2
    return slice(max(0, start), max(0, min(length, start + size)))


class Ema:
    """An exponential moving average of a model's weights, in a copy of it: `module`, always in eval mode.

    The decay grows as min(decay, (1 + t) / (10 + t)) with the updates t, so that the random weights of the
    start are soon forgotten. Buffers (the running means of batch norm) are copied, not averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.module = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the model's weights as they are now; call it after every optimiser step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), 1 - decay)
        for mine, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and buffers, and the number of updates."""
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.updates = state["updates"]


class EarlyStopping:
    """Says when a metric has stopped improving.

    Args:
        patience: epochs in a row without improvement after which `should_stop` is true; 0: never.
        min_delta: only a change of more than this counts as improvement.
        higher_is_better: the direction in which the metric improves.
    """

    def __init__(self, patience: int, min_delta: float = 0.0, higher_is_better: bool = False) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.sign = -1 if higher_is_better else 1
        self.best: float | None = None
        self.stale = 0

    def observe(self, value: float) -> bool:
        """Take in an epoch's value; whether it is an improvement, which NaN and infinity never are."""
        gain = math.inf if self.best is None else self.sign * (self.best - value)
        improved = math.isfinite(value) and gain > self.min_delta
        if improved:
            self.best, self.stale = value, 0
        else:
            self.stale += 1
        return improved

    @property
    def should_stop(self) -> bool:
        return 0 < self.patience <= self.stale

    def state_dict(self) -> dict[str, float | int | None]:
        """The best value and the epochs since it."""
        return {"best": self.best, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.stale = state["best"], state["stale"]
