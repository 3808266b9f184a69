"""Configs as OmegaConf reads them, from a run's folder or a person's own, within the limits of our loader."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from svhncli.config.choices import CHOICES
from svhncli.core.bounded_yaml import Bounded


@cache
def loader() -> type[yaml.SafeLoader]:
    """OmegaConf's loader, which knows more ways to write a number than YAML does, with the limits of ours."""
    return type("Loader", (get_yaml_loader(), Bounded), {})


def plain(text: str) -> Any:
    """The content of a config, whose interpolations stay as they are written.

    Raises:
        YAMLError, OmegaConfBaseException: it is none.
    """
    content = yaml.load(io.StringIO(text), loader())
    return OmegaConf.to_container(OmegaConf.create(content), resolve=False) if content else content


def settings(text: str) -> dict[str, Any]:
    """The config of a run as plain values, of which some may be a plugin's or another version's.

    Raises:
        YAMLError, OmegaConfBaseException: it is no YAML.
        ValueError: it lacks what every run has.
    """
    values = plain(text)
    if not isinstance(values, dict):
        raise ValueError("it holds no keys")
    for group in CHOICES:
        if not isinstance(values.get(group), dict) or not isinstance(values[group].get("name"), str):
            raise ValueError(f"its '{group}' is missing, or has no name")
    for name in ("epochs", "lr"):
        if type(values.get(name)) not in (int, float):
            raise ValueError(f"its '{name}' is missing, or no number")
    return {str(name): value for name, value in values.items()}
