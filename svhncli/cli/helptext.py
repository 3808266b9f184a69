"""The text of `svhn VERB --help`, generated from the config dataclasses and conf/, 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence

from svhncli.cli import catalog, suggest
from svhncli.cli.overview import WIDTH, columns, flag_rows, together
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.verbs import VERBS


def of_verb(verb: str, flags: dict[str, str], short: dict[str, str], only: Collection[str] = ()) -> str:
    """Every key and choice of a verb, or those of some of its groups, or some of its keys.

    Raises:
        UsageError: it has no such group or key.
    """
    groups = catalog.defaults(verb)
    if only:
        return "\n\n".join("\n".join(_about(verb, word, groups)) for word in only)
    root = [key for key in catalog.walk(VERBS[verb].config) if key.path not in groups]
    lines = [
        *textwrap.wrap(f"svhn {verb}: {VERBS[verb].meaning}", WIDTH),
        "",
        f"usage: {VERBS[verb].usage} {'[group=choice ...] ' * bool(groups)}[key=value ...] [flags]",
        "",
        *_keys(root),
    ]
    for group, default in groups.items():
        lines += ["", *_about_group(verb, group, default)]
    lines += ["", "flags", *flag_rows(flags, short, multirun=catalog.is_trainer(verb))]
    return "\n".join(lines)


def _about(verb: str, word: str, groups: Mapping[str, str]) -> list[str]:
    """A group, or a key: of its group with the choices that have it."""
    if word in groups:
        return _about_group(verb, word, groups[word])
    key = catalog.keys(verb).get(word)
    if key is None:
        raise suggest.unknown_topic(word, verb)
    group = word.partition(".")[0]
    kinds = CHOICES.get(group, {}) if key.owners else {}
    variants = {
        name: next(own for own in catalog.walk(kinds[name], f"{group}.") if own.path == word)
        for name in key.owners
    }
    if len({default_text(own) for own in variants.values()}) < 2:
        return [*_keys([key]), *([f"  a key of {group}={', '.join(key.owners)}"] if key.owners else [])]
    return [line for name, own in variants.items() for line in (f"{group}={name}", *_keys([own]))]


def _about_group(verb: str, group: str, default: str) -> list[str]:
    about = f"{group}: {catalog.group_meaning(verb, group)} (default: {default})"
    return [*textwrap.wrap(about, WIDTH), *_group(group)]


def _group(group: str) -> Iterable[str]:
    """The choices of a group, the keys that all of them share, then the keys of each."""
    kinds = CHOICES.get(group, {})
    yield from columns((f"{group}={name}", text) for name, text in catalog.choices(group).items())
    keys = {name: list(catalog.walk(kind, f"{group}.")) for name, kind in kinds.items()}
    shared = [key for key in next(iter(keys.values()), []) if all(key in own for own in keys.values())]
    if group == "reg":
        yield "  keys (the defaults are those of reg=none)"
    elif shared:
        yield "  keys of every choice"
    yield from _keys(shared, "    ")
    for name, of_choice in keys.items():
        if own := [key for key in of_choice if key not in shared]:
            yield f"  keys of {group}={name}"
            yield from _keys(own, "    ")


def _keys(keys: Sequence[catalog.Key], indent: str = "  ") -> Iterable[str]:
    """Key, default, then meaning, type and range."""
    width = max((len(key.path) for key in keys), default=0)
    rows = [
        (
            f"{key.path:{width}}  {default_text(key)}",
            f"{key.rule['meaning']} {together(f'[{type_and_range(key)}]')}",
        )
        for key in keys
    ]
    return columns(rows, indent)


def type_and_range(key: catalog.Key) -> str:
    """Type and range in short: `0 <= float < 1`."""
    kind, null, _ = rules.kind_text(key.hint, key.rule["choices"]).partition(" or null")
    kind = kind.replace(" or ", "|")
    for long, short in {"integer": "int", "number": "float", "true or false": "true|false"}.items():
        kind = kind.replace(long, short)
    limits = {
        name: f"{key.rule[name]:g}"
        for name in ("low", "above", "high", "below")
        if key.rule[name] is not None
    }
    signs = {"low": "<=", "above": "<", "high": "<=", "below": "<"}
    bottom = [f"{limits[name]} {signs[name]} " for name in ("low", "above") if name in limits]
    top = [f" {signs[name]} {limits[name]}" for name in ("high", "below") if name in limits]
    if bottom and not top:
        number, sign = bottom[0].split()
        return f"{kind} {sign.replace('<', '>')} {number}{null}"
    return "".join([*bottom, kind, *top, null])


def default_text(key: catalog.Key) -> str:
    """A key's default as it is written on the command line."""
    if key.default == rules.UNSET:
        return "from optim" if key.path == "lr" else "required"
    if key.default is None or isinstance(key.default, bool):
        return {None: "null", True: "true", False: "false"}[key.default]
    if isinstance(key.default, list):
        return f"[{','.join(map(str, key.default))}]"
    return f"{key.default:g}" if isinstance(key.default, float) else str(key.default)
