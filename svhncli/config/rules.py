"""What a config key is: default, meaning, range; and the checks and plain forms that follow from that.

Standard library only, so help and errors are instant.
"""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import Field, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any

from svhncli.core.errors import DataError, UsageError
from svhncli.core.paths import expanded

UNIONS = (typing.Union, types.UnionType)

UNSET = "???"
"""OmegaConf's marker for a value that must be set."""


def key(
    default: Any,
    meaning: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: Collection[str] = (),
    numbered: str = "",
    path: bool = False,
    needed: str = "",
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """A config key: its default, its meaning and its allowed values (low <= x <= high, above < x < below).

    choices: the allowed words; a table may still grow, as that of the metrics does.
    numbered: the choice that may name one of several by its number: `cuda` also allows `cuda:1`.
    path: whether it is the path of an input, which a run keeps as an absolute one.
    elsewhere: pattern of a word that other tools allow -> what to write here.
    needed: what to do where nothing is at that path; empty where it may be missing.
    """
    rule = {
        "meaning": meaning,
        "low": low,
        "above": above,
        "high": high,
        "below": below,
        "choices": choices,
        "numbered": numbered,
        "path": path,
        "needed": needed,
        "elsewhere": elsewhere,
    }
    if isinstance(default, (list, type)):
        make = default if isinstance(default, type) else default.copy
        return field(default_factory=make, metadata=rule)
    return field(default=default, metadata=rule)


def rule_of(item: Field[Any]) -> Mapping[str, Any]:
    """The rule of a key; a plugin may declare one as a plain field, which has a default and no more."""
    return item.metadata or key(None, "").metadata


# ----------------------------------------------------------------------------- checks


def problems(config: Any, path: str = "", incomplete: bool = False) -> Iterator[str]:
    """What is out of range or, unless it may be incomplete, not set in a config: one sentence per key."""
    for item in fields(config):
        value, rule = getattr(config, item.name), item.metadata
        where = f"{path}{item.name}"
        if is_dataclass(value):
            yield from problems(value, f"{where}.", incomplete)
        elif value == UNSET:
            if not incomplete:
                yield f"{where} is not set"
        elif value == "" and rule.get("path"):
            yield f"{where}=: must be a path"
        elif value is not None:
            for entry in value if isinstance(value, list) else [value]:
                if (wanted := _violation(entry, rule)) is not None:
                    yield f"{where}={entry}: {wanted}"


def _violation(value: Any, rule: Mapping[str, Any]) -> str | None:
    choices = rule.get("choices", ())
    if choices and isinstance(value, str) and value not in choices and not _is_numbered(value, rule):
        number = [f"a number, {range_text(rule)}"] if range_text(rule) else []  # jobs=auto, jobs=2
        several = [f"{rule['numbered']}:1"] if rule["numbered"] else []
        return f"must be {' or '.join([*choices, *several, *number])}{_meant(value, rule)}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not math.isfinite(value):
        return "must be a finite number"
    wanted = range_text(rule)
    inside = (
        (rule.get("low") is None or value >= rule["low"])
        and (rule.get("above") is None or value > rule["above"])
        and (rule.get("high") is None or value <= rule["high"])
        and (rule.get("below") is None or value < rule["below"])
    )
    return None if inside else f"must be {wanted}"


def _is_numbered(value: str, rule: Mapping[str, Any]) -> bool:
    """Whether it is the key's numbered choice with a number: `cuda:1`."""
    choice, colon, number = value.partition(":")
    return (
        bool(colon) and choice == rule["numbered"] and re.fullmatch("0|[1-9][0-9]{0,2}", number) is not None
    )


def _meant(value: str, rule: Mapping[str, Any]) -> str:
    for pattern, text in rule.get("elsewhere", {}).items():
        if match := re.fullmatch(pattern, value):
            return f"; {match.expand(text)}"
    near = closest(value, rule["choices"])
    return f"; did you mean '{near}'?" if near else ""


def range_text(rule: Mapping[str, Any]) -> str:
    """A range in words: `0 or more, below 1`; empty where there is none."""
    parts = [
        text.format(f"{rule[name]:g}")
        for name, text in (
            ("low", "{} or more"),
            ("above", "above {}"),
            ("high", "at most {}"),
            ("below", "below {}"),
        )
        if rule.get(name) is not None
    ]
    return ", ".join(parts)


def validate(config: Any, incomplete: bool = False) -> None:
    """Refuse a config with values out of range or, unless it may be incomplete, not set.

    Raises:
        UsageError: naming every such key, its value and what is allowed; or keys that contradict each other.
    """
    if wrong := list(problems(config, incomplete=incomplete)):
        raise UsageError("\n".join(wrong), "the verb's --help lists every range")
    if not incomplete:
        _refuse_conflicts(config)


def _refuse_conflicts(config: Any) -> None:
    """Call `refuse_conflicts` of the config and of the groups in it, where they have one."""
    for part in [config, *(getattr(config, item.name) for item in fields(config))]:
        if (refuse := getattr(part, "refuse_conflicts", None)) is not None:
            refuse()


def closest(word: str, words: typing.Iterable[str]) -> str | None:
    """The word that was probably meant: in other case, beginning with it, or looking like it."""
    known = list(words)
    same = [other for other in known if other.lower() == word.lower()]
    longer = [other for other in known if len(word) > 2 and other.startswith(word.lower())]
    return next(iter(same or longer or difflib.get_close_matches(word, known, n=1, cutoff=0.6)), None)


# ----------------------------------------------------------------------------- paths


def with_absolute_paths(config: Any) -> Any:
    """The config with every path key made absolute and `~` expanded, so that it means the same anywhere."""
    changed: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            changed[item.name] = with_absolute_paths(value)
        elif item.metadata.get("path") and value:
            changed[item.name] = str(expanded(value).absolute())
    return replace(config, **changed)


def require_paths(config: Any, path: str = "") -> None:
    """Refuse a config that names an input which does not exist.

    Raises:
        DataError: naming the first such key, or the first whose input cannot be looked for.
    """
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            require_paths(value, f"{path}{item.name}.")
        elif value and (hint := rule_of(item)["needed"]):
            where = expanded(value).absolute()
            try:
                is_there = where.exists()
            except OSError as error:
                refused = f"{path}{item.name}: cannot read '{where}': {error.strerror}"
                raise DataError(refused, hint) from error
            if not is_there:
                raise DataError(f"{path}{item.name}: there is no '{where}'", hint)


# ----------------------------------------------------------------------------- types and plain forms


class WrongType(UsageError):
    """A value of another type than its key's."""

    def __init__(self, path: str, value: Any, hint: Any) -> None:
        super().__init__(f"{path}={value} has the wrong type; it must be {type_text(hint)}")
        self.args = (path, value, hint)
        self.path = path
        self.value = value


def typed(value: Any, hint: Any, where: str) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in UNIONS else (hint,)
    for option in options:
        if option is Any or (option is type(None) and value is None):
            return value
        if typing.get_origin(option) is list and isinstance(value, list):
            return [typed(entry, typing.get_args(option)[0], where) for entry in value]
        if option is bool and str in options and value in ("true", "false"):
            return value == "true"  # in quotes, beside other words: compile='true'
        if option is float and type(value) in (int, float):
            return float(value)
        if option in (int, bool, str) and type(value) is option:
            if isinstance(value, str) and "${" in value:
                raise UsageError(f"{where}: a saved config must not hold interpolations")
            return value
        if option is str and type(value) is int:
            return str(value)  # data.root=2024
    raise WrongType(where, value, hint)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested values, the inverse of `from_dict`."""
    return {
        item.name: to_dict(value) if is_dataclass(value := getattr(config, item.name)) else value
        for item in fields(config)
    }


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """`{"reg": {"l1": 0}}` as `{"reg.l1": 0}`."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{path}{name}.")
        else:
            out[f"{path}{name}"] = value
    return out


def kind_text(hint: Any, choices: Collection[str]) -> str:
    """A key's type in words: its choices if it has any, and the types allowed besides."""
    if not choices:
        return type_text(hint)
    words = (str, bool, type(None))  # true and false stand among the choices
    others = [type_text(kind) for kind in typing.get_args(hint) if kind not in words]
    return " or ".join([*choices, *others])


def type_text(hint: Any) -> str:
    """A type in words for people."""
    if typing.get_origin(hint) in UNIONS:
        return " or ".join(
            "null" if kind is type(None) else type_text(kind) for kind in typing.get_args(hint)
        )
    if typing.get_origin(hint) is list:
        return f"list of {type_text(typing.get_args(hint)[0])}s"
    return {int: "integer", float: "number", bool: "true or false", str: "text"}.get(hint, "group")
