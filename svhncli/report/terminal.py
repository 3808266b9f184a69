"""What a person sees: bars on a terminal, plain lines elsewhere; progress on stderr, results on stdout."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from svhncli.core.files import writing
from svhncli.core.text import duration, printable
from svhncli.stats.metrics import added_metrics


@dataclass(frozen=True)
class RunningJob:
    """A job of a sweep, from 1 to total. words: its own overrides. beside: whether others show their lines
    on this terminal meanwhile. before: seconds that other jobs took."""

    number: int
    total: int
    words: str
    beside: bool = False
    before: Sequence[float] = ()
    began: float = field(default_factory=time.monotonic)

    @property
    def place(self) -> str:
        return f"job {self.number}/{self.total}"

    @property
    def name(self) -> str:
        return f"{self.place} {self.words}".rstrip()

    def left(self, job_left: float) -> float:
        """Seconds that the sweep will go on, if this job goes on for so many and others take as long."""
        whole = time.monotonic() - self.began + job_left
        return job_left + (self.total - self.number) * fmean([*self.before, whole])


_of_a_sweep: ContextVar[RunningJob | None] = ContextVar("_of_a_sweep", default=None)
"""The job of a sweep that runs now. Hydra calls the verb of a job, so nothing can be handed to it."""


@contextmanager
def as_job(job: RunningJob) -> Iterator[None]:
    """While the block runs, a command is a job of a sweep: it shows bars and warnings alone, by its name."""
    token = _of_a_sweep.set(job)
    try:
        yield
    finally:
        _of_a_sweep.reset(token)


class _Beside(ProgressColumn):
    """What stands after a bar: the one column that is cut where the terminal is too narrow."""

    def __init__(self) -> None:
        super().__init__(Column())

    def render(self, task: Task) -> Text:
        return Text(task.fields["beside"], no_wrap=True, overflow="ellipsis")


class Printer(Console):
    """A console that shows control characters, of file names for one, and obeys none. Its reader may go away,
    as `head` does: an error like that of any other print."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Rich's own; what Rich itself sends to control the terminal stays."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled; Rich would end the process here, with exit code 1."""
        raise


class Show:
    """The output of one command. Everything that it prints also goes to the run's log, without colors."""

    def __init__(self) -> None:
        self.console = Printer(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = bool(os.environ.get("SVHN_QUIET"))
        self.job = _of_a_sweep.get()
        self.log: Path | None = None
        self._progress: Progress | None = None
        self._logged: set[str] = set()

    def say(self, text: str, style: str = "") -> None:
        """One line to stderr and to the log; of a job of a sweep to the log alone."""
        self.note(text)
        if not self.job:
            self._print(text, style)

    def _print(self, text: str, style: str = "") -> None:
        if not self.quiet:
            console = self.console if self._progress is None else self._progress.console
            console.print(printable(text), style=style or None, markup=False)

    def note(self, text: str) -> None:
        """One line to the log alone."""
        if self.log is not None:
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {printable(text)}\n"
            with writing(self.log), self.log.open("ab") as file:
                file.write(line.encode(errors="surrogateescape"))  # names of any bytes

    def warn(self, text: str) -> None:
        self.note(f"warning: {text}")
        self._print(f"{self.job.name}: warning: {text}" if self.job else f"warning: {text}", "yellow")

    def tell(self, text: str) -> None:
        """A paragraph, wrapped to the width of the terminal."""
        for line in textwrap.wrap(text, self.console.width, subsequent_indent="    "):
            self.say(line)

    def epoch(self, row: dict[str, Any], epochs: int, images_per_second: float, improved: bool) -> None:
        """An epoch is done."""
        self.say(epoch_line(row, epochs, images_per_second, improved))

    def stopping(self) -> None:
        """A signal arrived. Written directly, since it may have interrupted anything."""
        if not (self.job and self.job.beside):  # the process that it came from has printed it
            os.write(2, b"\nsvhn: stopping after this step; press Ctrl-C again to quit at once\n")

    def verdict(self, name: str, passed: bool, measured: str, expected: str, fix: str) -> None:
        """A finished check: whether it passed, what was measured, what was expected, how to fix it."""
        self.say(f"{'pass' if passed else 'FAIL'}  {name}", "" if passed else "red")
        rows = [("measured", measured), ("expected", expected)]
        for what, text in rows if passed else [*rows, ("to fix  ", fix)]:
            indent = " " * 6
            head = f"{indent}{what}  "
            lines = textwrap.wrap(
                text, self.console.width, initial_indent=head, subsequent_indent=" " * len(head)
            )
            for line in lines:
                self.say(line)

    @contextmanager
    def bars(self) -> Iterator[None]:
        """Progress bars while the block runs, on a terminal that shows nothing else; nothing elsewhere."""
        if self.quiet or not self.console.is_terminal or (self.job and self.job.beside):
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(12, table_column=Column(no_wrap=True)),
            *(TaskProgressColumn(), TimeRemainingColumn(), _Beside()),
        )
        with Progress(*columns, console=self.console, transient=True) as self._progress:
            try:
                yield
            finally:
                self._progress = None

    def work(self, what: str, done: int, total: int | None) -> None:
        """Progress of a piece of preparation: a bar on a terminal, elsewhere a line when it starts."""
        if self._progress is None and what not in self._logged:
            self._logged.add(what)
            self.say(f"{what} ...")
        self.step(what, done, total)

    def step(self, what: str, done: int, total: int | None, left: float | None = None) -> None:
        """Progress within an epoch: a bar on a terminal, elsewhere nothing.

        left: seconds that the whole run will go on at most, if they are known.
        """
        if self._progress is None:
            return
        beside = "" if left is None else f"run: at most {duration(left)}"
        if self.job:
            what = f"{self.job.place}  {what}"
            sweep = "" if left is None else f"sweep: about {duration(self.job.left(left))}  "
            beside = f"{sweep}{self.job.words}"
        ids = {task.description: task.id for task in self._progress.tasks}
        if what not in ids:
            for old in ids.values():
                self._progress.remove_task(old)
            ids[what] = self._progress.add_task(what, total=total, beside=beside)
        self._progress.update(ids[what], completed=done, total=total, beside=beside)


