"""Which settings of two runs differ, and whether that is one change."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from svhncli.analysis.compare.sides import Side
from svhncli.config.choices import CHOICES
from svhncli.report.comparison import DifferingKey


def differing_keys(sides: Sequence[Side]) -> list[DifferingKey]:
    """The keys in which the runs differ, then what differs in versions and machine."""
    environments = _differing([side.environment for side in sides])
    return [
        *(DifferingKey(key, values, "config") for key, values in _config(sides).items()),
        *(DifferingKey(key, values, "environment") for key, values in environments.items()),
    ]


def changed(a: Side, b: Side) -> list[str]:
    """The changes from one run to another, by name.

    A group whose choice differs is one change, whatever keys its choices bring: model=mlp instead of cnn.
    """
    keys = _differing([a.config, b.config])
    groups = {name.removesuffix(".name") for name in keys if name.endswith(".name")}
    return sorted({_owner(key, groups, keys) for key in keys})


def is_chance(a: Side, b: Side) -> bool:
    """Whether two runs have the same config apart from the seed, so that every difference is due to
    chance."""
    return bool(a.config and b.config) and {*changed(a, b)} <= {"seed"}


def warning(a: Side, b: Side) -> str | None:
    """A warning about the settings of two runs; None if exactly one setting differs."""
    if not (a.config and b.config):
        return None
    names = changed(a, b)
    if len(names) > 1:
        return (
            f"{len(names)} settings differ ({', '.join(names)}): a difference cannot be attributed to one of "
            "them"
        )
    if is_chance(a, b):
        return f"the same config{' apart from the seed' * bool(names)}: any difference is due to chance"
    return None


def _config(sides: Sequence[Side]) -> dict[str, list[Any]]:
    """Keys that differ; of a group whose choice differs the choices, then the keys that all choices have."""
    differing = _differing([side.config for side in sides])
    known = [side.config for side in sides if side.config]
    shown: dict[str, list[Any]] = {}
    for key, values in differing.items():
        group = key.partition(".")[0]
        if key == f"{group}.name":
            shown[group] = values
        elif f"{group}.name" not in differing or all(key in config for config in known):
            shown[key] = values
    return dict(sorted(shown.items()))


def _differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Key -> its values, where they differ; a side without any keys, a person, does not count."""
    known = [keys for keys in settings if keys]
    names = sorted(set().union(*known))
    return {
        name: [keys.get(name) for keys in settings]
        for name in names
        if any(keys.get(name) != known[0].get(name) for keys in known)
    }


def _owner(key: str, groups: set[str], keys: Container[str]) -> str:
    """The change that a key belongs to: its group's, where the choice differs; the seed's, which the split's
    follows."""
    if key == "split.seed" and "seed" in keys:
        return "seed"
    group = key.partition(".")[0]
    return group if group in groups and group in CHOICES else key
