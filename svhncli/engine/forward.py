"""What a network says of stored pictures: the one way in which it is asked, whoever wants to know."""

from __future__ import annotations

import torch
from torch import nn

from svhncli.engine.device import Machine
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.tta import views


@torch.inference_mode()
def logits(
    model: nn.Module, images: torch.Tensor, preprocess: Preprocess, machine: Machine, tta: int = 1
) -> torch.Tensor:
    """Logits float32 (B, L, K) of stored pictures, uint8 (B, C, H, W), by a model in evaluation mode.

    With `tta` above 1 they are the logarithm of the mean of the probabilities over so many `views`.
    """
    seen = []
    for view in views(preprocess.floats(images), tta):
        with machine.autocast():
            seen.append(model(preprocess.normalise(preprocess.seen(view))).float())
    # the logits of a mean of probabilities are its logarithm; what is added to all does not matter
    return torch.stack(seen).log_softmax(-1).logsumexp(0) if tta > 1 else seen[0]
