"""The sheets of images in a fold's folder: what the network gets, and what it makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from svhncli.core.labels import BLANK, as_text
from svhncli.core.rng import numpy_generator
from svhncli.engine.batches import batch_bounds
from svhncli.engine.preprocess import as_uint8
from svhncli.engine.state import Plan
from svhncli.engine.step import augmented, mixed
from svhncli.report.figures.dynamics import DARK, LIGHT, draw_film
from svhncli.runs.contact_sheet import RIGHT, WRONG, Block, draw_sheet
from svhncli.stats.scores import confidence, is_right

AUGMENTED, PREDICTIONS = "augmented.png", "predictions.png"
SHOWN = 32
"""Images on a sheet."""
COLUMNS = 8
TALL = 64
"""Pixels of height up to which a shown image is enlarged."""


def draw_augmented(folder: Path, plan: Plan) -> None:
    """Write augmented.png: images of the first batch of the first epoch, stored and as the network gets them.

    Every draw is keyed by the seed and the step, so drawing them again changes nothing else, and a resumed
    run has the same sheet as an undisturbed one.
    """
    first = int(batch_bounds(len(plan.train), plan.batch_size)[1])
    batch = plan.train.of_epoch(plan.seed, 0)(0, first)  # all of it: a batch is augmented as a whole
    stored = plan.preprocess.seen(plan.preprocess.floats(batch.images))
    inputs, partner, share = mixed(plan, augmented(plan, batch.images, (0, 0)), (0, 0))
    shown = min(SHOWN // 2, first)
    both = batch.labels, batch.labels[partner]
    own, others = ([as_text(row) or "-" for row in rows[:shown].cpu().numpy()] for rows in both)
    caption = "the same images as the network gets them in its first step"
    if share < 1:
        caption += f"; the first label has a weight of {share:.0%}"
        own = [f"{label} + {other}" for label, other in zip(own, others, strict=True)]
    blocks = [
        Block(f"{shown} training images without augmentation", as_uint8(stored[:shown])),
        Block(caption, as_uint8(inputs[:shown]), own),
    ]
    draw_sheet(folder / AUGMENTED, blocks, _zoom(plan), COLUMNS)


def draw_predictions(folder: Path, plan: Plan, probabilities: np.ndarray) -> None:
    """Write predictions.png: random validation images, with label, prediction and confidence.

    probabilities: float32 (N, L, K) of the validation part.
    """
    drawn = numpy_generator(plan.seed, "predictions").permutation(len(probabilities))[:SHOWN]
    places = np.sort(drawn)
    labels, predicted = plan.val.labels[places], probabilities[places].argmax(-1)
    right = is_right(predicted, labels, BLANK)
    below = [
        f"{as_text(label) or '-'} > {as_text(classes) or '-'} {sure:.0%}"
        for label, classes, sure in zip(labels, predicted, confidence(probabilities[places]), strict=True)
    ]
    caption = f"{len(places)} random validation images, {right.sum()} correct: label > prediction, confidence"
    block = Block(caption, _seen(plan, places), below, [RIGHT if hit else WRONG for hit in right])
    draw_sheet(folder / PREDICTIONS, [block], _zoom(plan), COLUMNS)


def draw_watched(folder: Path, plan: Plan, watched: np.ndarray) -> None:
    """Write watch.png and watch_dark.png: the watched images, and the predictions after each epoch.

    watched: float (epochs, N, L, K).
    """
    images = _seen(plan, plan.watch)
    labels = [as_text(classes) for classes in plan.val.labels[plan.watch]]
    for name, theme in (("watch.png", LIGHT), ("watch_dark.png", DARK)):
        draw_film(folder / name, images, labels, watched, theme)


def _seen(plan: Plan, places: np.ndarray) -> np.ndarray:
    """The validation images at these places as the network sees them: uint8 (N, C, H, W)."""
    stored = torch.from_numpy(plan.val.digits.images[plan.val.indices[places]])
    return as_uint8(plan.preprocess.seen(plan.preprocess.floats(stored)))


def _zoom(plan: Plan) -> int:
    return max(1, TALL // plan.preprocess.framing.height)
