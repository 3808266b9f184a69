"""What is fitted on the predictions of trained networks for the images that they held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svhncli.core.errors import UsageError
from svhncli.core.labels import BLANK
from svhncli.core.plain import inlined
from svhncli.core.text import percent
from svhncli.data.split import ALL
from svhncli.evaluation.trained import Trained
from svhncli.runs.predictions import read_averaged, read_predictions
from svhncli.stats.coverage import (
    TARGET,
    Accepted,
    Fitted,
    ThresholdFit,
    as_written,
    at_accuracy,
    most_accurate,
)
from svhncli.stats.scores import TemperatureFit, confidence, fit_temperature, is_right


@dataclass(frozen=True, kw_only=True)
class HeldOutFit:
    """A threshold fitted to a target accuracy, and what it accepts of the held-out images.

    fitted_on: the predictions of each network, of one view of each image. An image that several networks held
    out counts once, with the mean of their probabilities.
    """

    target_accuracy: float
    fitted_on: list[str]
    accepted: Accepted = inlined()


def fitted(fold: Trained, validated: bool) -> Fitted:
    """A temperature and a threshold from the best weights' predictions for the validation part, one view of
    each image.

    validated: whether the part that is scored contains validation images.

    Raises:
        CheckpointError: the file is damaged.
    """
    why = "the part that is scored contains the validation images" if validated else _missing(fold)
    if why is not None:
        return Fitted(TemperatureFit(None, None, why), ThresholdFit(None, why))
    file = _predictions(fold)
    probabilities, labels = read_predictions(file, fold.meta["positions"], fold.meta["classes"])
    right = is_right(probabilities.argmax(-1), labels, BLANK)
    best = at_accuracy(as_written(confidence(probabilities)), right, TARGET)
    return Fitted(
        TemperatureFit(fit_temperature(probabilities, labels), str(file), None),
        ThresholdFit(None, f"no threshold reaches {TARGET:.0%} accuracy on the validation images")
        if best is None
        else ThresholdFit(best.threshold, None),
    )


def fit_threshold(folds: Sequence[Trained], accuracy: float) -> HeldOutFit:
    """The threshold that accepts the most held-out images at an accuracy.

    Raises:
        CheckpointError: a file of predictions is damaged.
        UsageError: there is none beside a checkpoint, or no threshold reaches the accuracy.
    """
    for fold in folds:
        if (why := _missing(fold)) is not None:
            raise UsageError(
                f"coverage: no threshold can be fitted for '{fold.path}': {why}",
                "give a threshold yourself, such as threshold=0.9",
            )
    files, meta = [_predictions(fold) for fold in folds], folds[0].meta
    hint = "train the run again that wrote it, or give a threshold yourself, such as threshold=0.9"
    _, probabilities, labels = read_averaged(files, meta["positions"], meta["classes"], hint)
    confidences = as_written(confidence(probabilities))
    right = is_right(probabilities.argmax(-1), labels, BLANK)
    chosen = at_accuracy(confidences, right, accuracy)
    if chosen is None:
        best = most_accurate(confidences, right)
        raise UsageError(
            f"coverage={accuracy:g}: no threshold reaches this accuracy on the {best.n:,} held-out images",
            f"the highest is {percent(best.accuracy or 0)}, of the {best.accepted:,} most confident "
            f"({percent(best.coverage)} of them); demand no more, or give a threshold yourself",
        )
    return HeldOutFit(target_accuracy=accuracy, fitted_on=[str(file) for file in files], accepted=chosen)


def _predictions(fold: Trained) -> Path:
    return fold.path.with_name("val_predictions.csv")


def _missing(fold: Trained) -> str | None:
    """Why there are no predictions for images that a network held out; None where there are."""
    if "ensemble" in fold.meta:
        return "an ensemble held no images out"
    if fold.meta["fold"] == ALL:
        return "it was trained on all images"
    if fold.path.name != "best.pt" or not _predictions(fold).is_file():
        return "there is no val_predictions.csv beside the checkpoint"
    return None
