"""What a person sees: bars on a terminal, plain lines elsewhere; progress on stderr, results on stdout."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from svhncli.report.differences import comparison_tables
from svhncli.report.findings_table import tables
from svhncli.runs.overall import BOOTSTRAP
from svhncli.stats.metrics import added_metrics, column_text, registered

PARTS = ("train", "val", "test")


class Show:
    """The voice of one command. Everything that it says also goes to the run's log, without colours."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = bool(os.environ.get("SVHN_QUIET"))
        self.log: Path | None = None
        self._progress: Progress | None = None
        self._said: set[str] = set()

    def say(self, text: str, style: str = "") -> None:
        """One line to stderr and to the log."""
        self.note(text)
        if not self.quiet:
            console = self.console if self._progress is None else self._progress.console
            console.print(text, style=style or None, markup=False)

    def note(self, text: str) -> None:
        """One line to the log alone."""
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

    def warn(self, text: str) -> None:
        self.say(f"warning: {text}", "yellow")

    def tell(self, text: str) -> None:
        """Prose, wrapped where the terminal ends."""
        for line in textwrap.wrap(text, self.console.width, subsequent_indent="    "):
            self.say(line)

    def epoch(self, row: dict[str, Any], epochs: int, images_per_second: float, improved: bool) -> None:
        """An epoch is done."""
        self.say(epoch_line(row, epochs, images_per_second, improved))

    def stopping(self) -> None:
        """A signal came. Written as it is, since it came in the middle of whatever is being done."""
        os.write(2, b"\nsvhn: stopping after this step; once more to quit at once\n")

    def verdict(self, name: str, passed: bool, measured: str, expected: str, mend: str) -> None:
        """A check that is done: whether it passed, what was measured, what was expected, how to mend it."""
        self.say(f"{'pass' if passed else 'FAIL'}  {name}", "" if passed else "red")
        told = [("measured", measured), ("expected", expected)]
        for what, text in told if passed else [*told, ("to mend ", mend)]:
            indent = " " * 6
            head = f"{indent}{what}  "
            lines = textwrap.wrap(
                text, self.console.width, initial_indent=head, subsequent_indent=" " * len(head)
            )
            for line in lines:
                self.say(line)

    @contextmanager
    def bars(self) -> Iterator[None]:
        """Progress bars while the block runs, on a terminal; nothing elsewhere."""
        if self.quiet or not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(
            *columns, TimeRemainingColumn(), console=self.console, transient=True
        ) as self._progress:
            try:
                yield
            finally:
                self._progress = None

    def work(self, what: str, done: int, total: int | None) -> None:
        """How far a piece of preparation is: a bar on a terminal, elsewhere a line when it starts."""
        if self._progress is None and what not in self._said:
            self._said.add(what)
            self.say(f"{what} ...")
        self.step(what, done, total)

    def step(self, what: str, done: int, total: int | None) -> None:
        """How far an epoch is: a bar on a terminal, elsewhere nothing."""
        if self._progress is None:
            return
        ids = {task.description: task.id for task in self._progress.tasks}
        if what not in ids:
            for old in ids.values():
                self._progress.remove_task(old)
            ids[what] = self._progress.add_task(what, total=total)
        self._progress.update(ids[what], completed=done, total=total)


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


def percent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f}%"


def present(parts: Iterable[RenderableType], stderr: bool = False) -> None:
    """Print a result on stdout (or stderr): what a verb's `table` yields, one below the other."""
    out = Console(highlight=False, soft_wrap=False, stderr=stderr)
    for part in parts:
        out.print(part, soft_wrap=isinstance(part, Text))  # a line of text is whole, to be copied


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Names and values, a row each."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, escape(text))
    return table


def labelled(name: str, text: str) -> Text:
    """A name and a path or command, on one line however long it is."""
    return Text.assemble((name, "bold"), "  ", text)


def next_steps(commands: Iterable[str]) -> Iterator[Text]:
    """Commands to copy."""
    yield from (Text(f"  {command}") for command in commands)


def final(summary: dict[str, Any], stderr: bool = False) -> None:
    """The result of a command as a table on stdout, then the commands that go on from here."""
    out = Console(highlight=False, soft_wrap=False, stderr=stderr)
    if "folds" in summary:
        out.print(_folds_table(summary))
    for part in PARTS:
        if "classes" in (summary.get(part) or {}):
            out.print(_classes_table(summary[part]["classes"]))
    if "members" in summary:
        out.print(_members_table(summary))
    if "sizes" in summary:
        out.print(_curve_table(summary))
    if "findings" in summary:
        for found in tables(summary, out.width):
            out.print(found)
    if "comparisons" in summary:
        for found in comparison_tables(summary, out.width):
            out.print(found)
    out.print(facts(_result_rows(summary)))
    for name, key in (("run", "run_dir"), ("report", "report")):
        if key in summary:
            out.print(f"[bold]{name}[/]  {escape(summary[key])}", soft_wrap=True)  # whole, to be copied
    for line in summary.get("next", ()):
        out.print(f"  {line}", markup=False, soft_wrap=True)


