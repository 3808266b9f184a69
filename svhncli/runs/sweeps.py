"""The table of a sweep: a row for each job, ranked; written as summary.csv and read back."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from svhncli.core import cells
from svhncli.core.errors import CheckpointError
from svhncli.core.files import open_csv, write_csv
from svhncli.core.plain import rest, to_plain
from svhncli.runs.results import Failure, FoldSummary, RunSummary, Summary
from svhncli.runs.run_dir import RunDir
from svhncli.stats.metrics import rank, registered

TABLE = "summary.csv"


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """A job of a sweep and what came of it. swept: the keys in which jobs differ, and their values here.
    added: the values of registered metrics. score: that of `metric`, by which jobs are ranked."""

    job: int
    status: str
    swept: dict[str, str] = rest()
    metric: str | None
    score: float | None
    best_epoch: int | None
    val_loss: float | None
    val_accuracy: float | None
    added: dict[str, float | None] = rest()
    test_accuracy: float | None
    seconds: float | None
    run_dir: str
    reason: str | None

    @property
    def path(self) -> Path:
        return Path(self.run_dir)

    @property
    def is_done(self) -> bool:
        """Whether it has a score, be it that its loss diverged."""
        return self.score is not None


@dataclass(frozen=True)
class SweepSummary:
    """What a sweep prints as JSON. report: the page, None where none was written."""

    sweep_dir: str
    jobs: list[SweepJob]
    report: str | None


def summary_of(folder: Path) -> Summary | None:
    """The summary in a job's folder; None where there is none or it is damaged."""
    with suppress(CheckpointError):
        return RunDir(folder).summary()
    return None


def sweep_job(number: int, folder: Path, swept: Mapping[str, str]) -> SweepJob:
    """The row of a job, from the files in its folder."""
    summary = summary_of(folder)
    score = summary.score if isinstance(summary, (FoldSummary, RunSummary)) else None
    test = summary.test if isinstance(summary, (FoldSummary, RunSummary)) else None
    best = summary.best if isinstance(summary, (FoldSummary, Failure)) else None
    values: dict[str, float] = {} if best is None else best.scores
    if isinstance(summary, RunSummary):
        values = {name: estimate.mean for name, estimate in summary.estimates.items()}
    return SweepJob(
        job=number,
        status="unfinished" if summary is None else summary.status,
        swept=dict(swept),
        metric=score.metric if score else swept.get("metric"),
        score=score.value if score else None,
        best_epoch=best.epoch if best else None,
        val_loss=values.get("val_loss"),
        val_accuracy=values.get("val_accuracy"),
        added={metric.name: values.get(metric.name) for metric in registered()},
        test_accuracy=test.accuracy if test else None,
        seconds=summary.seconds if isinstance(summary, (FoldSummary, RunSummary)) else None,
        run_dir=str(folder),
        reason=None if summary is None else summary.reason,
    )


TIES = "ties by val loss, then by job"
"""How jobs with the same score are ordered: equal accuracies are common on few images."""


def ranked(jobs: Iterable[SweepJob]) -> list[SweepJob]:
    """Best first within each metric; jobs without a score come last, in their order. See `TIES`."""

    def place(job: SweepJob) -> tuple[bool, str, float, float, int]:
        if not job.is_done or job.score is None or job.metric is None:
            return True, "", 0, 0, job.job
        loss = math.inf if job.val_loss is None else job.val_loss
        return False, job.metric, rank(job.metric, job.score), loss, job.job

    return sorted(jobs, key=place)


def write_table(sweep: Path, jobs: Iterable[SweepJob]) -> None:
    rows = [to_plain(job) for job in jobs]
    write_csv(sweep / TABLE, list(rows[0]), rows)


def sweep_jobs(sweep: Path) -> list[SweepJob]:
    """The jobs of a sweep, best first: as in the table written at its end, or from what its folders hold now.

    A folder that was moved since is found where it is.
    """
    try:
        columns, *lines = cells.rows(open_csv(sweep / TABLE))
        rows = [_row(dict(zip(columns, line, strict=True))) for line in lines]
    except (OSError, ValueError, KeyError, TypeError, csv.Error, CheckpointError):
        rows = []
    moved = [replace(job, run_dir=str(sweep / job.path.name)) for job in rows]
    return moved or ranked(_folders(sweep))


def _row(row: Mapping[str, str]) -> SweepJob:
    names = list(row)
    swept = names[names.index("status") + 1 : names.index("metric")]
    added = names[names.index("val_accuracy") + 1 : names.index("test_accuracy")]
    return SweepJob(
        job=int(row["job"]),
        status=row["status"],
        swept={name: row[name] for name in swept},
        metric=row["metric"] or None,
        score=_number(row["score"]),
        best_epoch=int(row["best_epoch"]) if row["best_epoch"] else None,
        val_loss=_number(row["val_loss"]),
        val_accuracy=_number(row["val_accuracy"]),
        added={name: _number(row[name]) for name in added},
        test_accuracy=_number(row["test_accuracy"]),
        seconds=_number(row["seconds"]),
        run_dir=row["run_dir"],
        reason=row["reason"] or None,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _folders(sweep: Path) -> Iterator[SweepJob]:
    """A row for every job that began in a sweep without a table of its own."""
    folders = sorted((path for path in sweep.iterdir() if path.is_dir()), key=natural_order)
    for number, folder in enumerate(folders, 1):
        if not folder.name.startswith("."):
            yield sweep_job(number, folder, {"folder": folder.name})


def natural_order(path: Path) -> list[tuple[int, str]]:
    """A sort key: fold2 before fold10."""
    return [(int(digits or 0), text) for digits, text in re.findall(r"(\d*)(\D*)", path.name)]
