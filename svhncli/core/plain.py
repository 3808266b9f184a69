"""Results as JSON: frozen dataclasses become plain values, and plain values become them again.

A field's name is its key; `keyed` gives it another, such as `class`. A field made by `optional` is left out
where it is None, so that a result has only the keys that apply to it. A field made by `inlined` puts its keys
among those of the result that holds it, and one made by `rest` does so with a dict.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
UNIONS = (typing.Union, types.UnionType)


def keyed(key: str, *, default: Any = MISSING) -> Any:
    """A field that stands under another key, such as `class`."""
    return field(default=default, metadata={"key": key})


def optional(key: str = "") -> Any:
    """A field that is None by default, and has no key then."""
    return field(default=None, metadata={"optional": True} | ({"key": key} if key else {}))


def inlined() -> Any:
    """A field that is a dataclass, whose keys become keys of the result itself."""
    return field(metadata={"inlined": True})


def rest() -> Any:
    """A field that is a dict, whose keys become keys of the result itself.

    Read back, it takes the keys that no other field knows and whose values are of its type.
    """
    return field(default_factory=dict, metadata={"rest": True})


def to_plain(value: Any) -> Any:
    """Dicts, lists and primitives, in the order of the fields."""
    if is_dataclass(value) and not isinstance(value, type):
        made: dict[str, Any] = {}
        for item in fields(value):
            inner = getattr(value, item.name)
            if item.metadata.get("inlined") or item.metadata.get("rest"):
                made |= to_plain(inner)
            elif inner is not None or not item.metadata.get("optional"):
                made[_key(item)] = to_plain(inner)
        return made
    if isinstance(value, Mapping):
        return {str(name): to_plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[T], value: Any, where: str = "") -> T:
    """A value of a type from plain values, such as JSON holds.

    Keys that the type does not know are passed over, since a later version may have written them.

    Raises:
        ValueError: a key is missing or has a value of another type; it names the key.
    """
    return typing.cast(T, _read(kind, value, where))


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in UNIONS:
        return _read_union(inside, value, where)
    if is_dataclass(kind) and isinstance(value, Mapping):
        return _read_fields(typing.cast(type, kind), value, where)
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        made = [_read(inside[0], inner, f"{where}[{i}]") for i, inner in enumerate(value)]
        return made if origin is list else tuple(made)
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {str(name): _read(inside[1], inner, f"{where}.{name}") for name, inner in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind in (int, float, bool, str, type(None)) and type(value) is kind:
        return value
    raise ValueError(f"'{where.lstrip('.')}' is {value!r:.60}, not {getattr(kind, '__name__', kind)}")


def _read_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """The first kind that takes the value; of several errors the last, which is the inner one's."""
    if value is None and type(None) in kinds:
        return None
    error: ValueError | None = None
    for kind in kinds:
        if kind is not type(None):
            try:
                return _read(kind, value, where)
            except ValueError as refused:
                error = refused
    assert error is not None
    raise error


def _read_fields(kind: type, value: Mapping[str, Any], where: str) -> Any:
    made = {}
    hints = hints_of(kind)
    for item in fields(kind):
        if item.metadata.get("inlined"):
            made[item.name] = _read(hints[item.name], value, where)
        elif item.metadata.get("rest"):
            made[item.name] = _read_rest(kind, typing.get_args(hints[item.name])[1], value)
        elif (key := _key(item)) in value:
            made[item.name] = _read(hints[item.name], value[key], f"{where}.{key}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"it has no '{f'{where}.{key}'.lstrip('.')}'")
    return kind(**made)


def _read_rest(kind: type, of: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    known = {_key(item) for item in fields(kind)}
    made = {}
    for name in value.keys() - known:
        with suppress(ValueError):  # a later version may have written another kind of value
            made[name] = _read(of, value[name], name)
    return {name: made[name] for name in value if name in made}


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields; a command asks for the same dataclasses hundreds of times."""
    return typing.get_type_hints(kind)


def _key(item: Field[Any]) -> str:
    return str(item.metadata.get("key", item.name))
