"""Scoring a trained network on a part of a data set: which images these are, and the report of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svhncli import registry
from svhncli.core.errors import DataError, UsageError
from svhncli.data.dataset import DataSet, val_digits
from svhncli.data.digits import Digits
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.forward import evaluate
from svhncli.evaluation.detecting import detections
from svhncli.evaluation.trained import Trained
from svhncli.report.scorecard import Evaluated, Scorecard, write_report
from svhncli.stats.coverage import Fitted
from svhncli.stats.score import Score


def score_part(
    folder: Path,
    part: str,
    data: DataSet,
    fold: Trained,
    machine: Machine,
    fitted: Fitted,
    *,
    own_data: bool = True,
    name: str | None = None,
    tta: int = 1,
    percent: bool = False,
) -> tuple[Score, Scorecard]:
    """Score a network on a part of a data set and write the report into a folder.

    own_data: whether it is the data that the network was trained on. name: of the part in the report, if it
    is another. tta: views of each image. percent: whether confusion.png shows percent of each label.

    Raises:
        DataError, UsageError: as `part_of`.
        DiskError: the folder cannot be written.
    """
    digits, indices = part_of(part, data, fold, own_data)
    batches = Batches(digits, indices, machine.device)
    score, probabilities = evaluate(fold.network.to(machine.device), batches, fold.preprocess, machine, tta)
    found = detections(fold, batches, machine)
    evaluated = Evaluated(str(fold.path), data.name, data.fingerprint, name or part, tta, score)
    return score, write_report(folder, evaluated, digits, indices, probabilities, fitted, percent, found)


def part_of(part: str, data: DataSet, trained: Trained, own_data: bool) -> tuple[Digits, np.ndarray]:
    """The images of a part, with the network's number of positions, and which of them, int64 (N,).

    Of the network's own data, train and val are those of its checkpoint's fold.

    Raises:
        DataError: the data has no such part, images of another kind, or has changed.
        UsageError: an ensemble has no such part.
    """
    digits, indices = _part(part, data, trained, own_data)
    return _fitting(trained, digits, data.name), indices


def _part(part: str, data: DataSet, trained: Trained, own_data: bool) -> tuple[Digits, np.ndarray]:
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
    if "ensemble" in trained.meta and trained.meta["split"] is None:
        raise UsageError(
            f"part={part}: the members of this ensemble did not train and validate on the same images, so "
            "images that validated one trained another",
            "choose part=test, which none of them trained on",
        )
    if data.fingerprint != trained.meta["fingerprint"]:
        raise DataError("the data is not what this run was trained on, so its split cannot be reproduced")
    config = trained.config
    for fold in registry.folds(config.split, data, config.seed):
        if fold.name == trained.meta["fold"] and fold.digest == trained.meta["split"]:
            digits = val_digits(data, fold) if part == "val" else data.train
            return digits, np.unique(fold.train) if part == "train" else fold.val
    raise DataError(
        f"the split of this run ({config.split.name}, {trained.meta['fold']}) is different now",
        "its images are listed in split.json; part=test does not need the split",
    )


def _fitting(trained: Trained, digits: Digits, name: str) -> Digits:
    """The images with the network's number of positions; shorter numbers are padded with blanks."""
    channels, positions = trained.meta["in_shape"][0], trained.meta["positions"]
    if not (trained.preprocess.grey or digits.shape[0] == channels):
        raise DataError(f"{name} has {digits.shape[0]} channels; the network was made for {channels}")
    if positions == 1 and digits.is_blank.any():
        raise DataError(
            f"{name} has images without a number; the network predicts a digit for every image",
            "choose a network that was trained on such images, or data.blank=0 data.backgrounds=false",
        )
    if (longest := digits.labels.shape[1]) > positions:
        raise DataError(
            f"{name} has numbers of {longest} digits; the network predicts at most {positions}",
            "choose a network that was trained on numbers as long as these",
        )
    return digits.padded(positions)
