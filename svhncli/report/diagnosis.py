"""Over-fitting, under-fitting or neither: said by the figures of train, val and the gap between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

GOOD = 0.98
"""Training accuracy below which a network that does not over-fit could still learn more."""


DIVERGED = 2 * math.log(11)
"""A validation loss that is twice that of guessing among all classes."""


def diagnose(
    history: Sequence[Mapping[str, float]],
    best: Mapping[str, float],
    train: Mapping[str, float],
    val: Mapping[str, float],
) -> dict[str, Any]:
    """Judge a run by its best weights.

    Args:
        history: the rows of metrics.csv.
        best: the row of the best epoch.
        train, val: {"accuracy", "loss", "n"} of the best weights on training pictures without augmentation
            and on the validation part. The accuracy that is logged while training would not do: it is
            measured on distorted pictures, with dropout, and averaged over changing weights.

    Returns:
        {"verdict", "why", "try": [...], "train_accuracy", "val_accuracy", "gap"}
    """
    gap = train["accuracy"] - val["accuracy"]
    error = val["accuracy"] * (1 - val["accuracy"])
    noise = 2 * math.sqrt(error / val["n"] + train["accuracy"] * (1 - train["accuracy"]) / train["n"])
    figures = f"train {train['accuracy']:.2%}, val {val['accuracy']:.2%}, gap {100 * gap:.2f} points"

    losses = [row["val_loss"] for row in history]
    since_best = len(history) - int(best["epoch"])
    turned = since_best >= 3 and losses[-1] > 1.1 * min(losses)
    climbing = since_best == 0 and len(history) > 1 and losses[-1] < 0.98 * losses[-2]

    if best["val_loss"] > DIVERGED:
        verdict, why = (
            "diverged",
            f"{figures}; even the best validation loss, {best['val_loss']:.4g}, is past guessing",
        )
        advice = ["a lower lr: a tenth of it", "optim.clip=1", "schedule.warmup=1"]
    elif gap > max(0.01, noise) and gap > 0.3 * (1 - val["accuracy"]):
        verdict, why = "over-fitting", f"{figures}; the gap is larger than chance (±{100 * noise:.2f})"
        if turned:
            why += f", and the validation loss has risen from {min(losses):.4f} to {losses[-1]:.4f}"
        advice = [
            "more regularisation: reg=strong (augmentation, dropout, label smoothing)",
            "more training pictures",
            "optim.weight_decay or reg.l2=1e-4",
            "a smaller network",
        ]
    elif climbing and train["accuracy"] < 0.999:
        verdict = "under-fitting (stopped too early)"
        why = f"{figures}; the last epoch still lowered the validation loss to {losses[-1]:.4f}"
        advice = ["more epochs: epochs=…", "a higher lr"]
    elif train["accuracy"] < GOOD:
        verdict = "under-fitting"
        why = f"{figures}; the network does not even fit the pictures that it was trained on"
        advice = [
            "more epochs or a higher lr",
            "a larger network, such as model=resnet18",
            "less regularisation: reg=none",
        ]
    else:
        verdict, why = "neither over- nor under-fitting", f"{figures} (chance alone: ±{100 * noise:.2f})"
        advice = ["more data or a larger network are what is left to gain from"]
    return {
        "verdict": verdict,
        "why": why,
        "try": advice,
        "train_accuracy": train["accuracy"],
        "val_accuracy": val["accuracy"],
        "gap": gap,
    }
