"""The forward pass outside of training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from svhncli.data.digits import Digits, NumberedNames
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.forward import evaluate
from svhncli.engine.preprocess import Preprocess


def test_every_image_is_evaluated_once_and_none_is_padded() -> None:
    images = np.random.default_rng(0).integers(0, 256, (600, 3, 8, 8), dtype=np.uint8)
    every = np.arange(600)
    digits = Digits(images, every[:, None] % 10, every, NumberedNames("noise", 600))
    machine, preprocess = Machine(torch.device("cpu"), "fp32", 1), Preprocess.measure(images, every)
    taken: list[Tensor] = []

    class Keeping(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            taken.append(inputs)
            return torch.zeros(len(inputs), 1, 10)

    batches = Batches(digits, every, machine.device)
    score, probabilities = evaluate(Keeping(), batches, preprocess, machine)
    assert [len(inputs) for inputs in taken] == [512, 88]
    assert torch.equal(torch.cat(taken), preprocess(torch.from_numpy(images)))
    assert score.n == len(probabilities) == 600
