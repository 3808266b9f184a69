"""Augmentation from its config."""

from __future__ import annotations

from dataclasses import fields

from svhncli.config import rules
from svhncli.config.groups.reg import AugmentConfig
from svhncli.engine.augment import Augment, warp
from svhncli.engine.policies import RANDAUGMENT, TRIVIALAUGMENT, Policy


def augment(config: AugmentConfig) -> Augment:
    """The random changes of the training images that follow the policy."""
    own = {item.name for item in fields(Augment)}
    return Augment(**{name: value for name, value in rules.to_dict(config).items() if name in own})


def policy(config: AugmentConfig) -> Policy | None:
    """The augmentation policy of the training images; None if there is none."""
    if config.policy == "randaugment":
        return Policy(RANDAUGMENT, config.policy_ops, config.policy_magnitude / 10, warp)
    if config.policy == "trivialaugment":
        return Policy(TRIVIALAUGMENT, 1, None, warp)
    return None
