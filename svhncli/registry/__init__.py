"""From config dataclasses to objects: the only folder that knows both.

A choice is a dataclass in config/groups/, which says what it builds, and that class or function. A plugin
brings both from outside: see `register`.
"""

from __future__ import annotations

from svhncli.registry.augmentation import augment, policy
from svhncli.registry.networks import model
from svhncli.registry.optimization import optimizer, schedule
from svhncli.registry.sources import Sources, data, require_framing, world
from svhncli.registry.splits import folds
from svhncli.registry.table import register

__all__ = [
    "Sources",
    "augment",
    "data",
    "folds",
    "model",
    "optimizer",
    "policy",
    "register",
    "require_framing",
    "schedule",
    "world",
]
