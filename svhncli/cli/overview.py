"""The text of `svhn --help`. It imports next to nothing, so that it is there at once."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

WIDTH = 80

VERBS = {
    "train": ("", "data, split, model, optimiser, schedule and regularisation in one run"),
    "inspect": (" [RUN]", "faults of a data set and its split; likely label errors by a RUN"),
    "check": ("", "small trainings that show whether a large one can be trusted"),
    "lr-find": ("", "how high lr may be: a short training in which it rises at every step"),
    "learning-curve": ("", "would more data help, or a larger model?"),
    "human": ("", "a quiz: how well a person reads the validation part"),
    "eval": (" RUN", "loss and accuracy of a trained run"),
    "compare": (" RUNS...", "whether runs differ by more than chance, and in what they were set"),
    "gather": (" DIR", "jobs that trained a fold or seed each become one run of several"),
    "report": (" RUN", "all about a run or a sweep as one HTML page"),
    "ensemble": (" RUNS...", "join folds, snapshots or runs into one network"),
    "predict": (" RUN PATHS...", "what a trained run reads in pictures, as CSV"),
    "submission": (" FILE FOLDER", "check a submission to the Tianchi contest"),
    "export": (" RUN", "ONNX and safetensors with a model card"),
    "render": ("", "sheets of what the renderer draws, factor by factor"),
}
"""Verb -> what it takes beside keys (each is the value of the key of its name), and what it does."""

WORDS = {
    "help VERB": "every key of a verb: type, default, range, meaning",
    "completion SHELL": "a script that completes in bash, zsh or fish",
}

EXAMPLES = """\
  svhn train model=cnn optim=adam lr=3e-4
  svhn train -m lr=1e-3,3e-4 model=cnn,mlp      every combination, ranked
  svhn eval latest                              score the run of just now
  svhn predict latest photos/ out=read.csv      read a folder of pictures"""

EXIT_CODES = (
    "exit codes: 0 done, 1 failed, 2 usage, 3 data, 4 checkpoint, 5 busy, 6 disk, 7 loss not finite, "
    "8 a check failed, 130 Ctrl-C, 143 SIGTERM"
)


def overview(flags: dict[str, str], short: dict[str, str]) -> str:
    """The verbs, three examples and the flags."""
    verbs = {f"{verb}{takes}": text for verb, (takes, text) in VERBS.items()}
    return "\n".join(
        [
            "svhn: train and use networks that read street numbers",
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
            *textwrap.wrap(EXIT_CODES, WIDTH),
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
    """With blanks at which no line is broken."""
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
