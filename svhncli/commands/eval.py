"""`svhn eval RUN`: how good the best weights of a run are, on its own data or on other, as a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from svhncli import registry
from svhncli.config.verbs import EvalConfig
from svhncli.core.errors import UsageError
from svhncli.core.plain import to_plain
from svhncli.data.dataset import DataSet
from svhncli.engine.batches import Batches
from svhncli.engine.forward import evaluate
from svhncli.evaluation import trained
from svhncli.evaluation.parts import part_of
from svhncli.evaluation.trained import Trained
from svhncli.report.scorecard import write_report
from svhncli.report.terminal import Show
from svhncli.runs.predictions import read_predictions
from svhncli.runs.record import evaluation_folder
from svhncli.stats.scores import fit_temperature


def run(config: EvalConfig) -> dict[str, Any]:
    """Score a run's best weights (of every fold, where it has several) on one part of a data set.

    Returns:
        {"run", "checkpoint", "data", "tta" (views a picture), <part>: {"n", "loss", "accuracy", "interval"}
        and what `write_report` gives, "report": its folder}; for several folds the mean over them under
        <part>, each under "scores", and a pattern of the folders.

    Raises:
        CheckpointError: no such run, or a damaged file.
        DataError: the data has no such part, or pictures of another kind.
        DiskError: the report cannot be written.
        UsageError: `out` is no folder.
    """
    if config.out is not None and Path(config.out).expanduser().is_file():
        raise UsageError(f"out={config.out} is a file", "name a folder, which may be a new one")
    show = Show()
    folds = [trained.load(path) for path in trained.checkpoints(config.run)]
    first = folds[0]
    own_data = config.data is None
    chosen = first.config.data if own_data else config.data
    split_config = first.config.split if own_data else None
    with show.bars():
        data = registry.data(chosen, split_config, config.cache, show.work, first.preprocess.framing)
    machine = trained.machine(config.device, first.config)

    fits = [_fit(fold, _is_seen(config.part, data, fold, own_data)) for fold in folds]
    scores = []
    for fold, fit in zip(folds, fits, strict=True):
        digits, indices = part_of(config.part, data, fold, own_data)
        network, batches = fold.network.to(machine.device), Batches(digits, indices, machine.device)
        result, probabilities = evaluate(network, batches, fold.preprocess, machine, config.tta)
        score = to_plain(result)
        facts = {
            "checkpoint": str(fold.path),
            "data": data.name,
            "fingerprint": data.fingerprint,
            "part": config.part,
            "tta": config.tta,
        }
        beside = fold.path.parent
        folder = _folder(config, data, beside, beside.name if len(folds) > 1 else "")
        report = write_report(folder, facts | score, digits, indices, probabilities, fit)
        scores.append({**score, **report})
    beside = first.path.parent
    summary = {"run": str(beside), "checkpoint": str(first.path), "data": data.name, "tta": config.tta}
    if len(scores) == 1:
        return summary | {config.part: scores[0], "report": scores[0]["report"]}
    names = [fold.meta["fold"] for fold in folds]
    return summary | {
        "run": str(beside.parent),
        config.part: {
            "n": scores[0]["n"],
            "loss": float(np.mean([s["loss"] for s in scores])),
            "accuracy": float(np.mean([s["accuracy"] for s in scores])),
        },
        "scores": [{"fold": name, **score} for name, score in zip(names, scores, strict=True)],
        "report": str(_folder(config, data, beside.parent / "*", "*")),
    }


def _folder(config: EvalConfig, data: DataSet, beside: Path, fold: str) -> Path:
    """Where the report of a fold goes: `out`, in which each of several folds has a folder, or beside it."""
    if config.out is not None:
        return Path(config.out).expanduser() / fold
    return evaluation_folder(beside, data.name, config.part, config.tta)


def _is_seen(part: str, data: DataSet, fold: Trained, own_data: bool) -> bool:
    """Whether the part holds pictures that the run validated on; train of named data is not split."""
    same = data.fingerprint == fold.meta["fingerprint"]
    return same and (part == "val" or (part == "train" and not own_data))


def _fit(fold: Trained, seen: bool) -> dict[str, Any]:
    """A temperature from what the best weights said of the validation part, one view a picture.

    Returns:
        {"temperature", "fitted_on": the file, "not_fitted": the reason}; what does not apply is None.

    Raises:
        CheckpointError: the file is damaged.
    """
    file = fold.path.with_name("val_predictions.csv")
    reason = None
    if seen:
        reason = "its part is scored"
    elif fold.path.name != "best.pt" or not file.is_file():
        reason = "no val_predictions.csv"
    if reason is not None:
        return {"temperature": None, "fitted_on": None, "not_fitted": reason}
    said = read_predictions(file, fold.meta["positions"], fold.meta["classes"])
    return {"temperature": fit_temperature(*said), "fitted_on": str(file), "not_fitted": None}
