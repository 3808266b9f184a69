"""In what two runs were set differently, and whether that is one change."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from svhncli.analysis.compare.sides import Side
from svhncli.config.choices import CHOICES


def table(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """The keys in which the runs differ, then what differs in versions and machine.

    Returns:
        Rows of {"key", "values" (one a side, None where a side has no such key), "kind" ("config" or
        "environment")}.
    """
    rows = [{"key": key, "values": found, "kind": "config"} for key, found in _config(sides).items()]
    for key, found in _differing([one.environment for one in sides]).items():
        rows.append({"key": key, "values": found, "kind": "environment"})
    return rows


def changed(a: Side, b: Side) -> list[str]:
    """The changes from one run to another, by name.

    A group whose choice differs is one change, whatever keys its choices bring: model=mlp instead of cnn.
    """
    keys = _differing([a.config, b.config])
    groups = {name.removesuffix(".name") for name in keys if name.endswith(".name")}
    return sorted({_owner(key, groups, keys) for key in keys})


def is_chance(a: Side, b: Side) -> bool:
    """Whether two runs have the same config, but for the seed, so that whatever differs is chance."""
    return bool(a.config and b.config) and {*changed(a, b)} <= {"seed"}


def warning(a: Side, b: Side) -> str | None:
    """What a person should know of the settings of two runs; None where exactly one was changed."""
    if not (a.config and b.config):
        return None
    found = changed(a, b)
    if len(found) > 1:
        return (
            f"{len(found)} changes at once ({', '.join(found)}): whatever differs, nobody can say which of "
            "them did it"
        )
    if is_chance(a, b):
        return f"the same config{' but for the seed' * bool(found)}: what differs is chance"
    return None


def _config(sides: Sequence[Side]) -> dict[str, list[Any]]:
    """Keys that differ; of a group whose choice differs the choices, then the keys that all choices have."""
    keys = _differing([one.config for one in sides])
    known = [one.config for one in sides if one.config]
    shown: dict[str, list[Any]] = {}
    for key, found in keys.items():
        group = key.partition(".")[0]
        if key == f"{group}.name":
            shown[group] = found
        elif f"{group}.name" not in keys or all(key in one for one in known):
            shown[key] = found
    return dict(sorted(shown.items()))


def _differing(each: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Key -> its values, where they differ; a side without any keys, a person, does not count."""
    known = [one for one in each if one]
    names = sorted(set().union(*known))
    return {
        name: [one.get(name) for one in each]
        for name in names
        if any(one.get(name) != known[0].get(name) for one in known)
    }


def _owner(key: str, groups: set[str], keys: Container[str]) -> str:
    """The change that a key belongs to: its group's, where the choice differs; the seed's, which the split's
    follows."""
    if key == "split.seed" and "seed" in keys:
        return "seed"
    group = key.partition(".")[0]
    return group if group in groups and group in CHOICES else key
