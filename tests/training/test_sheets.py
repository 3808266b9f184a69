"""The sheets of a fold show what the network gets and predicts, and drawing them changes nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from svhncli.core.rng import numpy_generator
from svhncli.data.digits import Digits, NumberedNames
from svhncli.engine.augment import Augment, warp
from svhncli.engine.averaging import Ema
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.loop import fit
from svhncli.engine.policies import RANDAUGMENT, Policy
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.schedules import Constant
from svhncli.engine.state import Plan, State
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.runs.contact_sheet import CAPTION, GAP, RIGHT, WRONG, cells
from svhncli.training.sheets import (
    AUGMENTED,
    COLUMNS,
    PREDICTIONS,
    SHOWN,
    TALL,
    draw_augmented,
    draw_predictions,
)

CPU = Machine(torch.device("cpu"), "fp32", 1)
SIDE, ZOOM = 8, TALL // 8


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * SIDE * SIDE, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.flatten(1)).unsqueeze(1)


@pytest.fixture
def digits() -> Digits:
    draw = numpy_generator(0, "digits")
    images = draw.integers(0, 256, (120, 3, SIDE, SIDE), dtype=np.uint8)
    return Digits(images, draw.integers(0, 10, (120, 1)), np.arange(120), NumberedNames("digits", 120))


def plan_of(digits: Digits, **options: object) -> Plan:
    rows = np.arange(120)
    return Plan(
        train=Batches(digits, rows[:70], CPU.device),
        val=Batches(digits, rows[70:], CPU.device),
        preprocess=Preprocess.measure(digits.images, rows[:70]),
        machine=CPU,
        epochs=1,
        batch_size=35,
        lr=0.1,
        seed=3,
        **options,
    )


def blocks(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images of augmented.png, uint8 (SHOWN / 2, 3, SIDE, SIDE), without augmentation and with it."""
    sheet = np.asarray(Image.open(path))
    count, across = SHOWN // 2, TALL + GAP
    tops = CAPTION, 2 * CAPTION + count // COLUMNS * across
    cut = [
        [
            sheet[y : y + TALL : ZOOM, x : x + TALL : ZOOM].transpose(2, 0, 1)
            for place in range(count)
            for y, x in [(top + place // COLUMNS * down, place % COLUMNS * across)]
        ]
        for top, down in zip(tops, (across, across + CAPTION), strict=True)
    ]
    return np.stack(cut[0]), np.stack(cut[1])


def test_augmented_images_are_those_of_the_first_step(tmp_path: Path, digits: Digits) -> None:
    plan = plan_of(
        digits, policy=Policy(RANDAUGMENT, 2, 0.3, warp), augment=Augment(rotate=10, noise=0.1), mixup=0.3
    )
    network, inputs = Net(), []
    network.register_forward_pre_hook(lambda module, args: inputs.append(args[0].clone()))
    state = State(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        schedule=Constant(),
        stopper=EarlyStopping(patience=0, higher_is_better=True),
        ema=Ema(network, 0.9),
        tally=Tally(),
    )
    next(iter(fit(plan, state)))
    mean, std = (np.array(values)[:, None, None] for values in (plan.preprocess.mean, plan.preprocess.std))
    given = 255 * (inputs[0][: SHOWN // 2].numpy() * std + mean)
    draw_augmented(tmp_path, plan)
    before, after = blocks(tmp_path / AUGMENTED)
    order = numpy_generator(3, "order", 0).permutation(70)[: SHOWN // 2]
    np.testing.assert_array_equal(before, digits.images[order])
    np.testing.assert_allclose(after, given, atol=0.51)
    assert np.abs(after.astype(int) - before).mean() > 5, "the augmentation is visible"


def test_without_augmentation_the_network_gets_the_stored_images(tmp_path: Path, digits: Digits) -> None:
    draw_augmented(tmp_path, plan_of(digits))
    before, after = blocks(tmp_path / AUGMENTED)
    np.testing.assert_array_equal(before, after)


def test_drawing_leaves_the_global_generators_alone(tmp_path: Path, digits: Digits) -> None:
    plan = plan_of(digits, augment=Augment(rotate=10, noise=0.1, elastic=1), mixup=0.3, cutmix=0.5)
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002 - the state that must not change
    draw_augmented(tmp_path, plan)
    draw_predictions(tmp_path, plan, np.full((50, 1, 10), 0.1, np.float32))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_predictions_are_blue_where_they_are_correct_and_red_where_not(
    tmp_path: Path, digits: Digits
) -> None:
    plan = plan_of(digits)
    labels = digits.labels[70:, 0]
    predicted = np.where(np.arange(50) % 3, labels, (labels + 1) % 10)
    draw_predictions(tmp_path, plan, np.eye(10, dtype=np.float32)[predicted][:, None])
    sheet = np.asarray(Image.open(tmp_path / PREDICTIONS))
    shown = cells(tmp_path / PREDICTIONS, SHOWN, (SIDE, SIDE), ZOOM, COLUMNS)
    places = []
    for position, image in enumerate(shown):
        pixels = np.asarray(image).transpose(2, 0, 1)
        (place,) = np.flatnonzero((digits.images[70:] == pixels).all((1, 2, 3)))
        y = CAPTION + position // COLUMNS * (TALL + CAPTION + GAP) + TALL
        x = position % COLUMNS * (TALL + GAP) + TALL - 1
        assert tuple(sheet[y, x]) == (RIGHT if place % 3 else WRONG)
        places.append(int(place))
    assert places == sorted({*places})
    assert len(places) == SHOWN < 50
    assert places != list(range(SHOWN)), "drawn at random"
