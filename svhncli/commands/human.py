"""`svhn human`: how well a person reads the validation part, on the terminal or by a page."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from svhncli import registry
from svhncli.config.verbs import HumanConfig
from svhncli.core.errors import Interrupted, UsageError
from svhncli.core.files import place, write_json
from svhncli.core.labels import as_text
from svhncli.data.dataset import val_digits
from svhncli.report import quiz
from svhncli.report.html.quiz_page import write_page
from svhncli.report.quiz import Answer, Question
from svhncli.report.terminal import Show

RESULT, PAGE = "result.json", "quiz.html"
CLEAR = "\x1b[2J\x1b[H"
"""Empties a terminal."""
ENDS = {"\x03": 130, "\x04": 0, "q": 0}
"""Keys that end the quiz, and the exit code."""


def run(config: HumanConfig) -> dict[str, Any]:
    """Ask a person for pictures of a first fold's validation part.

    Returns:
        What `quiz.score` gives and "data", "fingerprint", "part" (in which the indices count), "split" (a
        hash of it), "seed", "out"; or, for a page, {"out"}.

    Raises:
        UsageError: there is no terminal to ask on, answers lie in the folder already, or none were given.
        Interrupted: Ctrl-C; what was answered is saved.
        DataError, DiskError: as for training.
    """
    if not config.html and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the quiz needs a terminal", "html=true writes it as a page for a browser")
    show, out = Show(), place(os.path.join(config.out, PAGE if config.html else RESULT))
    if out.exists() and not config.html:
        raise UsageError(f"'{out}' has answers already, which would be lost", "name another folder with out=")
    with show.bars():
        data = registry.data(config.data, config.split, config.cache, show.work)
    fold = registry.folds(config.split, data, config.seed)[0]
    digits = val_digits(data, fold)
    questions = []
    for number in quiz.draw(len(fold.val), config.n, config.seed):
        row = int(fold.val[number])
        picture = digits.images[row]
        if data.framing is not None:
            picture = data.framing.middle(picture)
        questions.append(Question(row, digits.names[row], as_text(digits.labels[row]), picture))
    facts: dict[str, Any] = {"data": data.name, "fingerprint": data.fingerprint, "part": fold.val_part}
    facts |= {"split": fold.digest, "seed": config.seed}
    positions = digits.labels.shape[1]
    if config.html:
        write_page(out, questions, positions, facts)
        return {"out": str(out)}

    answers: list[Answer] = []
    ended = _ask(questions, positions, answers)
    if not answers:
        raise UsageError("nothing was answered, so nothing is saved", "type the digit that a picture shows")
    result = {**quiz.score(answers), **facts}
    write_json(out, result)
    if ended:
        raise Interrupted(
            f"stopped after {len(answers)} of {len(questions)} pictures, which are saved in '{out}'",
            "name another folder with out= to begin anew",
            ended,
        )
    return {**result, "out": str(out)}


def _ask(questions: list[Question], positions: int, answers: list[Answer]) -> int:
    """Show picture after picture and append what is typed; the exit code of the key that ended it, or 0."""
    help_text = "keys 0-9" if positions == 1 else "keys 0-9, then Enter; Backspace takes one back"
    with _keys() as key:
        for number, question in enumerate(questions, 1):
            size = shutil.get_terminal_size()
            drawn = quiz.half_blocks(question.picture, min(80, size.columns), max(4, size.lines - 4))
            head = f"picture {number} of {len(questions)}   {help_text}; q ends"
            sys.stderr.write(f"{CLEAR}{head}\n{drawn}\n")
            sys.stderr.flush()
            shown, typed = time.monotonic(), ""
            while True:
                pressed = key()
                if pressed in ENDS:
                    return ENDS[pressed]
                if pressed.isdigit() and pressed.isascii() and len(typed) < positions:
                    typed += pressed
                elif pressed in ("\x7f", "\b"):
                    typed = typed[:-1]
                sys.stderr.write(f"\r\x1b[K{typed}")
                sys.stderr.flush()
                if typed and (positions == 1 or pressed in ("\r", "\n")):
                    break
            seconds = time.monotonic() - shown
            answers.append(Answer(question.index, question.name, question.label, typed, seconds))
    return 0


@contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits for one key; Ctrl-C is a key, too, and the terminal is put back at the end."""
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        quiet = termios.tcgetattr(number)
        quiet[3] &= ~termios.ISIG
        termios.tcsetattr(number, termios.TCSADRAIN, quiet)
        yield lambda: os.read(number, 1).decode("ascii", "replace") or "\x04"
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
        sys.stderr.write("\n")
