"""`svhn inspect`: what is wrong or odd in a data set and its split, or which labels are likely errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import RenderableType

from svhncli import registry
from svhncli.analysis.inspect.findings import look
from svhncli.analysis.inspect.inspected import InspectedParts, Limits, describe_part, parts_of
from svhncli.analysis.inspect.inspection_files import (
    EXCLUDE,
    LABEL_FILES,
    RESULT,
    files_of,
    label_inspection,
    summaries,
    write_findings,
    write_label_errors,
)
from svhncli.config.groups.data import FilesConfig
from svhncli.config.groups.split import AutoConfig, BootstrapConfig, KfoldConfig
from svhncli.config.loading import saved_config
from svhncli.config.verbs.training import InspectConfig, TrainConfig
from svhncli.config.words import word as keyed
from svhncli.core.errors import DataError, UsageError
from svhncli.core.files import new_folder, place, read_json
from svhncli.data.dataset import DataSet
from svhncli.report import next_commands
from svhncli.report.data_notes import say_notes
from svhncli.report.findings_table import finding_tables
from svhncli.report.inspection import DataInspection, LabelInspection
from svhncli.report.terminal import Show, facts, next_steps, width
from svhncli.runs.locate import run_folder
from svhncli.runs.predictions import COLLECTED, read_collected
from svhncli.runs.reader import Run
from svhncli.runs.results import RunSummary
from svhncli.runs.run_dir import RunDir
from svhncli.stats.confident_learning import find_label_errors

OUT = "outputs/inspect"


Inspection = DataInspection | LabelInspection


def run(config: InspectConfig) -> Inspection:
    """Inspect a data set, or the labels of a run's training part; write the findings into a folder.

    Raises:
        UsageError: the run has one fold, or `out` holds other things.
        DataError: the data is missing, or is not the run's.
        CheckpointError: there is no such run, or its predictions are damaged.
        DiskError: as for training.
    """
    return _of_data(config) if config.run is None else _of_run(config, config.run)


def table(result: Inspection) -> Iterator[RenderableType]:
    """Parts and findings, the worst first; where the files are."""
    yield from finding_tables(result, width())
    yield facts([("written", result.out or "")])
    if isinstance(result, LabelInspection):
        yield from next_steps(result.next or [])


def _of_data(config: InspectConfig) -> DataInspection:
    show, out = Show(), place(config.out or OUT)
    with show.bars():
        data = _load(config, show)
        split = config.split or AutoConfig()
        fold = registry.folds(split, data, config.seed)[0]
        parts = InspectedParts(parts_of(data, fold), show.work)
        show.work("compare images", 0, None)
        findings, drift = look(data, fold, parts, Limits(config.blank, config.similar, config.outlier))
    inspection = DataInspection(
        data=data.name,
        fingerprint=data.fingerprint,
        split=fold.digest,
        seed=config.seed,
        parts={part.name: describe_part(part) for part in parts.parts},
        rendered=0 if data.extra_train is None else len(data.extra_train),
        findings=summaries(findings, parts, out),
        drift=drift,
        excluded=len(data.excluded),
    )
    say_notes(data, show)
    if replaced := _other_data(out, data.fingerprint):
        show.warn(
            f"this replaces an inspection of {replaced} in {out}; to keep both, name another folder with out="
        )
    with new_folder(out, files_of(findings)) as folder:
        write_findings(folder, inspection, parts, findings, data.excluded)
    return replace(inspection, out=str(out))


def _other_data(out: Path, fingerprint: str) -> str | None:
    """The name of the data of an earlier inspection in a folder, if it is other data."""
    try:
        earlier = read_json(out / RESULT)
        return None if earlier["fingerprint"] == fingerprint else str(earlier["data"])
    except (OSError, ValueError, TypeError, KeyError):  # nothing that anybody would miss
        return None


def _load(config: InspectConfig, show: Show) -> DataSet:
    """The data; broken files are left out, since they are a finding."""
    try:
        return registry.data(config.data, config.split, config.cache, show.work)
    except DataError:
        if not isinstance(config.data, FilesConfig) or config.data.skip_broken:
            raise
        without = replace(config.data, skip_broken=True)
        return registry.data(without, config.split, config.cache, show.work)


def _of_run(config: InspectConfig, word: str) -> LabelInspection:
    show, record = Show(), RunDir(run_folder(word))
    saved = saved_config(record.config())
    if not (record.path / COLLECTED).is_file():
        raise _no_predictions(record, saved)
    out = place(config.out or str(record.path / "inspect"))
    with show.bars():
        data = registry.data(saved.data, saved.split, config.cache, show.work)
    if data.fingerprint != record.env().data.fingerprint:
        raise DataError(
            f"the data of '{record.path}' has changed since it was trained",
            "train again: svhn train split=kfold …",
        )
    rows, probabilities, labels = read_collected(record, data.train.labels.shape[1], data.train.classes)
    verdict = find_label_errors(labels, probabilities)
    inspection = label_inspection(data, record.path, out, config.seed, len(rows), verdict)
    with new_folder(out, LABEL_FILES) as folder:
        write_label_errors(folder, inspection, data.train, rows, probabilities, verdict, data.excluded)
    without = keyed("data.exclude", str(out / EXCLUDE))
    commands = [next_commands.train(Run.of(record.path), without)] if inspection.findings[0].count else []
    return replace(inspection, out=str(out), next=commands)


def _no_predictions(record: RunDir, saved: TrainConfig) -> UsageError:
    """Why a run has no out-of-sample predictions of its whole training part."""
    split = saved.split
    several = isinstance(split, (KfoldConfig, BootstrapConfig)) and getattr(split, "fold", None) is None
    if several and not isinstance(record.summary(), RunSummary):
        return UsageError(
            f"'{record.path}' is not finished, so not every label was judged",
            f"finish it: svhn train --resume {record.path}",
        )
    return UsageError(
        f"'{record.path}' has a single fold, whose network trained on most labels",
        "labels are judged by networks that did not train on them: svhn train split=kfold …",
    )
