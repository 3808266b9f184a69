"""Optimizers and learning rate schedules from their configs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from svhncli.config.groups.optim import OptimConfig
from svhncli.config.groups.schedule import ScheduleConfig
from svhncli.engine import optimizers, schedules
from svhncli.registry.table import BUILDERS, call, own_keys, target


def optimizer(config: Any, network: nn.Module, lr: float) -> torch.optim.Optimizer:
    """An optimizer over parameter groups with and without weight decay: function(groups, lr, **own keys)."""
    groups = optimizers.param_groups(network, config.weight_decay, config.decay_norm_and_bias)
    optimizers.avoid_compiler_import()
    if (builder := BUILDERS.get(type(config))) is not None:
        return builder(config, groups, lr)
    return target(config)(groups, lr, **own_keys(config, OptimConfig, without=("weight_decay",)))


def schedule(config: Any, steps_per_epoch: int) -> schedules.Schedule:
    """How lr changes from step to step, after a warm-up if the config has one: Class(**own keys).

    A class that counts in steps has a parameter `steps_per_epoch`.
    """
    if (builder := BUILDERS.get(type(config))) is not None:
        planned = builder(config, steps_per_epoch)
    else:
        planned = call(config, own_keys(config, ScheduleConfig), steps_per_epoch=steps_per_epoch)
    warmup = round(config.warmup * steps_per_epoch)
    return schedules.Warmup(planned, warmup) if warmup else planned
