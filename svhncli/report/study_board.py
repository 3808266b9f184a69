"""Progress of a search: a live table on a terminal, a line for each trial that ended elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.console import Group
from rich.table import Table
from rich.text import Text

from svhncli.core.text import duration
from svhncli.report.board import LiveTable
from svhncli.report.terminal import Show
from svhncli.stats.metrics import METRICS, column_text

SHOWN = 5
"""Of the best trials, how many are in the table."""


@dataclass(frozen=True)
class TrialLine:
    """A trial as the board shows it. status: running, done, pruned or failed. score: the best so far.

    epoch: epochs done. seconds: since it began. reason: why it failed or was pruned.
    """

    number: int
    words: str
    status: str
    score: float | None
    epoch: int
    seconds: float
    reason: str = ""


class StudyBoard(LiveTable):
    """Shows the trials of a study while the block runs, those of other processes, too.

    count: trials that the study is to have. epochs: of a trial.
    """

    def __init__(self, show: Show, metric: str, count: int, epochs: int) -> None:
        super().__init__(show)
        self.metric = METRICS[metric]
        self.count = count
        self.epochs = epochs
        self.began = time.monotonic()
        self.ended: set[int] | None = None
        self.at_start = 0

    def update(self, trials: Sequence[TrialLine]) -> int:
        """Print a line for each trial that ended since the last look, and draw the table; how many ended."""
        over = [trial for trial in trials if trial.status != "running"]
        if self.ended is None:
            self.ended = {trial.number for trial in over}
            self.at_start = len(over)
        for trial in over:
            if trial.number not in self.ended:
                self.ended.add(trial.number)
                self.show.say(self._line(trial, over))
        if self.live is not None:
            self.live.update(Group(self._table(trials), Text(self._total(trials))), refresh=True)
        return len(over)

    def _line(self, trial: TrialLine, over: Sequence[TrialLine]) -> str:
        head = f"trial {trial.number:3}  {trial.status:6}"
        if trial.status == "failed":
            return f"{head}  {trial.words}: {trial.reason}"
        best = self._best(over)
        mark = "*" if best and best[0].number == trial.number else " "
        after = "" if trial.epoch >= self.epochs else f" after epoch {trial.epoch}"
        return f"{head}  {self._score(trial)}{mark} {duration(trial.seconds)}{after}  {trial.words}"

    def _score(self, trial: TrialLine) -> str:
        return "" if trial.score is None else column_text(self.metric.name, trial.score)

    def _best(self, trials: Sequence[TrialLine]) -> list[TrialLine]:
        done = [trial for trial in trials if trial.status == "done" and trial.score is not None]
        return sorted(done, key=lambda trial: trial.score or 0.0, reverse=self.metric.higher_is_better)

    def _table(self, trials: Sequence[TrialLine]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for head in ("trial", "", self.metric.title, "epoch", "values"):
            table.add_column(head, justify="right" if head in ("trial", "epoch") else "left", no_wrap=True)
        best = self._best(trials)[:SHOWN]
        for trial in [*best, *(trial for trial in trials if trial.status == "running")]:
            words = "best" if best and trial is best[0] else "" if trial.status == "done" else trial.status
            table.add_row(
                str(trial.number),
                words,
                self._score(trial),
                f"{trial.epoch}/{self.epochs}",
                Text(trial.words),
            )
        return table

    def _total(self, trials: Sequence[TrialLine]) -> str:
        counts = {
            status: sum(trial.status == status for trial in trials)
            for status in ("done", "pruned", "failed", "running")
        }
        text = f"{sum(counts.values()) - counts['running']} of {self.count} trials ended: "
        text += ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        over = [trial.seconds for trial in trials if trial.status != "running"]
        now = len(over) - self.at_start
        if now:
            left = (self.count - len(over)) * (time.monotonic() - self.began) / now
            text += f"; about {duration(left)} left"
        elif over:
            text += f"; {duration(fmean(over))} each"
        return text