class Silent(Show):
    """The `Show` of a run that others are about: its messages go to its log alone."""

    @contextmanager
    def bars(self) -> Iterator[None]:
        yield

    def _print(self, text: str, style: str = "") -> None:
        """Nothing: it is in the log."""

    def stopping(self) -> None:
        """Whoever runs it has printed it."""


def epoch_line(row: dict[str, Any], epochs: int, images_per_second: float, improved: bool) -> str:
    """One epoch in one line that fits 80 columns; `*` marks the best so far. Added metrics follow."""
    width = len(str(epochs))
    return (
        f"epoch {row['epoch']:{width}}/{epochs}  "
        f"train {_loss(row['train_loss'])} {row['train_accuracy']:7.2%}  "
        f"val {_loss(row['val_loss'])} {row['val_accuracy']:7.2%}{'*' if improved else ' '} "
        f"lr {row['lr']:.1e}  {images_per_second:,.0f} img/s"
        + "".join(f"  {metric.title} {metric.text(row[metric.name])}" for metric in added_metrics([row]))
    )


def _loss(value: float) -> str:
    return f"{value:.4f}" if value < 100 else f"{value:.1e}"


def class_balance(counts: Sequence[int]) -> str:
    """The share of each digit in one line, such as `0 10%  1 19% …`."""
    total = max(1, sum(counts))
    return "  ".join(f"{digit} {count / total:.0%}" for digit, count in enumerate(counts))


def width() -> int:
    """Columns of standard output, for text that is wrapped before it is printed."""
    return Console().width


def present(parts: Iterable[RenderableType], stderr: bool = False) -> None:
    """Print a result to stdout (or stderr): the parts that a verb's `table` yields, one below the other."""
    out = Printer(highlight=False, soft_wrap=False, stderr=stderr)
    for part in parts:
        out.print(part, soft_wrap=isinstance(part, Text))  # a line of text is whole, to be copied


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values, one row each."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, escape(text))
    return table


def listed(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Text:
    """A table whose last column holds paths, which stay whole, to be copied, however long they are."""
    lines = [heads, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads) - 1)]
    texts = [
        "  ".join([*(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=False)), line[-1]])
        for line in lines
    ]
    return Text.assemble((texts[0], "bold"), *(f"\n{text}" for text in texts[1:]))


def labeled(name: str, text: str) -> Text:
    """A name and a path or command on one line, however long it is."""
    return Text.assemble((name, "bold"), "  ", text)


def next_steps(commands: Iterable[str]) -> Iterator[Text]:
    """Commands to copy."""
    yield from (Text(f"  {command}") for command in commands)
