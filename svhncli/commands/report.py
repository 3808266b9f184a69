"""`svhn report RUN`: everything about a run, a run of several folds or a sweep as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svhncli.config.verbs import ReportConfig
from svhncli.core.errors import UsageError
from svhncli.core.files import place
from svhncli.report.html.page import Beside, write_report
from svhncli.runs.reader import Run, find


def run(config: ReportConfig) -> dict[str, Any]:
    """Write the report from what the run's folder holds; the data itself is not needed.

    Returns:
        {"run_dir", "report"}: the folder and the page.

    Raises:
        CheckpointError: there is no such run.
        UsageError: `out` is a folder, or the run is an ensemble.
        DiskError: it cannot be written.
    """
    folder = find(config.run)
    if "members" in Run.of(folder).summary:
        raise UsageError(
            f"'{folder}' is an ensemble: nothing was trained in it that a page could show",
            "svhn eval scores it, summary.json holds the table of its members; report on one of these",
        )
    out = None if config.out is None else place(config.out)
    if out is not None and out.is_dir():
        raise UsageError(f"out={config.out} is a folder", "name a file, such as out=report.html")
    beside = Beside(Path(config.human), Path(config.check), Path(config.inspect))
    return {"run_dir": str(folder), "report": str(write_report(folder, out, beside))}
