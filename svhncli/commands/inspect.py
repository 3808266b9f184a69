"""`svhn inspect`: what is wrong or odd in a data set and its split, or which labels a run's folds doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from svhncli import registry
from svhncli.analysis.inspect.findings import look
from svhncli.analysis.inspect.parts import Limits, Parts, describe_part, parts_of
from svhncli.analysis.inspect.write import (
    LABEL_FILES,
    files_of,
    label_result,
    write_findings,
    write_label_errors,
)
from svhncli.config.groups.data import FilesConfig
from svhncli.config.groups.split import BootstrapConfig, HoldoutConfig, KfoldConfig, OfficialConfig
from svhncli.config.loading import from_dict
from svhncli.config.verbs import InspectConfig, TrainConfig
from svhncli.core.errors import DataError, UsageError
from svhncli.core.files import new_folder, place
from svhncli.data.dataset import DataSet
from svhncli.report.terminal import Show
from svhncli.runs.predictions import COLLECTED, read_collected
from svhncli.runs.record import RunDir, find_run
from svhncli.stats.confident_learning import find_label_errors

OUT = "outputs/inspect"


def run(config: InspectConfig) -> dict[str, Any]:
    """Inspect a data set, or the labels of a run's training part; write what is found into a folder.

    Returns:
        What stands in result.json, and "out".

    Raises:
        UsageError: neither data nor a run is named, or both; a split with a run; the run has one fold;
            `out` holds other things.
        DataError: the data is missing, or another one than the run's.
        CheckpointError: there is no such run, or its predictions are damaged.
        DiskError: as for training.
    """
    if config.run is not None and config.split is not None:
        raise UsageError("a run brings its own split", "leave split out")
    if (config.run is None) == (config.data is None):
        what = "inspect what?" if config.run is None else "a run brings its own data"
        raise UsageError(
            what, "svhn inspect data=NAME for a data set, svhn inspect RUN for the labels of a run"
        )
    return _of_data(config) if config.run is None else _of_run(config, config.run)


def _of_data(config: InspectConfig) -> dict[str, Any]:
    show, out = Show(), place(config.out or OUT)
    with show.bars():
        data = _load(config, show)
        split = config.split or (OfficialConfig() if data.val is not None else HoldoutConfig())
        fold = registry.folds(split, data, config.seed)[0]
        parts = Parts(parts_of(data, fold), show.work)
        show.work("compare pictures", 0, None)
        findings, drift = look(data, fold, parts, Limits(config.blank, config.similar, config.outlier))
    facts = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": fold.digest,
        "seed": config.seed,
        "parts": {part.name: describe_part(part) for part in parts.parts},
        "rendered": 0 if data.extra_train is None else len(data.extra_train),
    }
    with new_folder(out, files_of(findings)) as folder:
        result = write_findings(folder, facts, parts, findings, drift)
    return {**result, "out": str(out)}


def _load(config: InspectConfig, show: Show) -> DataSet:
    """The data; where a file of it is broken, without all such files, which are a finding."""
    try:
        return registry.data(config.data, config.split, config.cache, show.work)
    except DataError:
        if not isinstance(config.data, FilesConfig) or config.data.skip_broken:
            raise
        without = replace(config.data, skip_broken=True)
        return registry.data(without, config.split, config.cache, show.work)


def _of_run(config: InspectConfig, word: str) -> dict[str, Any]:
    show, record = Show(), RunDir(find_run(word))
    saved = from_dict(TrainConfig, record.config())
    if not (record.path / COLLECTED).is_file():
        raise _no_predictions(record, saved)
    out = place(config.out or str(record.path / "inspect"))
    with show.bars():
        data = registry.data(saved.data, saved.split, config.cache, show.work)
    if data.fingerprint != record.env()["data"]["fingerprint"]:
        raise DataError(
            f"the data of '{record.path}' has changed since it was trained",
            "train anew: svhn train split=kfold …",
        )
    rows, said, labels = read_collected(record, data.train.labels.shape[1], data.train.classes)
    found = find_label_errors(labels, said)
    result = label_result(data, record.path, out, config.seed, len(rows), found)
    with new_folder(out, LABEL_FILES) as folder:
        write_label_errors(folder, result, data.train, rows, said, found, data.excluded)
    return {**result, "out": str(out)}


def _no_predictions(record: RunDir, saved: TrainConfig) -> UsageError:
    """Why a run has no predictions of pictures that its networks did not train on, of the whole training
    part."""
    split = saved.split
    several = isinstance(split, (KfoldConfig, BootstrapConfig)) and getattr(split, "fold", None) is None
    if several and (record.summary() or {}).get("status") != "done":
        return UsageError(
            f"'{record.path}' is not finished, so not every label was judged",
            f"finish it: svhn train --resume {record.path}",
        )
    return UsageError(
        f"'{record.path}' has a single fold, whose network trained on most labels",
        "labels are judged by networks that did not train on them: svhn train split=kfold …",
    )
