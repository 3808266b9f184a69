"""What can be chosen and set: the keys of the dataclasses and the files of conf/, without Hydra or YAML.

Help, completion, suggestions and the generated files all ask here, so they are instant and never disagree.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.declare import summary
from svhncli.config.presets import conf_dir
from svhncli.config.verbs import VERBS
from svhncli.core.plain import hints_of

BUNDLES = {
    "experiment": "a recipe: a set of choices and values that were measured together",
    "debug": "a quick look at whether everything works",
}
"""Groups that are not keys of the config: they set keys of other groups."""


@dataclass(frozen=True)
class Key:
    """One key as it is written on the command line."""

    path: str
    hint: Any
    rule: Mapping[str, Any]
    default: Any
    owners: tuple[str, ...] = ()
    """The choices of its group that have it; empty for a key at the root."""

    @property
    def is_free_text(self) -> bool:
        """Whether it takes any text, such as a path."""
        return str in (self.hint, *typing.get_args(self.hint)) and not self.rule["choices"]

    @property
    def wanted(self) -> str:
        """Type and range in words."""
        kind = rules.kind_text(self.hint, self.rule["choices"])
        return ", ".join(filter(None, (kind, rules.range_text(self.rule))))


def is_trainer(verb: str) -> bool:
    """Whether a verb makes runs: a folder of its own, resume, sweeps."""
    return "resume" in {item.name for item in fields(VERBS[verb].config)}


def is_search(verb: str) -> bool:
    """Whether a verb runs the trials of a study, in a folder of its own, with resume."""
    return "trials" in {item.name for item in fields(VERBS[verb].config)}


def plain_keys(verb: str) -> list[str]:
    """The keys whose values are the plain words after a verb, in order: `run`, then `paths`."""
    return re.findall(r"\w+", VERBS[verb].words.lower())


def many_key(verb: str) -> str | None:
    """The key that takes all remaining plain words; None if no key does."""
    return plain_keys(verb)[-1] if VERBS[verb].words.endswith("...") else None


def takes_run(verb: str) -> bool:
    """Whether the first plain word after a verb is a run."""
    return "run" in plain_keys(verb)


def prints(verb: str) -> bool:
    """Whether a verb writes its result to standard output unless out=FILE is given."""
    return verb == "predict"


def defaults(verb: str) -> dict[str, str]:
    """Group -> default choice; "null" where a choice is optional."""
    return {group: choice or "null" for group, choice in VERBS[verb].groups.items()}


def group_meaning(verb: str, group: str) -> str:
    """One line on what a group of a verb chooses."""
    meanings = {item.name: item.metadata["meaning"] for item in fields(VERBS[verb].config)}
    return str((BUNDLES | meanings)[group])


def choices(group: str) -> dict[str, str]:
    """Choice -> one line about it: those of dataclasses, then those of hand-written files."""
    kinds = {} if group == "reg" else CHOICES.get(group, {})
    files = sorted((conf_dir() / group).glob("*.yaml"))
    presets = {path.stem: _first_comment(path) for path in files if path.stem not in kinds}
    return {name: summary(kind) for name, kind in kinds.items()} | presets


def _first_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = (line[2:] for line in lines if line.startswith("# ") and "@package" not in line)
    return next(comments, "").removesuffix(".")


def keys(verb: str) -> dict[str, Key]:
    """Path -> key, for the verb and for every choice of its groups."""
    groups = defaults(verb)
    by_path = {key.path: key for key in walk(VERBS[verb].config) if key.path not in groups}
    for group in groups:
        for choice, kind in CHOICES.get(group, {}).items():
            for key in walk(kind, f"{group}."):
                known = by_path.get(key.path, key)
                by_path[key.path] = replace(known, owners=(*known.owners, choice))
    return by_path


def walk(kind: type, path: str = "") -> Iterator[Key]:
    """The keys of one dataclass, in its order, with those of the dataclasses inside it."""
    hints = hints_of(kind)
    is_choice = any(kind in kinds.values() for kinds in CHOICES.values())
    for item in fields(kind):
        if is_choice and item.name == "name":  # says which choice it is; chosen by group=choice
            continue
        if is_dataclass(hints[item.name]):
            yield from walk(hints[item.name], f"{path}{item.name}.")
        else:
            default = item.default if item.default_factory is MISSING else item.default_factory()
            yield Key(f"{path}{item.name}", hints[item.name], rules.rule_of(item), default)
