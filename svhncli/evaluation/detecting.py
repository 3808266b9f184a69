"""Where a network finds the digits of labeled images, beside where they are."""

from __future__ import annotations

import numpy as np

from svhncli.core.labels import BLANK
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.forward import EVAL_BATCH, spots
from svhncli.evaluation.trained import Trained
from svhncli.models.output import FindsBoxes
from svhncli.stats.detection import Detections


def detections(fold: Trained, batches: Batches, machine: Machine) -> Detections | None:
    """Boxes in pixels of the stored images, found in one view of each; None: the network knows of none.

    The network is on the machine's device, in evaluation mode.
    """
    if not isinstance(fold.network, FindsBoxes):
        return None
    take = batches.along(np.arange(len(batches)))
    readings = []
    for start in range(0, len(batches), EVAL_BATCH):
        images = take(start, min(start + EVAL_BATCH, len(batches))).images
        reading = spots(fold.network, images, fold.preprocess, machine)
        assert reading is not None
        readings.append((reading.logits.argmax(-1).cpu().numpy(), reading.boxes.cpu().numpy()))
    classes, boxes = (np.concatenate(values) for values in zip(*readings, strict=True))
    framing, digits, rows = fold.preprocess.framing, batches.digits, batches.indices
    true = None
    if digits.boxes is not None and digits.sizes is not None:
        true = framing.placed(digits.boxes[rows], digits.sizes[rows])
    boxes = boxes + np.tile(framing.room[::-1], 2)
    boxes[classes == BLANK] = np.nan
    return Detections(batches.labels, true, classes, boxes)
