"""`svhn eval RUN`: how good the best weights of a run are, on its own data or on other, as a report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from svhncli import build, checkpoint, device, schema
from svhncli.batches import Batches
from svhncli.data.digits import DataSet, Digits
from svhncli.errors import CheckpointError, DataError, UsageError
from svhncli.loop import evaluate
from svhncli.predictions import read_predictions
from svhncli.preprocess import Preprocess
from svhncli.record import find_run
from svhncli.report.evaluation import write_report
from svhncli.scores import fit_temperature
from svhncli.show import Show


def run(config: schema.Eval) -> dict[str, Any]:
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
    files = _checkpoints(config.run)
    contents = [checkpoint.load_weights(path) for path in files]
    trained = schema.from_dict(schema.Train, contents[0][0]["config"])
    own_data = config.data is None
    split_config = trained.split if own_data else None
    framing = Preprocess.from_dict(contents[0][0]["preprocess"]).framing
    with show.bars():
        data = build.data(
            trained.data if own_data else config.data, split_config, config.cache, show.work, framing
        )
    machine = device.resolve(
        config.device, trained.precision if config.device == trained.device else "auto", 0
    )
    device.prepare(machine)

    fits = [
        _fit(path, meta, _is_seen(config.part, data, meta, own_data))
        for path, (meta, _) in zip(files, contents, strict=True)
    ]
    scores = []
    for path, (meta, weights), fit in zip(files, contents, fits, strict=True):
        digits, indices = _part(config.part, data, meta, trained, own_data)
        preprocess = Preprocess.from_dict(meta["preprocess"])
        digits = _fitting(meta, preprocess, digits, data.name)
        network = _network(meta, weights, trained, path).to(machine.device)
        batches = Batches(digits, indices, machine.device)
        score, probabilities = evaluate(network, batches, preprocess, machine, config.tta)
        facts = {"checkpoint": str(path), "data": data.name, "part": config.part, "tta": config.tta, **score}
        folder = _folder(config, data, path.parent, path.parent.name if len(files) > 1 else "")
        scores.append({**score, **write_report(folder, facts, digits, indices, probabilities, fit)})
    summary = {"run": str(files[0].parent), "checkpoint": str(files[0]), "data": data.name, "tta": config.tta}
    if len(scores) == 1:
        return summary | {config.part: scores[0], "report": scores[0]["report"]}
    names = [meta["fold"] for meta, _ in contents]
    return summary | {
        "run": str(files[0].parent.parent),
        config.part: {
            "n": scores[0]["n"],
            "loss": float(np.mean([s["loss"] for s in scores])),
            "accuracy": float(np.mean([s["accuracy"] for s in scores])),
        },
        "scores": [{"fold": name, **score} for name, score in zip(names, scores, strict=True)],
        "report": str(_folder(config, data, files[0].parent.parent / "*", "*")),
    }


def _folder(config: schema.Eval, data: DataSet, beside: Path, fold: str) -> Path:
    """Where the report of a fold goes: `out`, in which each of several folds has a folder, or beside it."""
    if config.out is not None:
        return Path(config.out).expanduser() / fold
    views = f"-tta{config.tta}" if config.tta > 1 else ""
    return beside / "eval" / re.sub(r"[^\w.-]", "_", f"{data.name}-{config.part}{views}", flags=re.ASCII)


def _is_seen(part: str, data: DataSet, meta: dict[str, Any], own_data: bool) -> bool:
    """Whether the part holds pictures that the run validated on; train of named data is not split."""
    return data.fingerprint == meta["fingerprint"] and (part == "val" or (part == "train" and not own_data))


def _fit(path: Path, meta: dict[str, Any], seen: bool) -> dict[str, Any]:
    """A temperature from what the best weights said of the validation part, one view a picture.

    Returns:
        {"temperature", "fitted_on": the file, "not_fitted": the reason}; what does not apply is None.

    Raises:
        CheckpointError: the file is damaged.
    """
    file = path.with_name("val_predictions.csv")
    reason = None
    if seen:
        reason = "its part is scored"
    elif path.name != "best.pt" or not file.is_file():
        reason = "no val_predictions.csv"
    if reason is not None:
        return {"temperature": None, "fitted_on": None, "not_fitted": reason}
    temperature = fit_temperature(*read_predictions(file, meta["positions"], meta["classes"]))
    return {"temperature": temperature, "fitted_on": str(file), "not_fitted": None}


def _checkpoints(target: str) -> list[Path]:
    """The weights that a word means: a file, or a run's best.pt, or that of every fold."""
    path = Path(target).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir() and (path / "best.pt").is_file():
        return [path / "best.pt"]
    found = find_run(target)
    files = [found / "best.pt"] if (found / "best.pt").is_file() else sorted(found.glob("*/best.pt"))
    if not files:
        raise CheckpointError(f"'{found}' has no best.pt yet", f"finish it with: svhn train --resume {found}")
    return files


def _network(
    meta: dict[str, Any], weights: dict[str, torch.Tensor], trained: schema.Train, path: Path
) -> nn.Module:
    network = build.model(
        trained.model,
        tuple(meta["in_shape"]),
        meta["positions"],
        meta["classes"],
        trained.reg.dropout,
        fresh=False,
    )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in '{path}' do not fit its config", str(error).splitlines()[0]
        ) from error
    return network


def _part(
    part: str, data: DataSet, meta: dict[str, Any], trained: schema.Train, own_data: bool
) -> tuple[Digits, np.ndarray]:
    """The pictures of a part. Of the run's own data, train and val are those of the checkpoint's fold."""
    if part == "test":
        if data.test is None:
            raise DataError(f"{data.name} has no test part", "choose part=val or part=train")
        return data.test, np.arange(len(data.test))
    if not own_data:
        digits = data.train if part == "train" else data.val
        if digits is None:
            raise DataError(
                f"{data.name} has no validation part of its own", "choose part=train or part=test"
            )
        return digits, np.arange(len(digits))
    if data.fingerprint != meta["fingerprint"]:
        raise DataError("the data is not what this run was trained on, so its split cannot be found again")
    for fold in build.folds(trained.split, data, trained.seed):
        if fold.name == meta["fold"] and fold.digest == meta["split"]:
            digits = (
                data.val if part == "val" and fold.val_part == "val" and data.val is not None else data.train
            )
            return digits, np.unique(fold.train) if part == "train" else fold.val
    raise DataError(
        f"the split of this run ({trained.split.name}, {meta['fold']}) comes out differently now",
        "its pictures are listed in split.json; part=test does not need the split",
    )


def _fitting(meta: dict[str, Any], preprocess: Preprocess, digits: Digits, name: str) -> Digits:
    """The pictures with as many positions as the network reads; shorter numbers end with blanks."""
    if not (preprocess.grey or digits.shape[0] == meta["in_shape"][0]):
        raise DataError(
            f"{name} has {digits.shape[0]} channels; the network was made for {meta['in_shape'][0]}"
        )
    if digits.labels.shape[1] > meta["positions"]:
        raise DataError(
            f"{name} has numbers of up to {digits.labels.shape[1]} digits; "
            f"the network reads {meta['positions']} at most",
            "choose a network that was trained on numbers as long as these",
        )
    return digits.padded(meta["positions"])
