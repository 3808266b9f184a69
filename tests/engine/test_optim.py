"""Parameter groups, the optimizers' step, and schedules against PyTorch's own over whole runs."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from svhncli.engine.optimizers import avoid_compiler_import, param_groups, step_optimizer
from svhncli.engine.schedules import (
    Constant,
    Cosine,
    OneCycle,
    Plateau,
    Schedule,
    Step,
    Warmup,
    between,
)
from svhncli.runs import checkpoint


class Mixed(nn.Module):
    """A parameter of every kind that a rule could get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.batch = nn.BatchNorm2d(4)
        self.layer = nn.LayerNorm((4, 5))
        self.linear = nn.Linear(4, 2)
        self.tied = self.linear
        self.scale = nn.Parameter(torch.ones(()))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
        self.bias = nn.Parameter(torch.ones(2, 2))


def names(model: nn.Module, group: dict) -> list[str]:
    names_by_id = {id(p): name for name, p in model.named_parameters()}
    return [names_by_id[id(p)] for p in group["params"]]


def test_norm_layers_biases_and_scalars_do_not_decay() -> None:
    model = Mixed()
    decayed, exempt = param_groups(model, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert exempt["weight_decay"] == 0.0
    assert names(model, decayed) == ["conv.weight", "linear.weight"]
    assert set(names(model, exempt)) == {
        *("scale", "bias", "conv.bias", "batch.weight", "batch.bias"),
        *("layer.weight", "layer.bias", "linear.bias"),
    }


def test_with_decay_norm_and_bias_every_trainable_parameter_decays() -> None:
    model = Mixed()
    (group,) = param_groups(model, 0.1, decay_norm_and_bias=True)
    assert group["weight_decay"] == 0.1
    assert names(model, group) == [name for name, p in model.named_parameters() if p.requires_grad]


@pytest.mark.parametrize("everything", [False, True])
def test_every_trainable_parameter_is_in_exactly_one_group(everything: bool) -> None:
    model = Mixed()
    grouped = [id(p) for group in param_groups(model, 0.1, everything) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def reference(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], total: int) -> list[float]:
    """The rates of a run with base rate 1 under a PyTorch scheduler."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's warning about its own chained schedulers
            scheduler.step()
    return rates


def factors(schedule: Schedule, total: int) -> list[float]:
    return [schedule.factor(step, total) for step in range(total)]


@pytest.mark.parametrize("total", [1, 2, 7, 300])
@pytest.mark.parametrize("final", [0.0, 0.05])
def test_cosine_matches_torch(total: int, final: float) -> None:
    expected = reference(lambda o: lr_scheduler.CosineAnnealingLR(o, total, eta_min=final), total)
    assert factors(Cosine(final), total) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("total", "cycles"), [(2, 2), (12, 3), (300, 1), (300, 5), (98, 49)])
@pytest.mark.parametrize("final", [0.0, 0.05])
def test_warm_restarts_match_torch(total: int, cycles: int, final: float) -> None:
    expected = reference(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, total // cycles, eta_min=final), total
    )
    assert factors(Cosine(final, cycles), total) == pytest.approx(expected, abs=1e-9)
    starts = range(0, total, total // cycles)
    assert all(Cosine(final, cycles).factor(step, total) == 1 for step in starts)


@given(st.integers(1, 100_000), st.data(), st.floats(0, 1))
def test_a_single_cosine_cycle_is_bit_identical_to_plain_cosine(
    total: int, data: st.DataObject, final: float
) -> None:
    step = data.draw(st.integers(0, total - 1))
    assert Cosine(final, cycles=1).factor(step, total) == between(1.0, final, step / total)


@given(st.integers(1, 1000), st.integers(1, 20))
def test_restarts_come_at_whole_steps_for_any_run_length(total: int, cycles: int) -> None:
    rates = factors(Cosine(0.0, cycles), total)
    rises = sum(later > earlier for earlier, later in itertools.pairwise(rates))
    assert rises == cycles - 1 if cycles < total / 2 else rises < total


@pytest.mark.parametrize("total", [10, 37, 500])
@pytest.mark.parametrize("peak", [0.2, 0.3, 0.75])
def test_one_cycle_matches_torch(total: int, peak: float) -> None:
    expected = reference(
        lambda o: lr_scheduler.OneCycleLR(
            o, 1.0, total, pct_start=peak, div_factor=20, final_div_factor=50, cycle_momentum=False
        ),
        total,
    )
    assert factors(OneCycle(peak, start_div=20, end_div=20 * 50), total) == pytest.approx(expected, abs=1e-9)


def test_step_matches_torch_and_falls_between_epochs() -> None:
    steps_per_epoch = 7
    expected = reference(lambda o: lr_scheduler.StepLR(o, 3, 0.2), 10)
    run = factors(Step(every=3, gamma=0.2, steps_per_epoch=steps_per_epoch), 10 * steps_per_epoch)
    assert run[::steps_per_epoch] == pytest.approx(expected)
    assert run[steps_per_epoch - 1 :: steps_per_epoch] == pytest.approx(expected)


losses = st.lists(st.floats(0.01, 10) | st.just(math.nan) | st.just(math.inf), max_size=40)


@given(losses, st.integers(0, 4), st.sampled_from([0.1, 0.5]), st.sampled_from([0.0, 0.01]))
def test_plateau_matches_torch(values: list[float], patience: int, gamma: float, min_factor: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=gamma, patience=patience, threshold=1e-3, min_lr=min_factor, eps=0.0
    )
    ours = Plateau(gamma, patience, threshold=1e-3, min_factor=min_factor)
    for value in values:
        theirs.step(value)
        ours.observe(value)
        assert ours.factor(0, 1) == pytest.approx(optimizer.param_groups[0]["lr"])


@given(losses, st.integers(0, 40))
def test_plateau_continues_from_its_state(values: list[float], cut: int) -> None:
    uninterrupted, first, second = (Plateau(gamma=0.5, patience=1) for _ in range(3))
    for value in values:
        uninterrupted.observe(value)
    for value in values[:cut]:
        first.observe(value)
    second.load_state_dict(first.state_dict())
    for value in values[cut:]:
        second.observe(value)
    assert second.state_dict() == uninterrupted.state_dict()


def test_warmup_matches_torchs_linear_warmup_times_the_schedule() -> None:
    steps, total = 5, 40

    def chained(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        linear = lr_scheduler.LinearLR(optimizer, 1 / steps, total_iters=steps - 1)
        return lr_scheduler.ChainedScheduler([linear, lr_scheduler.CosineAnnealingLR(optimizer, total)])

    assert factors(Warmup(Cosine(), steps), total) == pytest.approx(reference(chained, total), abs=1e-9)


def test_warmup_passes_losses_and_state_to_its_schedule() -> None:
    inner = Plateau(gamma=0.5, patience=0)
    schedule = Warmup(inner, 2)
    for value in (1.0, 2.0):
        schedule.observe(value)
    assert [schedule.factor(step, 4) for step in range(4)] == [0.25, 0.5, 0.5, 0.5]
    assert schedule.state_dict() == inner.state_dict()
    restored = Warmup(Plateau(gamma=0.5, patience=0), 2)
    restored.load_state_dict(schedule.state_dict())
    assert restored.factor(3, 4) == 0.5


def test_zero_warmup_steps_change_nothing() -> None:
    assert factors(Warmup(Cosine(), 0), 9) == factors(Cosine(), 9)


def test_step_falls_after_the_listed_epochs_as_in_torch() -> None:
    expected = reference(lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.1), 8)
    run = factors(Step(every=1, gamma=0.1, steps_per_epoch=4, at=[2, 5]), 8 * 4)
    assert run[::4] == pytest.approx(expected)
    assert run[3::4] == pytest.approx(expected)


SCHEDULES = [Constant(), Cosine(), OneCycle(), OneCycle(peak=0.0), OneCycle(peak=1.0), Step(2, 0.5, 3)]


@given(
    st.sampled_from(SCHEDULES),
    st.integers(0, 9),
    st.integers(1, 60),
)
def test_a_factor_is_between_0_and_1_at_every_step(schedule: Schedule, warmup: int, total: int) -> None:
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors(Warmup(schedule, warmup), total))


@pytest.mark.parametrize(
    "optimizer_class", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop]
)
def test_step_optimizer_matches_the_optimizers_own_step(optimizer_class: type[torch.optim.Optimizer]) -> None:
    def train(step: Callable[[torch.optim.Optimizer], None]) -> str:
        torch.manual_seed(0)
        network = nn.Linear(5, 3)
        optimizer = optimizer_class(network.parameters(), lr=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            network(torch.randn(4, 5)).square().sum().backward()
            step(optimizer)
        return checkpoint.digest(network.state_dict())

    assert train(step_optimizer) == train(lambda optimizer: optimizer.step())


@pytest.mark.engine
def test_the_compiler_is_not_imported_by_a_training_step() -> None:
    script = """
import sys, torch
from svhncli.engine.optimizers import avoid_compiler_import, step_optimizer
avoid_compiler_import()
net = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(net.parameters(), fused=True)
net(torch.ones(1, 2)).sum().backward()
torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
step_optimizer(optimizer)
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_avoiding_the_compiler_import_does_not_change_the_optimizers() -> None:
    avoid_compiler_import()
    network = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters())
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    assert len(optimizer.param_groups) == 2
