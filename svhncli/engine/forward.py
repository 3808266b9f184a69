"""From stored images to logits, probabilities and scores: the one forward pass outside of training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from svhncli.engine.batches import Batches
from svhncli.engine.collective import ALONE, Group
from svhncli.engine.device import Machine
from svhncli.engine.objective import objective
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.tally import Tally
from svhncli.engine.tta import views
from svhncli.models.output import FindsBoxes, Spots
from svhncli.stats.score import Score

EVAL_BATCH = 512


@torch.inference_mode()
def logits(
    model: nn.Module, images: torch.Tensor, preprocess: Preprocess, machine: Machine, tta: int = 1
) -> torch.Tensor:
    """Logits float32 (B, L, K) of stored images, uint8 (B, C, H, W), from a model in evaluation mode.

    If `tta` is above 1 they are the logarithms of the probabilities averaged over that many `views`.
    """
    outputs = []
    for view in views(preprocess.floats(images), tta):
        with machine.autocast():
            outputs.append(model(preprocess.normalize(preprocess.seen(view))).float())
    # softmax recovers the mean probabilities from their logarithms: a constant added to all cancels
    return torch.stack(outputs).log_softmax(-1).logsumexp(0) if tta > 1 else outputs[0]


def spots(model: nn.Module, images: torch.Tensor, preprocess: Preprocess, machine: Machine) -> Spots | None:
    """What a model in evaluation mode finds in stored images, uint8 (B, C, H, W), with boxes in pixels of its
    input; None: it does not know where what it predicts is."""
    if not isinstance(model, FindsBoxes):
        return None
    with torch.inference_mode(), machine.autocast():
        logits, boxes = model.spots(preprocess(images))
    return Spots(logits.float(), boxes.float())


def predictions(
    model: nn.Module,
    batches: Batches,
    preprocess: Preprocess,
    machine: Machine,
    tally: Tally,
    tta: int = 1,
    group: Group = ALONE,
) -> Iterator[torch.Tensor]:
    """Probabilities float32 (B, L, K) of every image, batch by batch in order; adds every batch to `tally`.

    The processes of a group take turns at the batches, and all of them get the probabilities of every batch:
    these, and the tally, have the bits that one process computes.

    The loss is the plain mean cross-entropy, without what the training loss adds to it. If `tta` is above 1,
    probabilities, loss and accuracy are those of the mean over that many `views` of each image.
    """
    model.eval()
    take = batches.along(np.arange(len(batches)))
    starts = range(0, len(batches), EVAL_BATCH)
    parts = [(start, min(start + EVAL_BATCH, len(batches))) for start in starts]
    for first in range(0, len(parts), group.size):
        # where fewer batches are left than processes, several compute the last one, which counts once
        turns = [parts[min(first + rank, len(parts) - 1)] for rank in range(group.size)]
        images, labels, _ = take(*turns[group.rank])
        counts = [stop - start for start, stop in turns]
        with torch.inference_mode():
            output = logits(model, images, preprocess, machine, tta)
            [outputs] = group.gathered(counts, output)
        for part, output in zip(parts[first:], outputs.split(counts), strict=False):
            if group.size > 1:
                labels = batches.labels_of(*part)
            with torch.inference_mode():
                tally.add(objective(output, labels), output, labels)
                probabilities = output.softmax(-1)
            yield probabilities


def evaluate(
    model: nn.Module, batches: Batches, preprocess: Preprocess, machine: Machine, tta: int = 1
) -> tuple[Score, np.ndarray]:
    """Score a model on every image once, averaging the probabilities of `tta` views of each.

    Returns:
        The score, and the probabilities, float32 (N, L, K).
    """
    tally = Tally(machine.device)
    parts = [*predictions(model, batches, preprocess, machine, tally, tta)]
    return tally.result(), torch.cat(parts).cpu().numpy()
