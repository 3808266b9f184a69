"""The text of docs/reference.md: every verb, flag, key and choice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from svhncli.cli import catalog, helptext, overview
from svhncli.cli.main import FLAGS, SHORT
from svhncli.config.choices import CHOICES
from svhncli.config.declare import Verb
from svhncli.config.verbs import VERBS
from svhncli.config.verbs.training import TrainingConfig

KEY = re.compile(r"( *)([\w.]+):(?: +(\S.*?))?(?: +#.*)?$")
"""A line of YAML: its indent, its key, its value without a comment."""


GROUPS = list(dict.fromkeys(group for verb in VERBS.values() for group in verb.groups))


def reference(presets: Mapping[str, str]) -> str:
    """docs/reference.md.

    presets: name of a choice of reg -> its YAML file.
    """
    letters = {flag: letter for letter, flag in SHORT.items()}
    flags = {f"`{', '.join(filter(None, (letters.get(flag), flag)))}`": text for flag, text in FLAGS.items()}
    verbs = [(f"[`{verb.usage}`](#svhn-{verb.name})", verb.meaning) for verb in VERBS.values()]
    verbs += [(f"`svhn {words}`", text) for words, text in overview.WORDS.items()]
    lines = [
        "# Reference",
        "",
        "Every verb, key and choice of `svhn`. `make docs` generates this page; do not edit it.",
        "",
        "    svhn VERB [group=choice ...] [key=value ...] [flags]",
        "",
        "Keys and flags may stand anywhere after the verb. A group such as `model` takes the name of a",
        "choice, and the keys of a choice are written with the group before them: `model=cnn model.width=2`.",
        "Lists are written `[1,2]`. `svhn VERB --help` prints the same in the terminal.",
        "",
        "## Verbs",
        "",
        *table(("verb", "what it does"), verbs),
        "## Flags",
        "",
        *table(("flag", "meaning"), flags.items()),
        "## Exit codes",
        "",
        *table(("code", "meaning"), ((str(code), text) for code, text in overview.EXIT_CODES.items())),
        "## Keys of every verb that trains",
        "",
        "`train`, `check`, `lr-find`, `learning-curve` and `tune` share these keys.",
        "",
        *key_table(root_keys(TrainingConfig)),
    ]
    for verb in VERBS.values():
        lines += verb_section(verb)
    for group in GROUPS:
        lines += group_section(group, presets)
    return "\n".join(lines).rstrip("\n") + "\n"


def verb_section(verb: Verb) -> list[str]:
    """What a verb takes."""
    shared = root_keys(TrainingConfig) if issubclass(verb.config, TrainingConfig) else []
    keys = [key for key in root_keys(verb.config) if key not in shared]
    groups = [f"[`{group}`](#{group}) ({choice or 'optional'})" for group, choice in verb.groups.items()]
    words = "`, `".join(catalog.plain_keys(verb.name))
    return [
        f"## svhn {verb.name}",
        "",
        f"{verb.meaning}.",
        "",
        f"    {verb.usage}",
        "",
        *([f"The words after the verb are the values of `{words}`.", ""] if words else []),
        *([f"Groups and their defaults: {', '.join(groups)}.", ""] if groups else []),
        *(
            ["The [keys of every verb that trains](#keys-of-every-verb-that-trains), and:", ""]
            if shared
            else []
        ),
        *key_table(keys),
    ]


def group_section(group: str, presets: Mapping[str, str]) -> list[str]:
    """The choices of a group and their keys."""
    kinds = CHOICES.get(group, {})
    meaning = catalog.group_meaning(next(verb.name for verb in VERBS.values() if group in verb.groups), group)
    names = ((f"`{group}={name}`", text) for name, text in catalog.choices(group).items())
    lines = [
        f"## {group}",
        "",
        f"{meaning[0].upper()}{meaning[1:]}.",
        "",
        *table(("choice", "what it is"), names),
    ]
    if group == "reg":
        return [*lines, *preset_table(list(catalog.walk(kinds["custom"], "reg.")), presets)]
    keys = {name: list(catalog.walk(kind, f"{group}.")) for name, kind in kinds.items()}
    shared = [key for key in next(iter(keys.values()), []) if all(key in own for own in keys.values())]
    if shared:
        lines += ["Keys of every choice:", "", *key_table(shared)]
    for name, of_choice in keys.items():
        if own := [key for key in of_choice if key not in shared]:
            lines += [f"Keys of `{group}={name}`:", "", *key_table(own)]
    return lines


def preset_table(keys: Sequence[catalog.Key], presets: Mapping[str, str]) -> list[str]:
    """The keys of the regularization, with their values in each preset."""
    by_preset = {name: values(text) for name, text in presets.items()}
    rows = (
        (
            f"`{key.path}`",
            *(f"`{preset[key.path.removeprefix('reg.')]}`" for preset in by_preset.values()),
            f"`{helptext.type_and_range(key)}`",
            key.rule["meaning"],
        )
        for key in keys
    )
    return table(("key", *by_preset, "type", "meaning"), rows)


def values(text: str) -> dict[str, str]:
    """Key -> value as text, of YAML without a defaults list."""
    parents: list[str] = []
    by_path = {}
    for line in text.splitlines():
        if match := KEY.fullmatch(line):
            parents = [*parents[: len(match[1]) // 2], match[2]]
            by_path[".".join(parents)] = match[3] or ""
    return by_path


def root_keys(kind: type) -> list[catalog.Key]:
    """The keys of a verb without its groups."""
    return [key for key in catalog.walk(kind) if key.path not in GROUPS]


def key_table(keys: Iterable[catalog.Key]) -> list[str]:
    rows = (
        (
            f"`{key.path}`",
            f"`{helptext.default_text(key)}`",
            f"`{helptext.type_and_range(key)}`",
            key.rule["meaning"],
        )
        for key in keys
    )
    return table(("key", "default", "type", "meaning"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table and a blank line."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    if not cells:
        return []
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)] + [""]
