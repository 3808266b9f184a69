"""The forward pass outside of training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from svhncli.data.digits import Digits, NumberedNames
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.forward import AT_ONCE, evaluate, logits, spots
from svhncli.engine.preprocess import Preprocess
from svhncli.models.output import Spots


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


def test_large_images_go_through_the_network_a_few_at_a_time_in_their_order() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 500, 700), dtype=np.uint8))
    preprocess = Preprocess.measure(images.numpy(), np.arange(5))
    machine, sizes = Machine(torch.device("cpu"), "fp32", 1), []

    class Means(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            sizes.append(len(inputs))
            return inputs.mean((2, 3))[:, None]

        def spots(self, inputs: Tensor) -> Spots:
            return Spots(self(inputs), inputs.amax((2, 3))[:, None])

    expected = torch.cat([preprocess(images[i : i + 1]).mean((2, 3))[:, None] for i in range(5)])
    torch.testing.assert_close(logits(Means(), images, preprocess, machine), expected)
    found = spots(Means(), images, preprocess, machine)
    assert found is not None
    torch.testing.assert_close(found.logits, expected)
    assert found.boxes.shape == (5, 1, 3)
    assert sum(sizes) == 10
    assert max(sizes) * images[0].numel() <= AT_ONCE
