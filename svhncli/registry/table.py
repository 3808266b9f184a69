"""Which builder makes an object of which config dataclass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from svhncli.config.choices import CHOICES

BUILDERS: dict[type, Callable[..., Any]] = {}


def register(group: str, kind: type, builder: Callable[..., Any]) -> None:
    """Add a choice to a config group.

    Args:
        group: data, split, model, optim or schedule.
        kind: a dataclass like those in schema/; its field `name` has the choice's name as default.
        builder: called as data(config, sources: Sources) -> DataSet, split(config, data: DataSet, seed) ->
            list[Fold], model(config, in_shape (C, H, W), positions, classes, dropout) -> nn.Module,
            optim(config, parameter groups, lr) -> Optimizer, schedule(config, steps_per_epoch) -> Schedule.
    """
    name = str(next(item.default for item in fields(kind) if item.name == "name"))
    CHOICES[group][name] = kind
    BUILDERS[kind] = builder


def builder(kind: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the builder of a dataclass."""

    def remember(function: Callable[..., Any]) -> Callable[..., Any]:
        BUILDERS[kind] = function
        return function

    return remember
