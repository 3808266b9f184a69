"""The objective and the penalties, against explicit formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from svhncli.config.groups.reg import RegConfig
from svhncli.engine.objective import PENALTIES, l1_penalty, l2_penalty, objective


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def digits(*shape: int) -> Tensor:
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("positions", [1, 3])
def test_objective_is_the_smoothed_cross_entropy_averaged_over_positions(
    smoothing: float, positions: int
) -> None:
    logits, labels, classes = normal(4, positions, 5), digits(4, positions), 5
    target = nn.functional.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean(-1)
    losses = objective(logits, labels, smoothing)
    assert losses.shape == (4,)
    torch.testing.assert_close(losses, expected)


def test_weighted_objective_is_the_weighted_mean_of_the_positions_whatever_the_weights_sum_to() -> None:
    logits, labels = normal(4, 3, 5), digits(4, 3)
    single = [objective(logits[:, [i]], labels[:, [i]], 0.1) for i in range(3)]
    expected = (3 * single[0] + 2 * single[1] + single[2]) / 6
    for weights in ([3.0, 2.0, 1.0], [0.75, 0.5, 0.25]):
        torch.testing.assert_close(objective(logits, labels, 0.1, torch.tensor(weights)), expected)
    torch.testing.assert_close(objective(logits, labels, 0.1, torch.ones(3)), objective(logits, labels, 0.1))


def test_objective_of_reduced_precision_logits_is_float32() -> None:
    logits = normal(4, 1, 5).bfloat16()
    losses = objective(logits, digits(4, 1))
    assert losses.dtype == torch.float32
    assert torch.equal(losses, objective(logits.float(), digits(4, 1)))


def test_penalties_and_their_gradients() -> None:
    weights = [torch.tensor([[1.0, -2.0]], requires_grad=True), torch.tensor([3.0, -0.5], requires_grad=True)]
    assert l1_penalty(weights).item() == 6.5
    assert l2_penalty(weights).item() == 0.5 * (1 + 4 + 9 + 0.25)
    for weight, gradient in zip(weights, torch.autograd.grad(l1_penalty(weights), weights), strict=True):
        assert torch.equal(gradient, weight.sign())
    for weight, gradient in zip(weights, torch.autograd.grad(l2_penalty(weights), weights), strict=True):
        assert torch.equal(gradient, weight)


def test_penalties_of_no_weights_are_zero() -> None:
    assert l1_penalty([]).item() == l2_penalty([]).item() == 0.0


def test_every_penalty_is_a_key_of_the_regularization_that_is_off_by_default() -> None:
    for name in PENALTIES:
        assert getattr(RegConfig(), name) == 0
