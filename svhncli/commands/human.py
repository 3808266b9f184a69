"""`svhn human`: how well a person recognizes the validation images, on the terminal or on a page."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType

from svhncli import registry
from svhncli.config.verbs.training import HumanConfig
from svhncli.core.errors import Interrupted, UsageError
from svhncli.core.files import place, write_json
from svhncli.core.labels import as_text
from svhncli.core.plain import to_plain
from svhncli.data.dataset import val_digits
from svhncli.report import quiz
from svhncli.report.html.quiz_page import write_page
from svhncli.report.quiz import Answer, Question, QuizFacts, QuizResult
from svhncli.report.score_rows import accuracy_text
from svhncli.report.terminal import Show, facts

RESULT, PAGE = "result.json", "quiz.html"
CLEAR = "\x1b[2J\x1b[H"
"""Clears a terminal."""
ENDS = {"\x03": 130, "\x04": 0, "q": 0}
"""Keys that end the quiz, and the exit code."""


@dataclass(frozen=True)
class QuizPage:
    """The page that asks, which holds no answers yet."""

    out: str


def run(config: HumanConfig) -> QuizResult | QuizPage:
    """Ask a person to label images of the first fold's validation part.

    Raises:
        UsageError: there is no terminal to ask on, the folder already has answers, or none were given.
        Interrupted: Ctrl-C; the answers so far are saved.
        DataError, DiskError: as for training.
    """
    if not config.html and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the quiz needs a terminal", "html=true writes it as a page for a browser")
    show, out = Show(), place(os.path.join(config.out, PAGE if config.html else RESULT))
    if out.exists() and not config.html:
        raise UsageError(f"'{out}' already has answers, which would be lost", "name another folder with out=")
    with show.bars():
        data = registry.data(config.data, config.split, config.cache, show.work)
    fold = registry.folds(config.split, data, config.seed)[0]
    digits = val_digits(data, fold)
    questions = []
    for number in quiz.draw(len(fold.val), config.n, config.seed):
        row = int(fold.val[number])
        image = digits.images[row]
        if data.framing is not None:
            image = data.framing.middle(image)
        questions.append(Question(row, digits.names[row], as_text(digits.labels[row]), image))
    asked = QuizFacts(data.name, data.fingerprint, fold.val_part, fold.digest, config.seed)
    positions, may_be_blank = digits.labels.shape[1], bool(digits.is_blank.any())
    if config.html:
        write_page(out, questions, positions, asked, may_be_blank=may_be_blank)
        return QuizPage(str(out))

    answers: list[Answer] = []
    ended = _ask(questions, positions, may_be_blank, answers)
    if not answers:
        raise UsageError("there are no answers, so nothing is saved", "type the digits that the image shows")
    result = QuizResult(quiz.score(answers), asked)
    write_json(out, to_plain(result))
    if ended:
        raise Interrupted(
            f"stopped after {len(answers)} of {len(questions)} images; the answers are saved in '{out}'",
            "name another folder with out= to start again",
            ended,
        )
    return replace(result, out=str(out))


def table(result: QuizResult | QuizPage) -> Iterator[RenderableType]:
    rows = [("written", result.out or "")]
    if isinstance(result, QuizResult):
        score = result.score
        accuracy = accuracy_text(score.accuracy, score.interval)
        time_row = ("time", f"{score.median_seconds:.1f} s per image (median)")
        rows = [(f"you ({score.n:,} images)", accuracy), time_row, *rows]
    yield facts(rows)


def _ask(questions: list[Question], positions: int, may_be_blank: bool, answers: list[Answer]) -> int:
    """Show image after image and append the answers; the exit code of the key that ended it, or 0."""
    help_text = "keys 0-9" if positions == 1 else "keys 0-9, then Enter; Backspace deletes one"
    if may_be_blank:
        help_text += "; Enter alone: no number"
    with _keys() as key:
        for number, question in enumerate(questions, 1):
            size = shutil.get_terminal_size()
            drawn = quiz.half_blocks(question.image, min(80, size.columns), max(4, size.lines - 4))
            head = f"image {number} of {len(questions)}   {help_text}; q ends"
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
                ends = positions == 1 or pressed in ("\r", "\n")
                if ends and (typed or may_be_blank):
                    break
            seconds = time.monotonic() - shown
            answers.append(Answer(question.index, question.name, question.label, typed, seconds))
    return 0


@contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits for one key; Ctrl-C is a key, too, and the terminal is restored at the end."""
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
