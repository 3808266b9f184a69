"""The choices of every group; importing this module declares them all."""

from __future__ import annotations

from svhncli.config.declare import CHOICES
from svhncli.config.groups import data, model, optim, reg, schedule, split

__all__ = ["CHOICES", "data", "model", "optim", "reg", "schedule", "split"]
