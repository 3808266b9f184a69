"""Overfitting, underfitting or neither, judged by the scores of train and val and the gap between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from svhncli.runs.results import BestEpoch, Diagnosis, EpochRow
from svhncli.stats.score import Score

GOOD = 0.98
"""Training accuracy below which a network that does not overfit could still learn more."""


DIVERGED = 2 * math.log(11)
"""A validation loss that is twice that of guessing among all classes."""


Change = Callable[[Mapping[str, Any]], "str | None"]
"""A run's config, nested, to the word `key=value` that changes it; None where it has no such key."""


def _times(name: str, factor: float) -> Change:
    """A number at the root of the config, multiplied."""
    kind = int if factor == int(factor) and factor > 1 and name != "lr" else float

    def change(config: Mapping[str, Any]) -> str | None:
        return f"{name}={kind(config[name] * factor):.6g}" if name in config else None

    return change


def _larger(config: Mapping[str, Any]) -> str | None:
    large = str(config["model"]["name"]).startswith(("resnet", "wide"))
    return None if large or config.get("init_from") else "model=resnet18"


def _smaller(config: Mapping[str, Any]) -> str | None:
    model = config["model"]
    cut = model["name"] == "cnn" and not config.get("init_from")  # whose weights fit no other network
    return f"model.width={model['width'] / 2:g}" if cut else None


def _more_images(config: Mapping[str, Any]) -> str | None:
    data = config["data"]
    return f"data.n_train={2 * data['n_train']}" if "n_train" in data else None


def _less_regularized(config: Mapping[str, Any]) -> str | None:
    return None if config["reg"]["name"] == "none" else "reg=none"


def _more_regularized(config: Mapping[str, Any]) -> str | None:
    return None if config["reg"]["name"] == "strong" else "reg=strong"


def _always(word: str) -> Change:
    return lambda config: word


OVER, UNDER = "overfitting", "underfitting"
SHORT = "underfitting (stopped too early)"
NEITHER = "neither overfitting nor underfitting"
TRY: dict[str, list[tuple[str, Change]]] = {
    "diverged": [
        ("a lower lr: a tenth of it", _times("lr", 0.1)),
        ("optim.clip=1", _always("optim.clip=1")),
        ("schedule.warmup=1", _always("schedule.warmup=1")),
    ],
    OVER: [
        ("more regularization: reg=strong (augmentation, dropout, label smoothing)", _more_regularized),
        ("more training images", _more_images),
        ("optim.weight_decay or reg.l2=1e-4", _always("reg.l2=1e-4")),
        ("a smaller network", _smaller),
    ],
    SHORT: [("more epochs: epochs=…", _times("epochs", 2)), ("a higher lr", _times("lr", 3))],
    UNDER: [
        ("more epochs or a higher lr", _times("epochs", 2)),
        ("a larger network, such as model=resnet18", _larger),
        ("less regularization: reg=none", _less_regularized),
    ],
    NEITHER: [("only more data or a larger network could still help", _more_images)],
}
"""Verdict -> what to try first, in words and as a change of the config."""
EARLIER = {
    "over-fitting": OVER,
    "under-fitting": UNDER,
    "under-fitting (stopped too early)": SHORT,
    "neither over- nor under-fitting": NEITHER,
}
"""The verdicts of summaries that earlier versions wrote."""


def turns(verdict: str, config: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """What to try after a verdict: the words, and the override for this config where one can be named."""
    return [(text, change(config)) for text, change in TRY.get(EARLIER.get(verdict, verdict), [])]


def diagnose(history: Sequence[EpochRow], best: BestEpoch, train: Score, val: Score) -> Diagnosis:
    """Judge a run by its best weights.

    train, val: of the best weights on training images without augmentation, and on the validation part. The
        accuracy that is logged during training would not do: it is measured on augmented images, with
        dropout, and averaged over changing weights.
    """
    gap = train.accuracy - val.accuracy
    error = val.accuracy * (1 - val.accuracy)
    noise = 2 * math.sqrt(error / val.n + train.accuracy * (1 - train.accuracy) / train.n)
    figures = f"train {train.accuracy:.2%}, val {val.accuracy:.2%}, gap {100 * gap:.2f} points"

    losses = [row.val_loss for row in history]
    since_best = len(history) - best.epoch
    turned = since_best >= 3 and losses[-1] > 1.1 * min(losses)
    climbing = since_best == 0 and len(history) > 1 and losses[-1] < 0.98 * losses[-2]

    if best.val_loss > DIVERGED:
        verdict, why = (
            "diverged",
            f"{figures}; even the best validation loss, {best.val_loss:.4g}, is worse than guessing",
        )
    elif gap > max(0.01, noise) and gap > 0.3 * (1 - val.accuracy):
        verdict, why = OVER, f"{figures}; the gap is larger than chance (±{100 * noise:.2f})"
        if turned:
            why += f", and the validation loss has risen from {min(losses):.4f} to {losses[-1]:.4f}"
    elif climbing and train.accuracy < 0.999:
        verdict = SHORT
        why = f"{figures}; the last epoch still lowered the validation loss to {losses[-1]:.4f}"
    elif train.accuracy < GOOD:
        verdict = UNDER
        why = f"{figures}; the network does not even fit the images that it was trained on"
    else:
        verdict, why = NEITHER, f"{figures} (chance alone: ±{100 * noise:.2f})"
    return Diagnosis(
        verdict=verdict,
        why=why,
        advice=[text for text, _ in TRY[verdict]],
        train_accuracy=train.accuracy,
        val_accuracy=val.accuracy,
        gap=gap,
    )
