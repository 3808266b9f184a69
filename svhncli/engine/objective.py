"""The training objective: cross-entropy, and the penalties that are added to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from svhncli.models.gates import expected_open


def objective(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of every image, the (weighted) mean over its positions.

    Args:
        logits: float (B, L, K); reduced precision is converted to float32 first.
        labels: int64 (B, L) in [0, K).
        smoothing: share of the target that is spread evenly over the K classes (Szegedy et al. 2016).
        weights: float32 (L,), positive, the weight of each position; they need not sum to 1. None: equal.

    Returns:
        float32 (B,).
    """
    flat = logits.float().flatten(0, 1)
    losses = functional.cross_entropy(flat, labels.flatten(), reduction="none", label_smoothing=smoothing)
    by_position = losses.view(labels.shape)
    return by_position.mean(1) if weights is None else (by_position * (weights / weights.sum())).sum(1)


def l1_penalty(weights: Iterable[Tensor]) -> Tensor:
    """The sum of |w|, which drives weights to exactly zero (Tibshirani 1996).

    Pass the weights that weight decay would act on, not biases and norm layers.
    """
    return sum((weight.abs().sum() for weight in weights), torch.zeros(()))


def l2_penalty(weights: Iterable[Tensor]) -> Tensor:
    """Half the sum of w², whose gradient is w; pass the same weights as for `l1_penalty`.

    Since it is part of the loss, an adaptive optimizer divides its gradient by the running magnitude of all
    gradients: weights with large gradients shrink less than others. Decoupled weight decay (AdamW) subtracts
    lr · decay · w outside the gradient and shrinks all weights at the same rate. With plain SGD the two are
    the same (Loshchilov & Hutter 2019).
    """
    return 0.5 * sum((weight.square().sum() for weight in weights), torch.zeros(()))


def matrices(network: nn.Module) -> list[nn.Parameter]:
    """The weights that penalties act on: all trainable parameters except biases and norm layers."""
    return [p for p in network.parameters() if p.ndim > 1 and p.requires_grad]


PENALTIES: Mapping[str, Callable[[nn.Module], Tensor]] = {
    "l0": expected_open,
    "l1": lambda network: l1_penalty(matrices(network)),
    "l2": lambda network: l2_penalty(matrices(network)),
}
"""Key of `reg` -> the function of the network that its value multiplies in the loss."""
