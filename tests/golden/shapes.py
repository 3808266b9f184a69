"""The shape of a JSON value: its keys and types without the data.

A leaf is the name of its type, such as "float". A dict has its keys, in their order; where the keys are
numbers, which are data, it is {"*": the shape of all its values}. A list has one element, the shape of all
its elements, or none where it is empty. A list of several shapes means any of them: ["null", "float"]. A key
that only some of several dicts have ends with "?".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LEAVES = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
NOTHING: list[Any] = []
"""The shape of a list without elements."""


def shape(value: Any) -> Any:
    """Of a value as `json.loads` gives it."""
    if isinstance(value, dict):
        if value and all(re.fullmatch(r"\d+(\.png)?", key) for key in value):
            return {"*": merged(map(shape, value.values()))}
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [merged(map(shape, value))] if value else NOTHING
    return LEAVES[type(value)]


def merged(shapes: Iterable[Any]) -> Any:
    """The shape of all values that have one of these shapes."""
    kinds: dict[type, Any] = {}
    leaves: set[str] = set()
    for kind in (kind for allowed in shapes for kind in _kinds(allowed)):
        if isinstance(kind, str):
            leaves.add(kind)
        else:
            kinds[type(kind)] = _joined(kinds[type(kind)], kind) if type(kind) in kinds else kind
    alternatives = [*sorted(leaves, key=lambda name: (name != "null", name)), *kinds.values()]
    return alternatives[0] if len(alternatives) == 1 else alternatives


def differences(was: Any, now: Any, path: str = "") -> Iterator[str]:
    """The differences of `now` from `was`, each with the path of its key.

    Where `was` allows several types, or keys that only some dicts have, `now` may have any of them.
    """
    if isinstance(was, dict) and isinstance(now, dict):
        yield from _of_keys(was, now, path)
        return
    allowed, present = _kinds(was), _kinds(now)
    for shape_now in present:
        alike = [kind for kind in allowed if type(kind) is type(shape_now)]
        if isinstance(shape_now, str):
            if shape_now not in allowed:
                yield f"{path or '.'}: was {_text(was)}, is {_text(shape_now)}"
        elif not alike:
            yield f"{path or '.'}: was {_text(was)}, is {_text(shape_now)}"
        elif isinstance(shape_now, dict):
            yield from _of_keys(alike[0], shape_now, path)
        elif shape_now and not alike[0]:
            yield f"{path}[]: the list was always empty, has {_text(shape_now[0])}"
        elif shape_now:
            yield from differences(alike[0][0], shape_now[0], f"{path}[]")


def _of_keys(was: Mapping[str, Any], now: Mapping[str, Any], path: str) -> Iterator[str]:
    before = {key.removesuffix("?"): value for key, value in was.items()}
    after = {key.removesuffix("?"): value for key, value in now.items()}
    for key in [key for key in before if key not in after]:
        if f"{key}?" not in was:
            yield f"{path}.{key}: the key is missing"
    for key in [key for key in after if key not in before]:
        yield f"{path}.{key}: a new key, {_text(after[key])}"
    for key in before.keys() & after.keys():
        if key in was and key not in now:
            yield f"{path}.{key}: the key is missing in some"
    common = [key for key in before if key in after]
    if common != (order := [key for key in after if key in before]):
        yield f"{path or '.'}: the order of keys was {', '.join(common)}, is {', '.join(order)}"
    for key in common:
        yield from differences(before[key], after[key], f"{path}.{key}")


def _kinds(value: Any) -> list[Any]:
    """The shapes that a shape allows."""
    return value if isinstance(value, list) and len(value) > 1 else [value]


def _joined(a: Any, b: Any) -> Any:
    """The shape of all values of two dicts or of two lists."""
    if isinstance(a, list):
        return [merged([*a, *b])] if a or b else NOTHING
    before, after = ({key.removesuffix("?"): key for key in value} for value in (a, b))
    order, place = [*before], 0
    for key in after:  # a new key is put behind the key that it follows
        if key in before:
            place = order.index(key)
        else:
            order.insert(place, key)
        place += 1
    joined: dict[str, Any] = {}
    for key in order:
        shapes = [value[names[key]] for value, names in ((a, before), (b, after)) if key in names]
        always = before.get(key) == after.get(key) == key
        joined[key if always else f"{key}?"] = merged(shapes)
    return joined


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
