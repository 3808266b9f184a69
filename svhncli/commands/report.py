"""`svhn report RUN`: everything about a run, a run of several folds or a sweep as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from svhncli.config.verbs.results import ReportConfig
from svhncli.core.errors import UsageError
from svhncli.core.files import place
from svhncli.report.html.page import Beside, write_report
from svhncli.report.terminal import labeled
from svhncli.runs.locate import reported_folder
from svhncli.runs.reader import Run
from svhncli.runs.results import EnsembleSummary


@dataclass(frozen=True)
class ReportResult:
    """The folder and its page."""

    run_dir: str
    report: str


def run(config: ReportConfig) -> ReportResult:
    """Write the report from what the run's folder holds; the data itself is not needed.

    Raises:
        CheckpointError: there is no such run.
        UsageError: `out` is a folder, or the run is an ensemble.
        DiskError: it cannot be written.
    """
    folder = reported_folder(config.run)
    if isinstance(Run.of(folder).summary, EnsembleSummary):
        raise UsageError(
            f"'{folder}' is an ensemble, and reports are for runs that were trained",
            "report on one of its members, which summary.json lists; to score the ensemble, use svhn eval",
        )
    out = None if config.out is None else place(config.out)
    if out is not None and out.is_dir():
        raise UsageError(f"out={config.out} is a folder", "name a file, such as out=report.html")
    beside = Beside(Path(config.human), Path(config.check), Path(config.inspect))
    return ReportResult(str(folder), str(write_report(folder, out, beside)))


def table(result: ReportResult) -> Iterator[RenderableType]:
    yield labeled("run", result.run_dir)
    yield labeled("report", result.report)
