"""Overfitting, underfitting or neither, judged by the scores of train and val and the gap between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from svhncli.config.groups.reg import RegConfig
from svhncli.config.rules import to_dict
from svhncli.core.labels import quoted
from svhncli.data.split import ALL
from svhncli.runs.reader import Run
from svhncli.runs.results import DIVERGED, BestEpoch, Diagnosis, EpochRow, FoldSummary
from svhncli.stats.score import Score

GOOD = 0.98
"""Training accuracy below which a network that does not overfit could still learn more."""
HOPELESS = 2 * math.log(11)
"""A validation loss that is twice that of guessing among all classes."""
LOST = 100 * math.log(11)
"""A loss from which training does not come back: lr is far too high."""
SHORTEST, SLOW = 3, 10
"""Epochs from which on a run is judged, and one that has learned little: before, everything still changes."""
LEARNED = 0.5
"""Training accuracy up to which a network has learned little yet."""


# ----------------------------------------------------------------------------- advice


Change = Callable[[Mapping[str, Any]], "str | None"]
"""A run's config, nested, to the word `key=value` that changes it; "" where the change has no key, and None
where the config follows the advice already or cannot."""


def _times(name: str, factor: float) -> Change:
    """A number at the root of the config, multiplied."""
    kind = int if factor == int(factor) and factor > 1 and name != "lr" else float

    def change(config: Mapping[str, Any]) -> str | None:
        return f"{name}={kind(config[name] * factor):.6g}" if name in config else None

    return change


def _more_epochs(config: Mapping[str, Any]) -> str | None:
    """None where early stopping ended the run: it did not use the epochs that it had."""
    return None if config.get("stopped") else f"epochs={2 * config['epochs']}"


def _higher_lr(config: Mapping[str, Any]) -> str | None:
    """None for fine-tuning, which a high lr undoes."""
    return None if config.get("init_from") else _times("lr", 3)(config)


def _better_labels(config: Mapping[str, Any]) -> str | None:
    """Of rendered images every label is right."""
    return None if config["data"]["name"].startswith("synth") else ""


LARGER = {
    **dict.fromkeys(("linear", "mlp", "cnn", "datawhale"), "model=resnet18"),
    "resnet18": "model=resnet34",
    "resnet34": "model=resnet50",
}
SMALLER = {"resnet50": "model=resnet34", "resnet34": "model=resnet18", "resnet18": "model=cnn"}


def _larger(config: Mapping[str, Any]) -> str | None:
    model = config["model"]
    if config.get("init_from"):
        return None  # the weights fit no other network
    if model["name"] == "wide_resnet":
        return f"model.width={2 * model['width']}"
    return LARGER.get(model["name"])


def _smaller(config: Mapping[str, Any]) -> str | None:
    model = config["model"]
    if config.get("init_from"):
        return None
    if model["name"] == "cnn":
        return f"model.width={model['width'] / 2:g}"
    if model["name"] == "wide_resnet" and model["width"] > 1:
        return f"model.width={model['width'] // 2}"
    return SMALLER.get(model["name"])


def _more_images(config: Mapping[str, Any]) -> str | None:
    data = config["data"]
    return f"data.n_train={2 * data['n_train']}" if "n_train" in data else ""


def _less_regularized(config: Mapping[str, Any]) -> str | None:
    """None where nothing regularizes but early stopping, which only ends a run."""
    none, ending = to_dict(RegConfig()), ("name", "patience", "min_delta")
    active = [
        key for key, value in none.items() if key not in ending and config["reg"].get(key, value) != value
    ]
    if not active:
        return None
    return "reg=light" if config["reg"]["name"] == "strong" else "reg=none"


def _more_regularized(config: Mapping[str, Any]) -> str | None:
    """One step: from none to light, from anything else to strong."""
    return {"none": "reg=light", "strong": None}.get(config["reg"]["name"], "reg=strong")


def _weight_decay(config: Mapping[str, Any]) -> str | None:
    decays = config["optim"].get("weight_decay") or config["reg"].get("l2")
    return None if decays else "reg.l2=1e-4"


def _clipped(config: Mapping[str, Any]) -> str | None:
    return None if 0 < config["optim"].get("clip", 0) <= 1 else "optim.clip=1"


def _warmed_up(config: Mapping[str, Any]) -> str | None:
    return None if config["schedule"].get("warmup", 0) >= 1 else "schedule.warmup=1"


OVER, UNDER = "overfitting", "underfitting"
SHORT = "underfitting (stopped too early)"
NEITHER = "neither overfitting nor underfitting"
UNJUDGED = "too short to judge"
TRY: dict[str, list[tuple[str, Change]]] = {
    DIVERGED: [
        ("a lower lr: a tenth of it", _times("lr", 0.1)),
        ("clipped gradients", _clipped),
        ("a warm-up of lr", _warmed_up),
    ],
    UNJUDGED: [("more epochs", _more_epochs)],
    OVER: [
        ("more regularization (augmentation, dropout, label smoothing)", _more_regularized),
        ("more training images", _more_images),
        ("weight decay", _weight_decay),
        ("a smaller network", _smaller),
    ],
    SHORT: [("more epochs", _more_epochs), ("a higher lr", _higher_lr)],
    UNDER: [
        ("correct labels, if some are wrong (svhn inspect RUN, for a run of folds)", _better_labels),
        ("more epochs", _more_epochs),
        ("a higher lr", _higher_lr),
        ("a larger network", _larger),
        ("less regularization", _less_regularized),
    ],
    NEITHER: [("more training images", _more_images), ("a larger network", _larger)],
}
"""Verdict -> what to try first, in words and as a change of the config."""
EARLIER = {
    "over-fitting": OVER,
    "under-fitting": UNDER,
    "under-fitting (stopped too early)": SHORT,
    "neither over- nor under-fitting": NEITHER,
}
"""The verdicts of summaries that earlier versions wrote."""


def turns(verdict: str, config: Mapping[str, Any], *, stopped: bool = False) -> list[tuple[str, str]]:
    """What to try after a verdict: the words, and the override for this config, "" where there is none.

    stopped: whether early stopping ended the run.
    """
    advice = TRY.get(EARLIER.get(verdict, verdict), [])
    changes = ((text, change({**config, "stopped": stopped})) for text, change in advice)
    return [(text, word) for text, word in changes if word is not None]


def in_words(advice: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{text}: {word}" if word else text for text, word in advice]


# ----------------------------------------------------------------------------- the verdict


@dataclass(frozen=True)
class Course:
    """One training. losses: on the validation part, of every epoch. last_loss: on the training part, of the
    last one. train, val: the accuracy of the best weights on so many training images without augmentation,
    and on the validation part.

    The training accuracy that is logged would not do: it is measured on augmented images, with dropout, and
    averaged over changing weights.
    """

    losses: Sequence[float]
    last_loss: float
    best_epoch: int
    best_loss: float
    train: float
    n_train: int
    val: float
    n_val: int

    @classmethod
    def of(cls, summary: FoldSummary, history: Sequence[EpochRow]) -> Course:
        return cls.scored(history, summary.best, summary.train, summary.val)

    @classmethod
    def scored(cls, history: Sequence[EpochRow], best: BestEpoch, train: Score, val: Score) -> Course:
        losses = [row.val_loss for row in history]
        last = history[-1].train_loss
        return cls(losses, last, best.epoch, best.val_loss, train.accuracy, train.n, val.accuracy, val.n)

    @property
    def has_diverged(self) -> bool:
        return min(self.last_loss, self.losses[-1]) > LOST

    @property
    def since_best(self) -> int:
        return len(self.losses) - self.best_epoch


def diagnose(courses: Sequence[Course], config: Mapping[str, Any]) -> Diagnosis:
    """Judge a run by its best weights; several folds or seeds together, by their means.

    config: the run's, as plain nested values; no advice is given that it follows already.
    """
    train, val = (fmean(getattr(course, part) for course in courses) for part in ("train", "val"))
    gap = train - val
    noise = _noise(courses, train, val)
    figures = f"train {train:.2%}, val {val:.2%}, gap {100 * gap:.2f} points"
    if len(courses) > 1:
        figures = f"mean of {len(courses)}: {figures}"
    best_loss, last_loss = fmean(c.best_loss for c in courses), fmean(c.losses[-1] for c in courses)
    lowest = fmean(min(course.losses) for course in courses)
    epochs, since_best = fmean(len(c.losses) for c in courses), fmean(c.since_best for c in courses)
    turned = since_best >= 3 and last_loss > 1.1 * lowest
    earlier = fmean(course.losses[-3:][0] for course in courses)  # schedules end with steps of almost no size
    climbing = since_best < 0.5 and last_loss < 0.98 * earlier

    if best_loss > HOPELESS:
        verdict = DIVERGED
        why = f"{figures}; even the best validation loss, {best_loss:.4g}, is worse than guessing"
    elif any(course.has_diverged for course in courses):
        verdict = DIVERGED
        why = f"{figures}; the validation loss has risen from {lowest:.4g} to {last_loss:.4g}"
    elif epochs < SHORTEST or (train <= LEARNED and epochs < SLOW):
        count = "1 epoch is" if epochs == 1 else f"{epochs:.0f} epochs are"
        verdict, why = UNJUDGED, f"{figures}; {count} not enough for a verdict"
    elif gap > max(0.01, noise) and gap > 0.3 * (1 - val):
        verdict, why = OVER, f"{figures}; the gap is larger than chance (±{100 * noise:.2f})"
        if turned:
            why += f", and the validation loss has risen from {lowest:.4f} to {last_loss:.4f}"
    elif climbing and train < 0.999:
        verdict = SHORT
        why = f"{figures}; the last epoch still lowered the validation loss to {last_loss:.4f}"
    elif train < GOOD:
        verdict = UNDER
        why = f"{figures}; the network does not even fit the images that it was trained on"
    else:
        verdict, why = NEITHER, f"{figures} (chance alone: ±{100 * noise:.2f})"
    advice = in_words(turns(verdict, config, stopped=epochs < config["epochs"]))
    return Diagnosis(verdict=verdict, why=why, advice=advice, train_accuracy=train, val_accuracy=val, gap=gap)


def beside_guessing(diagnosis: Diagnosis, majority: tuple[str, float] | None) -> str | None:
    """A sentence about a run that is no better than always predicting the most frequent label.

    majority: that label, and its share of the validation images.
    """
    if majority is None or diagnosis.val_accuracy > majority[1]:
        return None
    answer, share = majority
    return (
        f"val {diagnosis.val_accuracy:.2%} is no better than always predicting {quoted(answer)}, the most "
        f"frequent label, which is right {share:.2%} of the time"
    )


def diagnose_together(folder: Path, summaries: Sequence[FoldSummary], config: Mapping[str, Any]) -> Diagnosis:
    """One verdict for the folds or seeds in a run's folder; the fit on all data, which held nothing out,
    does not count."""
    folds = [fold for fold in summaries if fold.fold != ALL] or list(summaries)
    histories = (Run(folder / fold.name, folder).history for fold in folds)
    return diagnose([Course.of(*pair) for pair in zip(folds, histories, strict=True)], config)


def _noise(courses: Sequence[Course], train: float, val: float) -> float:
    """How large a gap can be by chance: two standard errors, over images or, if larger, over trainings."""
    n_train, n_val = (sum(getattr(course, name) for course in courses) for name in ("n_train", "n_val"))
    of_images = 2 * math.sqrt(val * (1 - val) / n_val + train * (1 - train) / n_train)
    if len(courses) < 3:
        return of_images
    return max(of_images, 2 * stdev(c.train - c.val for c in courses) / math.sqrt(len(courses)))
