"""`svhn eval RUN`: how good the best weights of a run are, with an interval, on its own data or on other."""

from __future__ import annotations

from typing import Any

import numpy as np

from svhncli import build, schema, trained
from svhncli.batches import Batches
from svhncli.data.digits import DataSet, Digits
from svhncli.errors import DataError
from svhncli.loop import evaluate
from svhncli.show import Show
from svhncli.trained import Trained


def run(config: schema.Eval) -> dict[str, Any]:
    """Score a run's best weights (of every fold, where it has several) on one part of a data set.

    Returns:
        {"run", "checkpoint", "data", "tta" (views a picture), <part>: {"n", "loss", "accuracy", "interval"}};
        for several folds the mean over them under <part> and each under "scores".

    Raises:
        CheckpointError: no such run, or a damaged file.
        DataError: the data has no such part, or pictures of another kind.
    """
    show = Show()
    folds = [trained.load(path) for path in trained.checkpoints(config.run)]
    first = folds[0]
    own_data = config.data is None
    split_config = first.config.split if own_data else None
    with show.bars():
        data = build.data(
            first.config.data if own_data else config.data, split_config, config.cache, show.work
        )
    machine = trained.machine(config.device, first.config)

    scores = []
    for fold in folds:
        digits, indices = _part(config.part, data, fold, own_data)
        _demand_fit(fold, digits, data.name)
        network, batches = fold.network.to(machine.device), Batches(digits, indices, machine.device)
        score, _ = evaluate(network, batches, fold.preprocess, machine, config.tta)
        scores.append(score)
    summary = {
        "run": str(first.path.parent),
        "checkpoint": str(first.path),
        "data": data.name,
        "tta": config.tta,
    }
    if len(scores) == 1:
        return summary | {config.part: scores[0]}
    names = [fold.meta["fold"] for fold in folds]
    return summary | {
        "run": str(first.path.parent.parent),
        config.part: {
            "n": scores[0]["n"],
            "loss": float(np.mean([s["loss"] for s in scores])),
            "accuracy": float(np.mean([s["accuracy"] for s in scores])),
        },
        "scores": [{"fold": name, **score} for name, score in zip(names, scores, strict=True)],
    }


def _part(part: str, data: DataSet, fold: Trained, own_data: bool) -> tuple[Digits, np.ndarray]:
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
    if data.fingerprint != fold.meta["fingerprint"]:
        raise DataError("the data is not what this run was trained on, so its split cannot be found again")
    config = fold.config
    for made in build.folds(config.split, data, config.seed):
        if made.name == fold.meta["fold"] and made.digest == fold.meta["split"]:
            digits = (
                data.val if part == "val" and made.val_part == "val" and data.val is not None else data.train
            )
            return digits, np.unique(made.train) if part == "train" else made.val
    raise DataError(
        f"the split of this run ({config.split.name}, {fold.meta['fold']}) comes out differently now",
        "its pictures are listed in split.json; part=test does not need the split",
    )


def _demand_fit(fold: Trained, digits: Digits, name: str) -> None:
    channels, positions = fold.meta["in_shape"][0], fold.meta["positions"]
    fits = fold.preprocess.grey or digits.shape[0] == channels
    if not fits or digits.labels.shape[1] != positions:
        raise DataError(
            f"{name} has {digits.shape[0]} channels and {digits.labels.shape[1]} digits a picture; "
            f"the network was made for {channels} and {positions}"
        )
