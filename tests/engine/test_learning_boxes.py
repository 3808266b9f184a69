"""Networks that learn from boxes: they find what they read, and resume with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from svhncli.core.labels import BLANK
from svhncli.data.digits import Digits, NumberedNames
from svhncli.data.framing import Framing
from svhncli.engine.augment import Augment
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.forward import spots
from svhncli.engine.loop import Tick, fit
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.schedules import Constant
from svhncli.engine.state import Plan, State
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.models.cnn import Cnn
from svhncli.models.spotter import Spotter
from svhncli.models.stn import LocatedByBoxes, LocatedDetector, SpatialTransformer, Voting
from svhncli.runs import checkpoint

pytestmark = pytest.mark.engine

CPU = Machine(torch.device("cpu"), "fp32", 1)


def boxed_digits(count: int) -> Digits:
    """Images of one or two rectangles, as bright as their digit says."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 30, (count, 3, 32, 64), np.uint8)
    labels, boxes = np.full((count, 2), BLANK), np.full((count, 2, 4), np.nan, np.float32)
    for row in range(count):
        for place in range(1 + row % 2):
            left, top = 6 + 28 * place + int(draw.integers(8)), int(draw.integers(2, 10))
            labels[row, place] = draw.integers(10)
            images[row, :, top : top + 18, left : left + 12] = 60 + 19 * labels[row, place]
            boxes[row, place] = left, top, left + 12, top + 18
    sizes = np.tile(np.array([64, 32], np.int32), (count, 1))
    return Digits(images, labels, np.arange(count), NumberedNames("painted", count), boxes, sizes)


def run_of(network: nn.Module, epochs: int = 3) -> tuple[Plan, State]:
    digits, framing = boxed_digits(48), Framing(32, 64)
    plan = Plan(
        train=Batches(digits, np.arange(40), CPU.device, framing),
        val=Batches(digits, np.arange(40, 48), CPU.device),
        preprocess=Preprocess.measure(digits.images, np.arange(40), framing),
        machine=CPU,
        epochs=epochs,
        batch_size=13,
        lr=0.003,
        seed=0,
        augment=Augment(scale=0.2, translate=0.1),
        mixup=0.2,
    )
    state = State(
        model=network,
        optimizer=torch.optim.Adam(network.parameters(), 0.003),
        schedule=Constant(),
        stopper=EarlyStopping(0),
        ema=None,
        tally=Tally(),
    )
    return plan, state


def detector() -> nn.Module:
    torch.manual_seed(0)
    return Spotter((3, 32, 64), 2, 11, width=0.5, depth=1, dropout=0.1)


def located_detector() -> nn.Module:
    torch.manual_seed(0)
    network = Spotter((3, 32, 48), 2, 11, width=0.5, depth=1)
    return LocatedDetector(SpatialTransformer(Voting(3, 32), (32, 48)), network, 1.0)


def located_classifier() -> nn.Module:
    torch.manual_seed(0)
    network = Cnn((3, 24, 32), 2, 11, width=0.5, hidden=16, reader="columns")
    return LocatedByBoxes(SpatialTransformer(Voting(3, 32), (24, 32)), network, 1.0)


@pytest.mark.parametrize("build", [detector, located_detector, located_classifier])
def test_a_run_that_learns_from_boxes_resumes_with_the_same_bits(
    build: Callable[[], nn.Module], tmp_path: Path
) -> None:
    plan, state = run_of(build())
    for _ in fit(plan, state):
        pass
    end = checkpoint.digest(state.state_dict())
    plan, stopped = run_of(build())
    ticks = (event for event in fit(plan, stopped) if isinstance(event, Tick) and event.phase == "train")
    for _, _ in zip(range(6), ticks, strict=False):  # in the second epoch
        pass
    checkpoint.save(tmp_path / "last.pt", stopped.state_dict())
    plan, resumed = run_of(build())
    resumed.load_state_dict(checkpoint.load(tmp_path / "last.pt"))
    for _ in fit(plan, resumed):
        pass
    assert checkpoint.digest(resumed.state_dict()) == end


@pytest.mark.parametrize("build", [detector, located_detector])
def test_a_detector_learns_to_read_and_to_find_what_it_reads(build: Callable[[], nn.Module]) -> None:
    plan, state = run_of(build(), epochs=100)
    few = Batches(boxed_digits(12), np.arange(12), CPU.device, plan.preprocess.framing)
    plan = replace(plan, train=few, lr=0.01, augment=Augment(), mixup=0.0)
    for _ in fit(plan, state):
        pass
    assert state.history[-1]["train_accuracy"] > 0.9
    batch = few.take(np.arange(12))
    found = spots(state.model.eval(), batch.images, plan.preprocess, CPU)
    assert found is not None
    assert batch.boxes is not None
    right = (found.logits.argmax(-1) == batch.labels).all(1)
    assert right.float().mean() > 0.8
    digits = right[:, None] & (batch.labels != BLANK)
    torch.testing.assert_close(found.boxes[digits], batch.boxes[digits], rtol=0, atol=4)
    if isinstance(state.model, LocatedDetector):
        assert_another_look_corrects_the_frame(state.model, plan.preprocess(batch.images), batch.labels)


@torch.no_grad()
def assert_another_look_corrects_the_frame(
    network: LocatedDetector, images: torch.Tensor, labels: torch.Tensor
) -> None:
    """With frames that are too wide, and some pixels off."""
    bias = network.stn.localise.votes.bias
    bias += torch.tensor([0, 0.25, 0.25, 0.12, -0.12])
    once, _ = network.look(images, network.stn.localise(images))
    often, _ = network.spots(images)
    assert torch.equal(network(images), often)
    before, after = ((logits.argmax(-1) == labels).all(1) for logits in (once, often))
    assert after.sum() > before.sum(), (before, after)
    # an image in which the first look finds nothing is looked at in the same frame again
    empty = torch.zeros_like(images)
    found = network.look(empty, network.stn.localise(empty))
    assert (found.logits.argmax(-1) == BLANK).all()
    torch.testing.assert_close(network(empty), found.logits.log_softmax(-1))


@pytest.mark.parametrize("build", [located_detector, located_classifier])
def test_the_frame_is_found_by_the_boxes_alone(build: Callable[[], nn.Module]) -> None:
    """No gradient of what is read reaches the transformer."""
    network = build().train()
    images = torch.rand(4, 3, 32, 64)
    output = network(images)
    labels, boxes = torch.full((4, 2), 3), torch.tensor([10.0, 5, 20, 25]).repeat(4, 2, 1)
    network.losses_behind(output, labels, boxes, lambda logits: logits.sum((1, 2))).sum().backward()
    assert all(p.grad is None for p in network.stn.parameters())
    assert any(p.grad is not None and p.grad.any() for p in network.network.parameters())
