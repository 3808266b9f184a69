"""Progress of jobs that train side by side: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from svhncli.core.text import duration, percent
from svhncli.report.terminal import Show, epoch_line
from svhncli.runs.results import FoldSummary

Self = TypeVar("Self", bound="LiveTable")  # typing.Self came with Python 3.11

SELDOM = 0.2
"""Seconds between two looks at how far an epoch is."""


class Relay(Show):
    """The `Show` of a job in a process of its own: its messages go to the parent, as tuples."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send
        self._sent_at = 0.0

    def say(self, text: str, style: str = "") -> None:
        self._send("say", text, style)

    def warn(self, text: str) -> None:
        self._send("warn", text)

    def tell(self, text: str) -> None:
        self._send("tell", text)

    def epoch(self, row: dict[str, Any], epochs: int, images_per_second: float, improved: bool) -> None:
        self._send("epoch", row, epochs, images_per_second, improved)

    def step(self, what: str, done: int, total: int | None, left: float | None = None) -> None:
        if (now := time.monotonic()) - self._sent_at > SELDOM:
            self._sent_at = now
            self._send("step", what, done, total)

    def stopping(self) -> None:
        """The parent has printed it."""

    @contextmanager
    def bars(self) -> Iterator[None]:
        yield


@dataclass
class _Row:
    """A job that is being trained."""

    began: float = field(default_factory=time.monotonic)
    doing: str = "starts"
    first: int = 0
    """The epoch that was the first of this start."""
    epoch: int = 0
    epoch_at: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    rate: float = 0.0

    @property
    def age(self) -> float:
        return time.monotonic() - self.began


class LiveTable:
    """A table that is drawn again and again on a terminal, while the block runs; nothing elsewhere."""

    def __init__(self, show: Show) -> None:
        self.show = show
        is_live = show.console.is_terminal and not show.quiet
        self.live = Live(console=show.console, auto_refresh=False, transient=True) if is_live else None

    def __enter__(self: Self) -> Self:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()


class Board(LiveTable):
    """Shows jobs that train side by side, while the block runs.

    On a terminal a table of those under way, with the epoch, the best so far and the time that is left; every
    job that ends leaves a line above it. Elsewhere a line per epoch. All lines go to the run's log.
    """

    def __init__(self, show: Show, names: Sequence[str], epochs: int) -> None:
        super().__init__(show)
        self.count = len(names)
        self.width = max(map(len, names))
        self.epochs = epochs
        self.ended: list[float] = []
        self.rows: dict[str, _Row] = {}

    @property
    def waiting(self) -> int:
        return self.count - len(self.ended) - len(self.rows)

    # ---- what happens

    def begin(self, name: str) -> None:
        self.rows[name] = _Row()
        self._draw()

    def take(self, name: str, kind: str, *content: Any) -> None:
        """A message of a `Relay`."""
        row = self.rows[name]
        if kind == "step":
            what, done, total = content
            row.doing = f"{what} {done / total:.0%}" if total else what
        elif kind == "epoch":
            self._epoch(name, row, *content)
        elif kind == "tell":
            self.show.tell(self._named(name, content[0]))
        elif kind == "warn":
            self.show.warn(self._named(name, content[0]))
        else:
            text, style = content
            self.show.say(self._named(name, text), style)
        self._draw()

    def done(self, name: str, summary: FoldSummary) -> None:
        row, best = self.rows.pop(name), summary.best
        self.ended.append(row.age)
        self.show.say(
            f"{name:{self.width}}  done: val {percent(best.val_accuracy)}, loss {best.val_loss:.4f} "
            f"in epoch {best.epoch}; {summary.seconds:.0f} s"
        )
        self._draw()

    def _epoch(
        self, name: str, row: _Row, values: dict[str, Any], epochs: int, rate: float, improved: bool
    ) -> None:
        row.first = row.first or values["epoch"]
        row.epoch, row.epoch_at, row.rate = values["epoch"], time.monotonic(), rate
        if improved:
            row.best, row.best_epoch = values["val_accuracy"], values["epoch"]
        line = self._named(name, epoch_line(values, epochs, rate, improved))
        if self.live is None:
            self.show.say(line)
        else:
            self.show.note(line)

    def _named(self, name: str, text: str) -> str:
        return text if text.startswith(name) else f"{name:{self.width}}  {text}"

    # ---- the table

    def _draw(self) -> None:
        if self.live is None:
            return
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for head in ("job", "epoch", "best val", "in", "img/s", "left", ""):
            table.add_column(head, justify="left" if head in ("job", "") else "right", no_wrap=True)
        for name, row in self.rows.items():
            left = self._left(row)
            table.add_row(
                name,
                f"{row.epoch}/{self.epochs}",
                "" if row.best is None else percent(row.best),
                str(row.best_epoch or ""),
                f"{row.rate:,.0f}" if row.rate else "",
                "" if left is None else duration(left),
                row.doing,
            )
        total = self._total()
        text = f"{len(self.ended)} of {self.count} done, {len(self.rows)} under way, {self.waiting} waiting"
        text += "" if total is None else f"; at most {duration(total)} left"
        self.live.update(Group(table, Text(text)), refresh=True)

    def _left(self, row: _Row) -> float | None:
        """Seconds to the row's last epoch, by those that it has done; it may stop earlier."""
        if not row.epoch:
            return None
        per_epoch = (row.epoch_at - row.began) / (row.epoch - row.first + 1)
        return max(0.0, (self.epochs - row.epoch) * per_epoch - (time.monotonic() - row.epoch_at))

    def _total(self) -> float | None:
        """Seconds until all are done, if those that wait take as long as the longest so far."""
        known = {name: left for name, row in self.rows.items() if (left := self._left(row)) is not None}
        if not known:
            return None
        longest = max([*self.ended, *(self.rows[name].age + left for name, left in known.items())])
        rounds = math.ceil(self.waiting / len(self.rows))
        return max(known.values()) + rounds * longest
