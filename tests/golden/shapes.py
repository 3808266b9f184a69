"""The shape of a JSON value: its keys and types without what is data.

A leaf is the name of its type, such as "float". A dict has its keys, in their order; where the keys are
numbers, which are data, it is {"*": the shape of all its values}. A list has one element, the shape of all
its elements, or none where it is empty. A list of several shapes means one of them: ["null", "float"]. A key
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
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [merged(map(shape, value))] if value else NOTHING
    return LEAVES[type(value)]


def merged(shapes: Iterable[Any]) -> Any:
    """The shape of all values that have one of these shapes."""
    kinds: dict[type, Any] = {}
    leaves: set[str] = set()
    for one in (kind for each in shapes for kind in _kinds(each)):
        if isinstance(one, str):
            leaves.add(one)
        else:
            kinds[type(one)] = _joined(kinds[type(one)], one) if type(one) in kinds else one
    found = [*sorted(leaves, key=lambda name: (name != "null", name)), *kinds.values()]
    return found[0] if len(found) == 1 else found


def differences(was: Any, now: Any, path: str = "") -> Iterator[str]:
    """What of `now` is not as `was` says, with the path of the key.

    Where `was` knows several types, or keys that only some have, it is enough that `now` has some of them.
    """
    if isinstance(was, dict) and isinstance(now, dict):
        yield from _of_keys(was, now, path)
        return
    known, found = _kinds(was), _kinds(now)
    for one in found:
        alike = [kind for kind in known if type(kind) is type(one)]
        if isinstance(one, str):
            if one not in known:
                yield f"{path or '.'}: was {_told(was)}, is {_told(one)}"
        elif not alike:
            yield f"{path or '.'}: was {_told(was)}, is {_told(one)}"
        elif isinstance(one, dict):
            yield from _of_keys(alike[0], one, path)
        elif one and not alike[0]:
            yield f"{path}[]: the list was always empty, has {_told(one[0])}"
        elif one:
            yield from differences(alike[0][0], one[0], f"{path}[]")


def _of_keys(was: Mapping[str, Any], now: Mapping[str, Any], path: str) -> Iterator[str]:
    before = {key.removesuffix("?"): one for key, one in was.items()}
    after = {key.removesuffix("?"): one for key, one in now.items()}
    for key in [key for key in before if key not in after]:
        if f"{key}?" not in was:
            yield f"{path}.{key}: the key is missing"
    for key in [key for key in after if key not in before]:
        yield f"{path}.{key}: a new key, {_told(after[key])}"
    for key in before.keys() & after.keys():
        if key in was and key not in now:
            yield f"{path}.{key}: the key is missing in some"
    common = [key for key in before if key in after]
    if common != (order := [key for key in after if key in before]):
        yield f"{path or '.'}: the order of keys was {', '.join(common)}, is {', '.join(order)}"
    for key in common:
        yield from differences(before[key], after[key], f"{path}.{key}")


def _kinds(one: Any) -> list[Any]:
    """The shapes that a shape allows."""
    return one if isinstance(one, list) and len(one) > 1 else [one]


def _joined(one: Any, other: Any) -> Any:
    """Two dicts or two lists."""
    if isinstance(one, list):
        return [merged([*one, *other])] if one or other else NOTHING
    before, after = ({key.removesuffix("?"): key for key in each} for each in (one, other))
    order, place = [*before], 0
    for key in after:  # a key that is new stands behind the one that it came after
        if key in before:
            place = order.index(key)
        else:
            order.insert(place, key)
        place += 1
    found: dict[str, Any] = {}
    for key in order:
        shapes = [each[names[key]] for each, names in ((one, before), (other, after)) if key in names]
        always = before.get(key) == after.get(key) == key
        found[key if always else f"{key}?"] = merged(shapes)
    return found


def _told(one: Any) -> str:
    return one if isinstance(one, str) else json.dumps(one)
