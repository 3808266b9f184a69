"""The moving average of weights, against an explicit computation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from svhncli.engine.averaging import Ema


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def network() -> nn.Module:
    torch.manual_seed(0)  # initial weights
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def disturb(model: nn.Module, seed: int) -> None:
    """New weights, and one update of batch norm's running mean."""
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.add_(normal(*parameter.shape, seed=100 * seed + index))
    model(normal(8, 3, seed=seed))


def test_ema_matches_the_explicit_average_and_copies_buffers() -> None:
    model, decay = network(), 0.35
    ema = Ema(model, decay)
    expected: list[Tensor] = [p.detach().double() for p in model.parameters()]
    for t in range(12):
        disturb(model, t)
        ema.update(model)
        d = min(decay, (1 + t) / (10 + t))
        weights = (p.detach().double() for p in model.parameters())
        expected = [torch.lerp(w, e, d) for e, w in zip(expected, weights, strict=True)]
        for averaged, e in zip(ema.module.parameters(), expected, strict=True):
            torch.testing.assert_close(averaged.double(), e, rtol=1e-5, atol=1e-6)
    assert ema.updates == 12
    for copied, buffer in zip(ema.module.buffers(), model.buffers(), strict=True):
        assert torch.equal(copied, buffer)


def test_ema_module_is_in_eval_mode_and_shares_nothing_with_the_model() -> None:
    model = network().train()
    ema = Ema(model, 0.9)
    before = copy.deepcopy(ema.module.state_dict())
    disturb(model, 1)
    assert all(torch.equal(before[name], value) for name, value in ema.module.state_dict().items())
    assert not ema.module.training
    assert not any(p.requires_grad for p in ema.module.parameters())
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_ema_continues_from_its_state_with_the_same_bits() -> None:
    model = network()
    straight, first = Ema(model, 0.9), Ema(model, 0.9)
    disturb(model, 1)
    straight.update(model)
    first.update(model)
    second = Ema(network(), 0.9)
    second.load_state_dict(first.state_dict())
    disturb(model, 2)
    straight.update(model)
    second.update(model)
    assert second.updates == 2
    for name, value in straight.module.state_dict().items():
        assert torch.equal(value, second.module.state_dict()[name])
