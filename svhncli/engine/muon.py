"""Muon (Jordan et al. 2024): momentum of matrices, made equally long in all directions before each step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

QUINTIC = 3.4445, -4.7750, 2.0315
"""Coefficients of one Newton-Schulz iteration, chosen by Jordan et al. for its slope at 0."""
ITERATIONS = 5
"""After them, singular values of more than 1% of the matrix's norm are between 0.68 and 1.14."""
RMS = 0.2
"""Of the elements of a step at lr 1: about what it is for Adam, so that the same lr serves both (Liu et al.
2025)."""
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Muon for the matrices among the parameters, AdamW for all others; weight decay is decoupled.

    The weights of a linear or convolutional layer are a matrix of outputs × inputs. A gradient of it is large
    in few directions; Muon steps equally far in all, so what rarely matters is learned as fast as what often
    does. Jordan et al. leave the first and the last layer to AdamW; a detector learned faster without that.

    Args:
        groups: parameter groups with their `weight_decay`.
        momentum: of the matrices, with Nesterov's correction.
        betas, eps: AdamW's.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        parted = [
            {**group, "params": parameters, "matrices": matrices}
            for group in groups
            for matrices in (True, False)
            if (parameters := [p for p in group["params"] if (p.ndim >= 2) == matrices])
        ]
        super().__init__(parted, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # takes no closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                rule = self._muon if group["matrices"] else self._adam
                rule(parameter, parameter.grad, group)

    def _muon(self, weights: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weights]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weights)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(mean, group["momentum"]).flatten(1)
        length = RMS * math.sqrt(max(ahead.shape))
        weights.add_(orthogonalized(ahead).reshape(weights.shape), alpha=-group["lr"] * length)

    def _adam(self, weights: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weights]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weights), torch.zeros_like(weights)
        state["step"] += 1
        first, second = group["betas"]
        steps = state["step"].item()  # on the CPU, as torch's optimizers keep it: no GPU is waited for
        mean = state["exp_avg"].lerp_(gradient, 1 - first)
        square = state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (square / (1 - second**steps)).sqrt_().add_(group["eps"])
        weights.addcdiv_(mean, root, value=-group["lr"] / (1 - first**steps))


def orthogonalized(matrix: Tensor) -> Tensor:
    """About UVᵀ of a matrix UΣVᵀ, as far as its singular values are not tiny: (m, n) -> (m, n), float32.

    The iterations multiply the matrix from the left by polynomials in XXᵀ. Only XXᵀ is followed through them,
    and the product of the polynomials applied at the end: a third of the time for a wide matrix.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide = (matrix.T if tall else matrix).float()
    wide = wide / (wide.norm() + TINY)
    linear, cubic, quintic = QUINTIC
    gram, product = wide @ wide.T, torch.eye(len(wide), device=wide.device)
    for _ in range(ITERATIONS):
        polynomial = torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic)
        polynomial.diagonal().add_(linear)
        gram = polynomial @ gram @ polynomial
        product = polynomial @ product
    result = product @ wide
    return result.T if tall else result
