"""How a config dataclass becomes the object that it declares."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from svhncli.config.choices import CHOICES
from svhncli.config.declare import BUILDS, name_of
from svhncli.core.paths import expanded

BUILDERS: dict[type, Callable[..., Any]] = {}
"""Builders of plugins that were registered as functions; all other dataclasses say what they build."""


def register(group: str, kind: type, builder: Callable[..., Any]) -> None:
    """Add a choice to a config group: what a plugin calls.

    Args:
        group: data, split, model, optim or schedule.
        kind: a dataclass like those in config/groups/; the default of its field `name` is the choice's name.
        builder: called as model(config, in_shape (C, H, W), positions, classes, dropout) -> nn.Module,
            optim(config, parameter groups, lr) -> Optimizer, schedule(config, steps_per_epoch) -> Schedule,
            split(config, data: DataSet, seed) -> list[Fold] or data(config, sources: Sources) -> DataSet.
    """
    CHOICES[group][name_of(kind)] = kind
    BUILDERS[kind] = builder


def target(config: Any) -> Callable[..., Any]:
    """What a config's dataclass builds; its module is imported now."""
    module, _, name = BUILDS[type(config)].partition(":")
    return getattr(importlib.import_module(module), name)


def call(config: Any, keys: dict[str, Any], **offered: Any) -> Any:
    """Call a config's target with these keys, and with the offered values that it has parameters for."""
    function = target(config)
    parameters = inspect.signature(function).parameters
    return function(**keys, **{name: value for name, value in offered.items() if name in parameters})


def own_keys(config: Any, *shared: type, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The keys of a config besides its name and those of shared base classes; path keys as `Path`."""
    left_out = {"name", *without, *(item.name for kind in shared for item in fields(kind))}
    return {
        item.name: expanded(value) if item.metadata.get("path") and value else value
        for item in fields(config)
        if item.name not in left_out
        for value in [getattr(config, item.name)]
    }
