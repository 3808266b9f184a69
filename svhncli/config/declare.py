"""How a part is declared: one decorated dataclass for each choice of a group, and one for each verb.

The dataclass is the only place that lists a part's keys. Help, completion, the files in conf/, the reference
in docs/ and the registry all read these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

Kind = TypeVar("Kind", bound=type)

CHOICES: dict[str, dict[str, type]] = {
    group: {} for group in ("data", "split", "model", "optim", "schedule", "reg")
}
"""Group -> name -> dataclass. Read it from config.choices, which fills it."""

BUILDS: dict[type, str] = {}
"""Dataclass -> the object that it builds, as "module:name"; the module is imported on first use."""

ROOT_VALUES: dict[type, Mapping[str, Any]] = {}
"""Dataclass -> default values that choosing it gives to keys at the root, such as an optimizer's lr."""


def choice(group: str, *, builds: str = "", **root_values: Any) -> Callable[[Kind], Kind]:
    """Declare a dataclass as a choice of a config group, under the default of its key `name`.

    Args:
        group: data, split, model, optim, schedule or reg.
        builds: what it builds, as "module:name". See the registry for how each group calls it.
        root_values: defaults that it gives to keys at the root.
    """

    def declare(kind: Kind) -> Kind:
        CHOICES[group][name_of(kind)] = kind
        if builds:
            BUILDS[kind] = builds
        if root_values:
            ROOT_VALUES[kind] = root_values
        return kind

    return declare


def name_of(kind: type) -> str:
    """The name under which a dataclass is chosen."""
    return str(next(item.default for item in fields(kind) if item.name == "name"))


@dataclass(frozen=True)
class Verb:
    """What `svhn NAME` takes and does.

    Attributes:
        config: the dataclass of its keys.
        words: what follows the verb besides key=value, such as "RUN PATHS..."; each word stands for the key
            of the same name in lower case.
        groups: config group -> default choice; None where a choice is optional.
    """

    name: str
    config: type
    words: str
    groups: Mapping[str, str | None]

    @property
    def meaning(self) -> str:
        """One line on what it does."""
        return summary(self.config)

    @property
    def usage(self) -> str:
        """The command with its words."""
        return f"svhn {self.name} {self.words}".rstrip()


VERBS: dict[str, Verb] = {}
"""Name -> verb, in the order of the help. Read it from config.verbs, which fills it."""


def verb(name: str, words: str = "", **groups: str | None) -> Callable[[Kind], Kind]:
    """Declare a dataclass as the keys of a verb; the first line of its docstring is the verb's meaning."""

    def declare(kind: Kind) -> Kind:
        VERBS[name] = Verb(name, kind, words, groups)
        return kind

    return declare


def summary(kind: type) -> str:
    """The first line of a dataclass's docstring, without its full stop."""
    return (kind.__doc__ or "").strip().split("\n")[0].removesuffix(".")
