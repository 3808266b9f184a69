"""The texts of `svhn --help` and `svhn VERB --help`, generated from the schema and conf/, 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from svhncli import catalog, schema

WIDTH = 80

VERB_WORDS = {
    "help VERB": "every key of a verb: type, default, range, meaning",
    "completion SHELL": "a script that completes in bash, zsh or fish",
}

EXAMPLES = """\
  svhn train model=cnn optim=adam lr=3e-4
  svhn train -m lr=1e-3,3e-4 model=cnn,mlp      every combination, ranked
  svhn eval latest                              score the run of just now"""

EXIT_CODES = (
    "exit codes: 0 done, 1 failed, 2 usage, 3 data, 4 checkpoint, 5 busy, 6 disk, 7 loss not finite, "
    "8 a check failed, 130 Ctrl-C, 143 SIGTERM"
)


def overview(flags: dict[str, str], short: dict[str, str]) -> str:
    """The verbs, three examples and the flags."""
    verbs = {f"{verb} RUN" if catalog.takes_run(verb) else verb: meaning(verb) for verb in schema.VERBS}
    return "\n".join(
        [
            "svhn: train and use networks that read street numbers",
            "",
            "usage: svhn VERB [key=value ...] [flags]",
            "",
            "verbs",
            *_columns((verb, text) for verb, text in (verbs | VERB_WORDS).items()),
            "",
            "examples",
            EXAMPLES,
            "",
            "flags, anywhere on the line",
            *_flags(flags, short),
            "",
            *textwrap.wrap(EXIT_CODES, WIDTH),
        ]
    )


def of_verb(verb: str, flags: dict[str, str], short: dict[str, str]) -> str:
    """Every key and choice of a verb."""
    groups = catalog.defaults(verb)
    run = " RUN" if catalog.takes_run(verb) else ""
    root = [key for key in catalog.walk(schema.VERBS[verb]) if key.path not in groups]
    meanings = {key.path: key.rule["meaning"] for key in catalog.walk(schema.VERBS[verb])}
    lines = [
        *textwrap.wrap(f"svhn {verb}{run}: {meaning(verb)}", WIDTH),
        "",
        f"usage: svhn {verb}{run} [group=choice ...] [key=value ...] [flags]",
        "",
        *_keys(root),
    ]
    for group, default in groups.items():
        about = f": {meanings[group]}" if group in meanings else ""
        lines += ["", *textwrap.wrap(f"{group}{about} (default: {default})", WIDTH), *_group(group)]
    lines += ["", "flags", *_flags(flags, short, multirun=catalog.is_trainer(verb))]
    return "\n".join(lines)


def meaning(verb: str) -> str:
    """One line about a verb: the docstring of its config."""
    return " ".join((schema.VERBS[verb].__doc__ or "").partition(": ")[2].split()).rstrip(".")


def _group(group: str) -> Iterable[str]:
    """The choices of a group, the keys that all of them have, then those of each."""
    kinds = schema.CHOICES.get(group, {})
    yield from _columns((f"{group}={name}", text) for name, text in catalog.choices(group).items())
    keys = {name: list(catalog.walk(kind, f"{group}.")) for name, kind in kinds.items()}
    shared = [key for key in next(iter(keys.values()), []) if all(key in each for each in keys.values())]
    if group == "reg":
        yield "  keys (the defaults are those of reg=none)"
    elif shared:
        yield "  keys of all"
    yield from _keys(shared, "    ")
    for name, each in keys.items():
        if own := [key for key in each if key not in shared]:
            yield f"  keys of {group}={name}"
            yield from _keys(own, "    ")


def _keys(keys: Sequence[catalog.Key], indent: str = "  ") -> Iterable[str]:
    """Key, default, then meaning, type and range."""
    width = max((len(key.path) for key in keys), default=0)
    rows = [
        (f"{key.path:{width}}  {_default(key)}", f"{key.rule['meaning']} {_together(f'[{_wanted(key)}]')}")
        for key in keys
    ]
    return _columns(rows, indent)


def _wanted(key: catalog.Key) -> str:
    """Type and range, as short as they are clear: `0 <= float < 1`."""
    if key.rule["choices"]:
        return "|".join(key.rule["choices"])
    kind, null, _ = schema.type_text(key.hint).partition(" or null")
    for long, short in {"whole number": "int", "number": "float", "true or false": "true|false"}.items():
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


def _default(key: catalog.Key) -> str:
    if key.default == schema.UNSET:
        return "from optim" if key.path == "lr" else "required"
    if key.default is None or isinstance(key.default, bool):
        return {None: "null", True: "true", False: "false"}[key.default]
    if isinstance(key.default, list):
        return f"[{','.join(map(str, key.default))}]"
    return f"{key.default:g}" if isinstance(key.default, float) else str(key.default)


def _flags(flags: dict[str, str], short: dict[str, str], multirun: bool = True) -> Iterable[str]:
    letters = {name: letter for letter, name in short.items()}
    return _columns(
        (f"{letters.get(name, '')}{', ' if name in letters else '    '}{name}", text)
        for name, text in flags.items()
        if multirun or name not in ("--resume", "--multirun")
    )


def _together(text: str) -> str:
    """With blanks at which no line is broken."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _columns(rows: Iterable[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Two columns, the second one wrapped."""
    rows = list(rows)
    width = max((len(left) for left, _ in rows), default=0)
    lines = []
    for left, right in rows:
        room = WIDTH - len(indent) - width - 2
        first, *more = [line.replace(_together(" "), " ") for line in textwrap.wrap(right, room)] or [""]
        lines.append(f"{indent}{left:{width}}  {first}".rstrip())
        lines += [f"{indent}{'':{width}}  {line}" for line in more]
    return lines
