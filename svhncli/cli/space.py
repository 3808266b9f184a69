"""The words of `svhn tune` that are spaces, such as `lr=log(1e-4,1e-2)`, and what dimensions they mean."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from svhncli.cli import catalog, grammar
from svhncli.config import rules
from svhncli.config.loading import NEUTRAL
from svhncli.config.space import Dimension, Space, Value
from svhncli.config.words import value_text
from svhncli.core.errors import UsageError

VERB = "tune"
RANGE = re.compile(r"\s*(log)?\s*\(([^()]*)\)\s*")
"""`(0, 0.5)`, `log(1e-4, 1e-2)`; Hydra's grammar has no such values."""
FIXED = NEUTRAL | {"seed", "device", "precision", "threads", "plugins", "metric"}
"""Keys that change nothing of what a trial learns, or that trials must have in common to be compared."""
FORMS = "a range, key=(0,0.5) or key=log(1e-4,1e-2), or a list, key=a,b"


def split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Words that are spaces, as key -> text, and the others.

    Raises:
        UsageError: a word that cannot be parsed, or one key twice.
    """
    texts: dict[str, str] = {}
    others = []
    for word in words:
        key, _, text = word.partition("=")
        if RANGE.fullmatch(text) or grammar.parse([word], VERB)[0].is_sweep_override():
            if key in texts:
                raise UsageError(f"{key} has two spaces", "give one of them")
            texts[key] = text
        else:
            others.append(word)
    if twice := texts.keys() & {word.partition("=")[0] for word in others}:
        raise UsageError(f"{min(twice)} has a value and a space", "give one of them")
    return texts, others


def texts_of(file: Any) -> dict[str, str]:
    """The spaces of a file of conf/space, as key -> text.

    Raises:
        UsageError: it is not a list of keys with their spaces.
    """
    if file is None:
        return {}
    if not isinstance(file, Mapping):
        raise UsageError(f"space={file} is not a space", f"choose one of conf/space, or give {FORMS}")
    texts = {}
    for key, value in rules.flat(file).items():
        listed = value if isinstance(value, list) else [value]
        texts[key] = ",".join(entry if isinstance(entry, str) else value_text(entry) for entry in listed)
    return texts


def read(texts: Mapping[str, str], chosen: Mapping[str, str]) -> Space:
    """The space of these keys.

    chosen: config group -> the choice of the config that the trials vary.

    Raises:
        UsageError: a key that does not exist or cannot be searched, or values that it cannot have.
    """
    if not texts:
        raise UsageError("no space is named", f"give {FORMS}, or a shipped one: svhn tune space=small")
    return Space.of([_dimension(key, text, chosen) for key, text in texts.items()], chosen)


def _dimension(key: str, text: str, chosen: Mapping[str, str]) -> Dimension:
    known = catalog.keys("train")
    if key in ("data", "split") or key.partition(".")[0] in ("data", "split"):
        raise UsageError(
            f"{key} cannot be searched: trials are compared on the same images", "give one value"
        )
    if key in FIXED or (key in catalog.keys(VERB) and key not in known):
        raise UsageError(f"{key} cannot be searched", "give one value")
    declared = known.get(key)
    if declared is None and key not in chosen:
        near = rules.closest(key, [*known, *chosen])
        raise UsageError(
            f"the space has an unknown key '{key}'", f"did you mean '{near}'?" if near else "svhn help tune"
        )
    owners = frozenset(declared.owners) if declared and "." in key and not key.startswith("reg.") else ()
    if match := RANGE.fullmatch(text):
        return _range(key, text, match, declared, frozenset(owners))
    word = grammar.parse([f"{key}={text}"], VERB)[0]
    values = _listed(word)
    if len({*values}) < 2:
        raise UsageError(f"{key}={text} is a single value, not a space", f"give {FORMS}")
    return Dimension(key, text, values, owners=frozenset(owners))


def _range(
    key: str, text: str, match: re.Match[str], declared: catalog.Key | None, owners: frozenset[str]
) -> Dimension:
    kinds = {*typing.get_args(declared.hint), declared.hint} if declared else set()
    if not kinds & {int, float}:
        raise UsageError(f"{key}={text}: {key} has no numbers to draw from", f"list its values: {key}=a,b")
    whole = float not in kinds
    try:
        low, high, *step = [float(number) for number in match[2].split(",")]
    except ValueError:
        step = [0.0, 0.0]
    if len(step) > 1:
        raise UsageError(
            f"{key}={text} is not a range", f"write {key}=(LOW,HIGH), {key}=(LOW,HIGH,STEP) or log(LOW,HIGH)"
        )
    if not low < high:
        raise UsageError(f"{key}={text}: {low:g} is not below {high:g}", "the lower end comes first")
    if match[1] and (low <= 0 or step):
        raise UsageError(
            f"{key}={text}: a logarithmic range begins above 0 and has no step",
            f"such as {key}=log({high / 1000:g},{high:g})",
        )
    if whole and any(not number.is_integer() for number in (low, high, *step)):
        raise UsageError(f"{key}={text}: {key} is an integer", "give integers as its ends")
    if step and not 0 < step[0] <= high - low:
        raise UsageError(
            f"{key}={text}: the step {step[0]:g} does not fit", "give one above 0 and below the range"
        )
    return Dimension(key, text, (), low, high, step[0] if step else None, bool(match[1]), whole, owners)


def _listed(word: Override) -> tuple[Value, ...]:
    """The values of a list or of Hydra's `choice()` and `range()`.

    Raises:
        UsageError: a kind of sweep that is written otherwise here.
    """
    sweep = word.value()
    if not isinstance(sweep, (ChoiceSweep, RangeSweep)):
        if not word.is_sweep_override():
            return (str(sweep),)
        raise UsageError(f"{word.input_line} is not a space", f"give {FORMS}")
    values: list[Value] = []
    for text in word.sweep_string_iterator():
        value = grammar.parse([f"{word.key_or_group}={text}"], VERB)[0].value()
        values.append(value if isinstance(value, (bool, int, float, str)) else str(text))
    return tuple(values)
