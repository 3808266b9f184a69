"""Optimizers: which weights decay, torch's optimizers by their keys, and steps without torch's compiler."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from svhncli.engine.muon import Muon

NORMS = (nn.LayerNorm, nn.RMSNorm)
"""Norm layers whose scales may have several dimensions; those of all other norm layers have one."""


def param_groups(
    model: nn.Module, weight_decay: float, decay_norm_and_bias: bool = False
) -> list[dict[str, Any]]:
    """Parameter groups for a torch optimizer: every trainable parameter once, in the model's order.

    Biases, norm layers and all else with one dimension get no weight decay unless `decay_norm_and_bias`:
    it would pull scales to 0 without making the function simpler.
    """
    parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spared = set()
    if not decay_norm_and_bias:
        norms = (module for module in model.modules() if isinstance(module, NORMS))
        spared = {id(p) for norm in norms for p in norm.parameters()}
        spared |= {id(p) for name, p in parameters if p.ndim <= 1 or name.split(".")[-1] == "bias"}
    groups = [
        {"params": [p for _, p in parameters if id(p) not in spared], "weight_decay": weight_decay},
        {"params": [p for _, p in parameters if id(p) in spared], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def avoid_compiler_import() -> None:
    """Spare torch's optimizers the import of torch's compiler, which costs seconds before the first step.

    Their methods are marked "do not compile" by a wrapper that imports the compiler in order to say so; a
    function that carries its own mark already is left alone. Nothing here is ever compiled.
    """
    for method in vars(torch.optim.Optimizer).values():
        if (bare := getattr(method, "__wrapped__", None)) is not None:
            setattr(bare, "__dynamo_disable", bare)


def step_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """`optimizer.step()` without its wrappers, which import the compiler and call hooks that nobody set."""
    with torch.no_grad():
        inspect.unwrap(type(optimizer).step)(optimizer)


# ----------------------------------------------------------------------------- by their keys in the config

Groups = list[dict[str, Any]]
"""Parameter groups, as `param_groups` makes them."""


def sgd(groups: Groups, lr: float, *, momentum: float, nesterov: bool) -> torch.optim.Optimizer:
    nesterov = nesterov and momentum > 0  # torch refuses Nesterov without momentum
    return torch.optim.SGD(groups, lr, momentum=momentum, nesterov=nesterov, fused=True)


def adam(groups: Groups, lr: float, *, beta1: float, beta2: float, eps: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr, betas=(beta1, beta2), eps=eps, fused=True)


def adamw(groups: Groups, lr: float, *, beta1: float, beta2: float, eps: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr, betas=(beta1, beta2), eps=eps, fused=True)


def rmsprop(groups: Groups, lr: float, *, alpha: float, eps: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr, alpha=alpha, eps=eps, momentum=momentum, foreach=True)


def muon(
    groups: Groups, lr: float, *, momentum: float, beta1: float, beta2: float, eps: float
) -> torch.optim.Optimizer:
    return Muon(groups, lr, momentum=momentum, betas=(beta1, beta2), eps=eps)
