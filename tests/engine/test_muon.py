"""Muon against the singular value decomposition, and against torch's own optimizers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from svhncli.engine.matching import demand_optimizer
from svhncli.engine.muon import Muon, orthogonalized

ADAM: dict[str, Any] = {"betas": (0.9, 0.99), "eps": 1e-8}


def optimizer(*parameters: nn.Parameter, lr: float = 0.01, weight_decay: float = 0.1) -> Muon:
    return Muon([{"params": [*parameters], "weight_decay": weight_decay}], lr, momentum=0.95, **ADAM)


def trained(
    start: torch.Tensor, make: Callable[[nn.Parameter], torch.optim.Optimizer], steps: int = 5
) -> torch.Tensor:
    """The parameter after steps along gradients of one seed."""
    parameter = nn.Parameter(start.clone())
    draw = torch.Generator().manual_seed(1)
    made = make(parameter)
    for _ in range(steps):
        parameter.grad = torch.randn(start.shape, generator=draw)
        made.step()
    return parameter.detach()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.sampled_from([1e-6, 1.0, 1e6]))
def test_singular_vectors_stay_and_values_become_about_1(
    rows: int, columns: int, seed: int, scale: float
) -> None:
    matrix = scale * torch.randn((rows, columns), generator=torch.Generator().manual_seed(seed))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonalized(matrix) @ right.T
    large = values > 0.02 * values[0]
    assert ((turned.diagonal() > 0.6) & (turned.diagonal() < 1.3))[large].all()
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-3


def test_a_gradient_of_0_moves_nothing() -> None:
    assert torch.equal(orthogonalized(torch.zeros(3, 4)), torch.zeros(3, 4))


@pytest.mark.parametrize("shape", [(32, 48), (48, 32)])
def test_matrices_move_as_with_torchs_muon(shape: tuple[int, int]) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    start = noise(*shape)
    ours = trained(start, optimizer)
    theirs = trained(
        start,
        lambda p: torch.optim.Muon([p], 0.01, 0.1, 0.95, adjust_lr_fn="match_rms_adamw"),
    )
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.01 * moved, "torch computes in bf16"


@pytest.mark.parametrize("shape", [(64,), ()])
def test_all_else_moves_as_with_torchs_adamw(shape: tuple[int, ...]) -> None:
    start = noise(*shape)
    theirs = trained(start, lambda p: torch.optim.AdamW([p], 0.01, weight_decay=0.1, **ADAM))
    torch.testing.assert_close(trained(start, optimizer), theirs)


def test_a_convolution_moves_as_the_matrix_of_its_outputs_and_inputs() -> None:
    start = noise(16, 8, 3, 3)
    flat = trained(start.flatten(1), optimizer)
    images = start.to(memory_format=torch.channels_last)
    parameter = nn.Parameter(images.clone(memory_format=torch.preserve_format))
    draw, made = torch.Generator().manual_seed(1), optimizer(parameter)
    for _ in range(5):
        gradient = torch.randn(start.flatten(1).shape, generator=draw).view(start.shape)
        parameter.grad = gradient.to(memory_format=torch.channels_last)
        made.step()
    torch.testing.assert_close(parameter.detach().flatten(1), flat)


def test_a_saved_state_continues_and_another_is_refused() -> None:
    def pair() -> tuple[nn.Parameter, ...]:
        return nn.Parameter(noise(20, 30)), nn.Parameter(noise(20))

    def step(parameters: tuple[nn.Parameter, ...], made: Muon) -> None:
        for parameter in parameters:
            parameter.grad = parameter.detach().clone()
        made.step()

    first = pair()
    made = optimizer(*first)
    step(first, made)
    saved, second = copy.deepcopy(made.state_dict()), tuple(nn.Parameter(p.detach().clone()) for p in first)
    restored = optimizer(*second)
    demand_optimizer(restored, saved)
    restored.load_state_dict(saved)
    step(first, made)
    step(second, restored)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for place, name in ((0, "momentum_buffer"), (1, "exp_avg")):
        damaged = copy.deepcopy(saved)
        damaged["state"][place][name] = torch.zeros(1)
        with pytest.raises(ValueError, match=name):
            demand_optimizer(restored, damaged)
