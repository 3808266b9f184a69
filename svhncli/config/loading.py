"""From plain values, as saved in a run, to config dataclasses; and which keys a resumed run may change."""

from __future__ import annotations

import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

from svhncli.config.choices import CHOICES
from svhncli.config.groups.reg import RegConfig
from svhncli.config.rules import closest, typed, validate
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import UsageError
from svhncli.core.plain import hints_of

NEUTRAL = {
    "name",
    "out",
    "jobs",
    "repeats",
    "save_minutes",
    "cache",
    "test",
    "report",
    "resume",
    "data.root",
    "data.download",
    "data.urls",
}
"""Keys that do not affect what a run computes."""

FREE = NEUTRAL | {"epochs", "plugins", "data.exclude", "reg.patience", "devices"}
"""Keys that a resumed run may change: none of them affects what an epoch computes, but for the rounding that
`devices` changes. The images that an exclude list names are part of the data's fingerprint; the path of the
list is not."""


class KeyMistake(UsageError):
    """A key in a file, at a dotted path, that no config has or that has a value of another kind."""

    def __init__(self, path: str, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.args = (path, message, hint)
        self.path = path


class Uncomposed(UsageError):
    """The words and files of a config are not one that a command takes."""

    @classmethod
    def of(cls, error: UsageError) -> Uncomposed:
        return cls(error.message, error.hint)


def saved_config(values: Mapping[str, Any]) -> TrainConfig:
    """The config of a run that is used without training it on.

    Raises:
        UsageError: as `from_dict`, or a value is missing or out of range.
    """
    config: TrainConfig = from_dict(TrainConfig, values)
    validate(replace(config, metric=TrainConfig.metric))  # only training needs a plugin's metric
    return config


def from_dict(kind: type, values: Mapping[str, Any], path: str = "") -> Any:
    """A config dataclass from plain values, as saved in a run or a checkpoint.

    A saved config is data from outside: unknown keys, wrong types and interpolations are refused, and the
    choice of a group is looked up by its `name` in `CHOICES`, never imported.

    Raises:
        UsageError: naming the key; an KeyMistake where there is none of that name.
    """
    hints = hints_of(kind)
    known = {item.name: item for item in fields(kind)}
    for name in values:
        if name not in known:
            raise KeyMistake(f"{path}{name}", f"unknown key '{path}{name}'", _meant(str(name), path, known))
    values_by_key = {}
    for name, item in known.items():
        where = f"{path}{name}"
        if name not in values:
            if item.default is MISSING and item.default_factory is MISSING:
                raise UsageError(f"'{where}' is missing")
            continue
        value = values[name]
        if not path and name in CHOICES and value is not None:
            values_by_key[name] = _choice(name, value)
        elif is_dataclass(hints[name]) and isinstance(value, Mapping):
            values_by_key[name] = from_dict(typing.cast(type, hints[name]), value, f"{where}.")
        else:
            values_by_key[name] = typed(value, hints[name], where)
    return kind(**values_by_key)


def _meant(name: str, path: str, known: Collection[str]) -> str:
    """How an unknown key of a file is probably to be written; empty where nothing is like it."""
    key, colon, value = name.partition(":")
    if colon:
        return f"a space follows the colon: {key}: {value.strip()}"
    group, dot, inner = name.partition(".")
    if dot and group in known:
        return f"write the keys of {group} indented, on the lines after it: {group}:, then   {inner}: ..."
    near = closest(name, known)
    return f"did you mean '{path}{near}'?" if near else ""


def _choice(group: str, value: Any) -> Any:
    if isinstance(value, str):  # `model: mlp` in a file of the user's own
        raise KeyMistake(
            group,
            f"{group}: {value} is a word where the keys of a choice are expected",
            f"choose it under defaults, as a line of its own: - override /{group}: {value}",
        )
    if isinstance(value, Mapping) and value.get("name") is None:
        raise KeyMistake(
            group,
            f"this {group} has no name",
            f"begin its file with the choice that it is like, such as name: {next(iter(CHOICES[group]))}",
        )
    name = value.get("name") if isinstance(value, Mapping) else None
    kinds = CHOICES[group]
    if group == "reg":
        return from_dict(RegConfig, value, "reg.")
    if not isinstance(name, str) or name not in kinds:
        raise UsageError(
            f"unknown {group} '{name}'; choose from: {', '.join(kinds)}",
            "a part of your own needs its plugins=[module] on this command line, too",
        )
    return from_dict(kinds[name], value, f"{group}.")
