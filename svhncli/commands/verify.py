"""`svhn verify RUN`: whether the files of a run are still what was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import RenderableType

from svhncli.config.verbs.results import VerifyConfig
from svhncli.core import sums
from svhncli.core.errors import CheckpointError
from svhncli.core.text import counted, some
from svhncli.report.terminal import Show, facts
from svhncli.runs import checkpoint
from svhncli.runs.locate import reported_folder


@dataclass(frozen=True)
class Verified:
    """How many files of a folder were compared with their SHA-256: those of records, and checkpoints."""

    run_dir: str
    files: int
    checkpoints: int


def run(config: VerifyConfig) -> Verified:
    """Compare every file with its SHA-256, also those of the jobs of a sweep and the trials of a study.

    Raises:
        CheckpointError: there is no such run, or files are damaged or missing; it lists them.
    """
    folder, show = reported_folder(config.run), Show()
    records, weights = sorted(folder.rglob(sums.SUMS)), sorted(folder.rglob("*.pt"))
    files, faults, unlisted = 0, list[str](), list[str]()
    with show.bars():
        for done, record in enumerate(records):
            show.step("compare files", done, len(records))
            files += len(sums.recorded(record))
            faults += [f"'{record.parent / name}': {fault}" for name, fault in sums.faults(record)]
            unlisted += [str(record.parent / name) for name in sums.unlisted(record)]
        for done, path in enumerate(weights):
            show.step("compare checkpoints", done, len(weights))
            try:
                checkpoint.load(path)
            except CheckpointError as error:
                faults.append(error.message)
    if unlisted:
        show.warn(f"{sums.SUMS} does not list, and nothing was compared with: {some(unlisted)}")
    if faults:
        raise CheckpointError(
            f"{len(faults)} of {counted(files + len(weights), 'file')} are not what was written:\n"
            + "\n".join(faults),
            f"svhn train --resume {folder} takes what it can from intact checkpoints and says so\n"
            "a new run can start from an intact one: svhn train init_from=FILE",
        )
    if not records:
        show.warn(f"an earlier version wrote '{folder}': only its checkpoints have a SHA-256")
    return Verified(str(folder), files, len(weights))


def table(result: Verified) -> Iterator[RenderableType]:
    yield facts(
        [
            ("run", result.run_dir),
            ("intact", f"{counted(result.files, 'file')}, {counted(result.checkpoints, 'checkpoint')}"),
        ]
    )
