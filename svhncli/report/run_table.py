"""The result of training as a person reads it on the terminal: a run of one fold, or of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from svhncli.core.text import bounds, percent
from svhncli.report.score_rows import accuracy_text, member_kind, score_rows
from svhncli.report.terminal import facts, labeled, next_steps
from svhncli.runs.results import (
    BestEpoch,
    Bootstrap,
    BootstrapAccuracy,
    Estimate,
    FoldSummary,
    HeldOutAccuracy,
    Movement,
    RunSummary,
    TrainResult,
)
from svhncli.stats.metrics import added_metrics, column_text


def train_table(result: TrainResult) -> Iterator[RenderableType]:
    """Scores, where the run is, and the commands that go on from here."""
    summary = result.summary
    if isinstance(summary, RunSummary):
        yield _folds_table(summary.folds)
    rows = _run_rows(summary) if isinstance(summary, RunSummary) else _fold_rows(summary)
    time = f"{summary.seconds:.0f} s; {summary.images_per_second:,.0f} images/s in the median epoch"
    yield facts([*rows, ("ended", summary.reason), ("time", time)])
    yield labeled("run", summary.run_dir)
    if result.report is not None:
        yield labeled("report", result.report)
    yield from next_steps(result.next or ())


def _folds_table(folds: Sequence[FoldSummary]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(member_kind([fold.name for fold in folds]))
    for name in ("best epoch", "val accuracy", "val loss", "test accuracy"):
        table.add_column(name, justify="right")
    for fold in folds:
        best = fold.best
        scores = (percent(best.val_accuracy), f"{best.val_loss:.4f}")
        table.add_row(fold.name, str(best.epoch), *scores, percent(fold.test.accuracy) if fold.test else "-")
    return table


def _fold_rows(fold: FoldSummary) -> Iterator[tuple[str, str]]:
    yield "best epoch", f"{fold.best.epoch} ({best_text(fold.best)})"
    for part, score in (("train", fold.train), ("val", fold.val), ("test", fold.test)):
        if score is not None:
            yield from score_rows(part, score)
    if fold.watch is not None:
        yield "watched", _movement(fold.watch)
    if fold.units is not None:
        yield "l0", f"{fold.units.open:,} of {fold.units.of:,} units remain open"


def best_text(best: BestEpoch) -> str:
    text = f"val accuracy {percent(best.val_accuracy)}, loss {best.val_loss:.4f}"
    added = added_metrics([best.added])
    return text + "".join(f", {metric.title} {metric.text(best.added[metric.name])}" for metric in added)


def _run_rows(run: RunSummary) -> Iterator[tuple[str, str]]:
    for name, estimate in run.estimates.items():
        yield f"mean {name.replace('_', ' ')}", _estimate(name, estimate)
    if run.unseen is not None:
        yield "held-out images", _held_out(run.unseen)
    if run.bootstrap is not None:
        for name, accuracy in bootstrap_accuracies(run.bootstrap):
            yield name, _bootstrap(accuracy)
        yield "computed from", made_of(run.bootstrap)
    if run.seeds is not None:
        spread = percent(run.seeds.sd)
        yield "seeds", f"{run.seeds.n}; val accuracy differs from seed to seed by {spread} (sd)"


def _estimate(name: str, estimate: Estimate) -> str:
    text = f"{column_text(name, estimate.mean)}, sd {column_text(name, estimate.sd)}"
    if estimate.low is not None and estimate.high is not None and estimate.level is not None:
        low, high = column_text(name, estimate.low), column_text(name, estimate.high)
        text += f", [{low}, {high}] at {estimate.level:.0%}"
    return text


def _held_out(held_out: HeldOutAccuracy) -> str:
    return f"{accuracy_text(held_out.accuracy, held_out.interval)}, {counted(held_out)}"


def counted(held_out: HeldOutAccuracy) -> str:
    """How many images, and of how many groups where these are fewer."""
    of = f" in {held_out.groups:,} groups" if held_out.groups < held_out.n else ""
    return f"{held_out.n:,} images{of}"


def bootstrap_accuracies(bootstrap: Bootstrap) -> list[tuple[str, BootstrapAccuracy]]:
    """The three estimates by the names that people know them by."""
    return [
        ("out of bag", bootstrap.oob),
        (".632", bootstrap.point632),
        (".632+", bootstrap.point632plus),
    ]


def _bootstrap(accuracy: BootstrapAccuracy) -> str:
    """An accuracy with its percentile interval, and BCa's where it was made."""
    text = f"accuracy {percent(accuracy.value)}"
    if accuracy.percentile is not None:
        text += f" {bounds(accuracy.percentile.low, accuracy.percentile.high)}"
    if accuracy.bca is not None:
        text += f", BCa {bounds(accuracy.bca.low, accuracy.bca.high)}"
    return text


def made_of(bootstrap: Bootstrap) -> str:
    return (
        f"training error {percent(bootstrap.train_error)}, no-information error rate "
        f"{percent(bootstrap.no_information_rate)}, overfitting rate R {bootstrap.relative_overfitting:.2f}"
    )


def _movement(watch: Movement) -> str:
    epochs = "the last epoch" if watch.epochs == 1 else f"each of the last {watch.epochs} epochs"
    return f"{percent(watch.changed, 1)} of {watch.pictures} predictions changed in {epochs}"
