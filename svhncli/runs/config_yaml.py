"""Configs as OmegaConf reads them, from a run's folder or a person's own, within the limits of our loader."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

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
