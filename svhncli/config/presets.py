"""The shipped YAML files: where they are, and the presets of reg, which are files alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from svhncli.config.rules import flat


def conf_dir() -> Path:
    """The shipped configs: beside the package in a wheel, one folder up in a checkout."""
    here = Path(__file__).resolve().parents[1]
    return next(path for path in (here / "conf", here.parent / "conf") if (path / "train.yaml").is_file())


@cache
def preset(name: str) -> dict[str, Any] | None:
    """Key -> value of a shipped preset of reg; None where there is none of that name."""
    import yaml

    file = conf_dir() / "reg" / f"{name}.yaml"
    return flat(yaml.safe_load(file.read_text(encoding="utf-8"))) if file.is_file() else None
