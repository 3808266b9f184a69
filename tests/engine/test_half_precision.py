"""fp16: gradients are scaled, clipped unscaled, and left out where they overflow; the scale is resumed.

All of it on the CPU, where torch computes in fp16, too, but so slowly that `precision=fp16` is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from svhncli.core.errors import NotFiniteError
from svhncli.data.digits import Digits, NumberedNames
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.loop import Epoch, fit
from svhncli.engine.optimizers import avoid_compiler_import
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.schedules import Constant
from svhncli.engine.state import Plan, State
from svhncli.engine.step import train_step
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.runs import checkpoint

pytestmark = pytest.mark.engine

FP32 = Machine(torch.device("cpu"), "fp32", 1)
FP16 = replace(FP32, precision="fp16")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images)).unsqueeze(1)


def start(machine: Machine, scaling: dict[str, Any] | None, **options: Any) -> tuple[Plan, State]:
    """A run on noise, before its first step; scaling: the arguments of its scaler, None: it has none."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (40, 3, 4, 4), np.uint8), draw.integers(0, 10, (40, 1))
    digits = Digits(images, labels, np.arange(40), NumberedNames("noise", 40))
    plan = Plan(
        train=Batches(digits, np.arange(32), machine.device),
        val=Batches(digits, np.arange(32, 40), machine.device),
        preprocess=Preprocess.measure(images, np.arange(32)),
        machine=machine,
        epochs=3,
        batch_size=8,
        lr=0.01,
        seed=0,
    )
    avoid_compiler_import()
    torch.manual_seed(0)
    network = Net()
    state = State(
        model=network,
        optimizer=torch.optim.Adam(network.parameters(), 0.01, fused=True),
        schedule=Constant(),
        stopper=EarlyStopping(0),
        ema=None,
        tally=Tally(),
        scaler=None if scaling is None else torch.amp.GradScaler("cpu", **scaling),
    )
    return replace(plan, **options), state


def finish(plan: Plan, state: State) -> str:
    for _ in fit(plan, state):
        pass
    return checkpoint.digest(state.state_dict())


def weights(state: State) -> str:
    return checkpoint.digest(state.model.state_dict())


GROWING = {"init_scale": 4.0, "growth_interval": 5}
"""A scale that changes at steps 5 and 10 of 12."""


@pytest.mark.parametrize("stop", [3, 5, 8])
def test_a_run_resumed_after_any_step_ends_with_the_same_bits(tmp_path: Path, stop: int) -> None:
    undisturbed = finish(*start(FP16, GROWING))
    plan, state = start(FP16, GROWING)
    for done, _ in enumerate(fit(plan, state), 1):
        if done == stop:
            break
    checkpoint.save(tmp_path / "last.pt", state.state_dict())
    plan, resumed = start(FP16, {})  # another scale, which is loaded over
    resumed.load_state_dict(checkpoint.load(tmp_path / "last.pt"))
    assert finish(plan, resumed) == undisturbed

    without = checkpoint.load(tmp_path / "last.pt")
    plan, restarted = start(FP16, GROWING)
    without["scaler"] = restarted.state_dict()["scaler"]
    restarted.load_state_dict(without)
    assert finish(plan, restarted) != undisturbed, "the state of the scaler is needed"


def test_a_run_in_fp16_differs_from_one_in_fp32() -> None:
    runs = [start(machine, GROWING) for machine in (FP16, FP32)]
    assert len({finish(*run) for run in runs}) == 2


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_scaling_by_a_power_of_two_changes_no_bit_with_and_without_clipping(clip: float) -> None:
    """Clipping scaled gradients to a norm of 0.5 would shrink them to nothing."""
    runs = [start(FP32, scaling, clip=clip) for scaling in (None, {"init_scale": 1024.0})]
    for plan, state in runs:
        finish(plan, state)
    assert weights(runs[0][1]) == weights(runs[1][1])
    unclipped = start(FP32, None)
    finish(*unclipped)
    assert (weights(unclipped[1]) == weights(runs[0][1])) == (clip == 0)


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_a_step_whose_gradients_overflow_is_left_out_and_lowers_the_scale(clip: float) -> None:
    plan, state = start(FP16, {"init_scale": 2.0**40}, clip=clip)
    before = weights(state)
    loss = train_step(plan, state, plan.train.of_epoch(0, 0)(0, 8))
    assert torch.isfinite(loss)
    assert weights(state) == before
    assert state.scaler is not None
    assert state.scaler.get_scale() == 2.0**39


def test_overflowing_gradients_are_no_error_but_a_loss_that_is_not_finite_is() -> None:
    plan, state = start(FP16, {"init_scale": 2.0**22})
    before = weights(state)
    rows = [event.row for event in fit(plan, state) if isinstance(event, Epoch)]
    assert len(rows) == 3
    assert weights(state) != before

    plan, state = start(FP16, {})
    with torch.no_grad():
        state.model.head.weight.fill_(6e4)  # whose products are infinite in fp16
    with pytest.raises(NotFiniteError, match=r"the training loss became (infinite|NaN) in epoch 1, step 1 "):
        finish(plan, state)