def _result_rows(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if best := summary.get("best"):
        text = f"val accuracy {percent(best['val_accuracy'])}, loss {best['val_loss']:.4f}"
        added = added_metrics([best])
        text += "".join(f", {metric.title} {metric.text(best[metric.name])}" for metric in added)
        yield "best epoch", f"{best['epoch']} ({text})"
    for part in PARTS:
        for kind in ("accuracy", "loss", "digit_accuracy", "length_accuracy"):
            if estimate := summary.get(f"{part}_{kind}"):
                yield f"mean {part} {kind.replace('_', ' ')}", _estimate(f"{part}_{kind}", estimate)
    for metric in registered():
        if estimate := summary.get(metric.name):
            yield f"mean val {metric.title}", _estimate(metric.name, estimate)
    if found := summary.get("unseen"):
        yield "unseen pictures", f"{_accuracy(found)}, {_pictures(found)}"
    if found := summary.get("bootstrap"):
        for name, words in BOOTSTRAP.items():
            yield words, _resampled(found[name])
        yield "made of", _made_of(found)
    if seeds := summary.get("seeds"):
        spread = percent(seeds["sd"])
        yield "seeds", f"{seeds['n']}; val accuracy differs from seed to seed by {spread} (sd)"
    for part in PARTS:
        if (score := summary.get(part)) and f"{part}_loss" not in summary:
            yield f"{part} ({score['n']:,} pictures)", _score(score)
            if "by_length" in score:
                yield f"{part} digits", _digits(score)
                yield f"{part} by length", _by_length(score["by_length"])
            if "calibration" in score:
                yield "calibration", _calibration(score["calibration"])
    if gain := summary.get("gain"):
        yield "gain", _gain(gain["over_best"], "its best member")
        yield "", _gain(gain["over_mean"], "its members do on average")
    if checks := summary.get("checks"):
        yield "checks", f"all {len(checks)} passed"
    for number, text in enumerate(summary.get("says", ())):
        yield "" if number else "it says", text
    if "plot" in summary:
        yield "plot", summary["plot"]
    if "lowest" in summary:
        lr = "none" if summary["lr"] is None else f"{summary['lr']:.1e}"
        yield "suggested lr", f"{lr}: {summary['why']}"
        yield "schedule", "; ".join(summary["misfits"]) or "fits the epochs"
    if jumps := summary.get("watch"):
        yield "watched", _jumps(jumps)
    if "median_seconds" in summary:
        yield f"you ({summary['n']:,} pictures)", _accuracy(summary)
        yield "time", f"{summary['median_seconds']:.1f} s a picture (median)"
    if "read" in summary:
        yield "pictures", f"{summary['read']:,} read"
    if broken := summary.get("broken"):
        yield "unreadable", f"{len(broken):,}, named above"
    if wordless := summary.get("without_digits"):
        yield "without digits", f"{wordless:,}; the likeliest number with a digit was written"
    if "rows" in summary:
        yield "rows", f"{summary['rows']:,}: a valid submission"
    if units := summary.get("units"):
        remain = f"{units['open']:,} of {units['of']:,} units remain open"
        yield "l0", remain + ("; the closed ones are taken out" if "files" in summary else "")
    if agreement := summary.get("agreement"):
        yield (
            "agreement",
            f"on {agreement['pictures']} pictures ({agreement['of']}) ONNX and PyTorch read the same; "
            f"probabilities differ by {agreement['difference']:.1e} at most",
        )
    if summary.get("out"):
        yield "written", summary["out"]
    if summary.get("tta", 1) > 1:
        yield "views", f"{summary['tta']} a picture, their probabilities averaged"
    if "reason" in summary:
        yield "ended", summary["reason"]
    if "images_per_second" in summary:
        yield "time", f"{summary['seconds']:.0f} s, {summary['images_per_second']:,.0f} images/s"


def _score(score: dict[str, Any]) -> str:
    return f"{_accuracy(score)}, loss {score['loss']:.4f}"


def _accuracy(score: dict[str, Any]) -> str:
    text = f"accuracy {percent(score['accuracy'])}"
    if interval := score.get("interval"):
        text += f" [{percent(interval['low'])}, {percent(interval['high'])}] at {interval['level']:.0%}"
    return text


def _pictures(found: dict[str, Any]) -> str:
    """How many pictures, and of how many house numbers where these are fewer."""
    houses = f" of {found['groups']:,} house numbers" if found["groups"] < found["n"] else ""
    return f"{found['n']:,} pictures{houses}"


def _resampled(found: dict[str, Any]) -> str:
    """An accuracy with its percentile interval, and BCa's where it was made."""

    def told(interval: dict[str, Any]) -> str:
        return f"[{percent(interval['low'])}, {percent(interval['high'])}]"

    text = f"accuracy {percent(found['value'])}"
    text += f" {told(found['percentile'])}" if found["percentile"] else ""
    return text + (f", BCa {told(found['bca'])}" if found["bca"] else "")


def _made_of(found: dict[str, Any]) -> str:
    return (
        f"training error {percent(found['train_error'])}, error without information "
        f"{percent(found['no_information_rate'])}, overfitting R {found['relative_overfitting']:.2f}"
    )


def _digits(score: dict[str, Any]) -> str:
    digits, length = score["digit_accuracy"], score["length_accuracy"]
    return f"{percent(digits)} right in their place, right length {percent(length)}"


def _by_length(scores: dict[str, dict[str, Any]]) -> str:
    """Such as `1: 97.1% of 412  2: 94.0% of 1,203`."""
    return "  ".join(f"{size}: {percent(s['accuracy'], 1)} of {s['n']:,}" for size, s in scores.items())


def _jumps(found: dict[str, Any]) -> str:
    epochs = "the last epoch" if found["epochs"] == 1 else f"each of the last {found['epochs']} epochs"
    share = percent(found["changed"], 1)
    return f"{share} of {found['pictures']} pictures were read otherwise after {epochs}"


def _calibration(found: dict[str, Any]) -> str:
    error = f"error {percent(found['ece'])}"
    if found["temperature"] is None:
        return f"{error}; temperature not fitted: {found['not_fitted']}"
    return f"{error}; {percent(found['ece_after'])} at temperature {found['temperature']:.2f}, fitted on val"


def _estimate(name: str, value: dict[str, Any]) -> str:
    def text(number: float) -> str:
        return column_text(name, number)

    told = f"{text(value['mean'])}, sd {text(value['sd'])}"
    if "low" in value:
        told += f", [{text(value['low'])}, {text(value['high'])}] at {value['level']:.0%}"
    return told


def _classes_table(classes: list[dict[str, Any]]) -> Table:
    """The ten digits; the blank of numbers is no digit."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("digit", "precision", "recall", "F1", "count"):
        table.add_column(name, justify="right")
    for one in classes[:10]:
        shares = (one[name] for name in ("precision", "recall", "f1"))
        told = ("-" if share is None else percent(share) for share in shares)
        table.add_row(str(one["class"]), *told, f"{one['support']:,}")
    return table


def _gain(found: dict[str, Any], than: str) -> str:
    """How many points of accuracy an ensemble reads more, or less."""
    interval = found["interval"]
    values = (found["mean"], interval["low"], interval["high"])
    mean, low, high = (f"{round(100 * value, 2) + 0:.2f}" for value in values)  # + 0: never -0.00
    return f"the ensemble reads {mean} points more than {than}, {interval['level']:.0%} {low} to {high}"


def _members_table(summary: dict[str, Any]) -> Table:
    """What an ensemble is made of, then the ensemble; scores where there are any."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("member", "weight", "accuracy", "loss"):
        table.add_column(name, justify="left" if name == "member" else "right", overflow="fold")
    whole: dict[str, Any] = next((summary[part] for part in PARTS if part in summary), {})
    rows = [(one["checkpoint"], f"{one['share']:.3f}", one) for one in summary["members"]]
    for name, weight, score in [*rows, ("ensemble", "", whole)]:
        known = score.get("accuracy") is not None
        scores = (percent(score["accuracy"]), f"{score['loss']:.4f}") if known else ("-", "-")
        table.add_row(escape(name), weight, *scores)
    return table


def _curve_table(summary: dict[str, Any]) -> Table:
    """A row for each size that was measured, then those that the law expects."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("train on", "val error", "95%", "train error", ""):
        table.add_column(name, justify="left" if name == "" else "right")

    def ends(one: dict[str, Any]) -> str:
        return "" if one["low"] is None else f"{percent(one['low'])} to {percent(one['high'])}"

    for one in summary["sizes"]:
        count = len(one["errors"])
        told = f"mean of {count}" if count > 1 else ""
        table.add_row(f"{one['n']:,}", percent(one["error"]), ends(one), percent(one["train_error"]), told)
    for one in summary["ahead"][1:]:
        table.add_row(f"{one['n']:,}", percent(one["error"]), ends(one), "", "expected")
    return table


def _folds_table(summary: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("fold", "best epoch", "val accuracy", "val loss", "test accuracy"):
        table.add_column(name, justify="left" if name == "fold" else "right")
    for fold in summary["folds"]:
        best, test = fold["best"], fold.get("test")
        table.add_row(
            fold["name"],
            str(best["epoch"]),
            percent(best["val_accuracy"]),
            f"{best['val_loss']:.4f}",
            percent(test["accuracy"]) if test else "-",
        )
    return table
