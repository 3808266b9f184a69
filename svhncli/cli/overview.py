"""The text of `svhn --help`. `make docs` writes it to overview.txt, so that printing it takes no time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from svhncli.config.verbs import VERBS

WIDTH = 80

WORDS = {
    "help VERB [WORD]": "List the keys of a verb, or of one group, or one key: type, default, range, meaning",
    "completion SHELL": "Print a completion script for bash, zsh or fish",
}

EXAMPLES = """\
  svhn train model=cnn optim=adam lr=3e-4
  svhn train -m lr=1e-3,3e-4 model=cnn,mlp      every combination, ranked
  svhn eval latest                              score the newest run
  svhn predict latest photos/ out=numbers.csv   predict a folder of images"""

EXIT_CODES = {
    0: "done",
    1: "failed",
    2: "usage",
    3: "data",
    4: "checkpoint",
    5: "busy",
    6: "disk",
    7: "loss not finite",
    8: "a check failed",
    130: "Ctrl-C",
    143: "SIGTERM",
}


def overview(flags: dict[str, str], short: dict[str, str]) -> str:
    """The verbs, examples, flags and exit codes."""
    codes = ", ".join(f"{code} {reason}" for code, reason in EXIT_CODES.items())
    verbs = {f"{verb.name} {verb.words}".rstrip(): verb.meaning for verb in VERBS.values()}
    return "\n".join(
        [
            "svhn: train and use networks that recognize street numbers",
            "",
            "usage: svhn VERB [key=value ...] [flags]",
            "",
            "verbs",
            *columns((verb, text) for verb, text in (verbs | WORDS).items()),
            "",
            "examples",
            EXAMPLES,
            "",
            "flags, anywhere on the line",
            *flag_rows(flags, short),
            "",
            *textwrap.wrap(f"exit codes: {codes}", WIDTH),
        ]
    )


def flag_rows(flags: dict[str, str], short: dict[str, str], multirun: bool = True) -> Iterable[str]:
    letters = {name: letter for letter, name in short.items()}
    return columns(
        (f"{letters.get(name, '')}{', ' if name in letters else '    '}{name}", text)
        for name, text in flags.items()
        if multirun or name not in ("--resume", "--multirun")
    )


def together(text: str) -> str:
    """With spaces at which no line is broken."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def columns(rows: Iterable[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Two columns, the second one wrapped."""
    rows = list(rows)
    width = max((len(left) for left, _ in rows), default=0)
    lines = []
    for left, right in rows:
        room = WIDTH - len(indent) - width - 2
        first, *more = [line.replace(together(" "), " ") for line in textwrap.wrap(right, room)] or [""]
        lines.append(f"{indent}{left:{width}}  {first}".rstrip())
        lines += [f"{indent}{'':{width}}  {line}" for line in more]
    return lines
