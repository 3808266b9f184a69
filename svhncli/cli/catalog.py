"""What there is to choose from: the schema's keys and the files of conf/, without Hydra or a YAML parser.

Help, completion and "did you mean" ask here, so they are instant and never disagree.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from svhncli.cli import overview
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.verbs import VERBS


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
    def wanted(self) -> str:
        """Type and range in words."""
        kind = rules.kind_text(self.hint, self.rule["choices"])
        return ", ".join(filter(None, (kind, rules.range_text(self.rule))))


def conf_dir() -> Path:
    """The shipped configs: beside the package in a wheel, one folder up in a checkout."""
    here = Path(__file__).resolve().parents[1]
    return next(path for path in (here / "conf", here.parent / "conf") if (path / "train.yaml").is_file())


def is_trainer(verb: str) -> bool:
    """Whether a verb makes runs: a folder of its own, resume, sweeps."""
    return "resume" in {item.name for item in fields(VERBS[verb])}


def plain_keys(verb: str) -> list[str]:
    """The keys whose values are the plain words after a verb, in order: `run`, then `paths`."""
    return re.findall(r"\w+", overview.VERBS[verb][0].lower())


def many_key(verb: str) -> str | None:
    """The key that takes all plain words that are left; None where no key does."""
    return plain_keys(verb)[-1] if overview.VERBS[verb][0].endswith("...") else None


def takes_run(verb: str) -> bool:
    """Whether the first plain word after a verb is a run."""
    return "run" in plain_keys(verb)


def prints(verb: str) -> bool:
    """Whether a verb's result itself goes to standard output where no out=FILE is given."""
    return verb == "predict"


def defaults(verb: str) -> dict[str, str]:
    """Group -> default choice, as the verb's YAML, or one that it includes, lists them."""
    found: dict[str, str] = {}
    text = (conf_dir() / f"{verb}.yaml").read_text(encoding="utf-8")
    for name, choice in re.findall(r"^  - (\w+)(?:: (\w+))?", text, re.MULTILINE):
        if choice:
            found[name] = choice
        elif name not in ("_self_", "override"):
            found |= defaults(name)
    return found


def choices(group: str) -> dict[str, str]:
    """Choice -> one line about it; a plugin's choices, which have no file, come last."""
    found = {path.stem: _first_comment(path) for path in sorted((conf_dir() / group).glob("*.yaml"))}
    kinds = {} if group == "reg" else CHOICES.get(group, {})
    named = {name: found.get(name, (kind.__doc__ or "").split("\n")[0]) for name, kind in kinds.items()}
    return named | found


def _first_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line[2:] for line in lines if line.startswith("# ") and "@package" not in line), "")


def keys(verb: str) -> dict[str, Key]:
    """Path -> key, for the verb and for every choice of its groups."""
    found: dict[str, Key] = {}
    groups = defaults(verb)
    for key in walk(VERBS[verb]):
        if key.path not in groups:
            found[key.path] = key
    for group in groups:
        for choice, kind in CHOICES.get(group, {}).items():
            for key in walk(kind, f"{group}."):
                owners = (*found[key.path].owners, choice) if key.path in found else (choice,)
                found.setdefault(key.path, key)
                found[key.path] = replace(found[key.path], owners=owners)
    return found


def walk(kind: type, path: str = "") -> Iterator[Key]:
    """The keys of one dataclass, in its order, with those of the dataclasses inside it."""
    hints = typing.get_type_hints(kind)
    for item in fields(kind):
        if item.name == "name":  # says which choice it is; chosen by group=choice
            continue
        if is_dataclass(hints[item.name]):
            yield from walk(hints[item.name], f"{path}{item.name}.")
        else:
            default = item.default if item.default_factory is MISSING else item.default_factory()
            yield Key(f"{path}{item.name}", hints[item.name], item.metadata, default)
