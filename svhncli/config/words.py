"""A config as words of a command line, in Hydra's grammar."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from svhncli.config.choices import CHOICES
from svhncli.config.declare import ROOT_VALUES
from svhncli.config.presets import preset
from svhncli.config.rules import flat, to_dict
from svhncli.config.verbs import VERBS

PLAIN = re.compile(r"(?!(null|true|false|inf|nan)$)[A-Za-z/_][\w./-]*", re.ASCII | re.IGNORECASE)
"""Text that Hydra takes as it is."""


def quote(text: str) -> str:
    """Text as one value of an override, whatever it contains."""
    out = ""
    for place, char in enumerate(text):
        rest = text[place:].lstrip("\\")
        before_special = char == "\\" and (not rest or rest.startswith(("'", "${")))
        out += f"\\{char}" if before_special or char == "'" or text.startswith("${", place) else char
    return f"'{out}'"


def word(key: str, value: Any) -> str:
    """`key=value`."""
    return f"{key}={value_text(value)}"


def value_text(value: Any) -> str:
    """A value as it is written in an override."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else quote(value)
    return f"{value!r}"


def overrides(config: Mapping[str, Any], verb: str, names: Collection[str]) -> list[str]:
    """The words with which a verb has a saved config's values of these keys and groups.

    Keys that the verb lacks, and values that it has without any word, are left out.
    """
    known, words = VERBS[verb], []
    root = {item.name: item.default for item in fields(known.config)}
    for name in names:
        if name not in root or name not in config:
            continue
        if name in known.groups:
            words += _group(name, config[name], known.groups[name])
        elif config[name] != _root_default(name, root[name], config) and config[name] not in ([], None):
            words.append(word(name, config[name]))
    return words


def _group(group: str, values: Mapping[str, Any], default: str | None) -> list[str]:
    """A choice, and its keys that differ from what the choice has."""
    choice, changed = differing(group, values)
    words = [] if choice == default else [word(group, choice)]
    return words + [word(f"{group}.{key}", value) for key, value in changed.items()]


def differing(group: str, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The choice of a group, and its keys that have other values than the choice alone gives them.

    values: the group's, nested. A preset of reg that is not shipped counts as `none` with changes.
    """
    choice = values["name"]
    if group == "reg":
        choice = choice if preset(choice) else "none"
        own = preset(choice) or {}
    else:
        kind = CHOICES[group].get(choice)
        own = flat(to_dict(kind())) if kind else {}
    changed = {key: value for key, value in flat(values).items() if key not in own or own[key] != value}
    changed.pop("name", None)
    return choice, changed


def _root_default(name: str, default: Any, config: Mapping[str, Any]) -> Any:
    """Of a key at the root; that of lr comes from the optimizer."""
    kind = CHOICES["optim"].get(config["optim"]["name"]) if "optim" in config else None
    return ROOT_VALUES.get(kind, {}).get(name, default) if kind else default
