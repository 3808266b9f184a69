"""L0: hard-concrete gates against the paper's formulas, and networks with closed units removed."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from svhncli import registry
from svhncli.config.groups.model import (
    CnnConfig,
    DatawhaleConfig,
    LinearConfig,
    MlpConfig,
    NetworkConfig,
    Resnet18Config,
    WideResnetConfig,
)
from svhncli.core.errors import UsageError
from svhncli.models.gates import GatedRelu, count_open, expected_open, remove_closed

GATEABLE = (
    CnnConfig(width=0.5),
    CnnConfig(depth=2, hidden=24),
    MlpConfig(widths=[20, 12]),
    DatawhaleConfig(),
    WideResnetConfig(depth=10, width=1),
    CnnConfig(stn=True),
)


def gated(config: NetworkConfig, dropout: float = 0.0) -> nn.Module:
    """A network whose gates are spread from closed to open and whose norm layers have running statistics."""
    torch.manual_seed(1)
    network = registry.model(config, (3, 32, 32), 2, 11, dropout, gated=True)
    network.train()
    network(torch.randn(16, 3, 32, 32))
    with torch.no_grad():
        for gate in (module for module in network.modules() if isinstance(module, GatedRelu)):
            gate.openness.copy_(
                torch.linspace(-0.6, 0.6, len(gate.openness))[torch.randperm(len(gate.openness))]
            )
    return network.eval()


def test_the_penalty_is_the_expected_number_of_open_gates() -> None:
    gate = GatedRelu(5).train()
    with torch.no_grad():
        gate.openness.copy_(torch.tensor([-0.5, -0.2, 0.0, 0.2, 0.5]))
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = gate(torch.ones(200_000, 5))
    assert float((drawn > 0).float().mean(0).sum()) == pytest.approx(gate.expected_open().item(), abs=0.01)
    expected = sum(
        1 / (1 + math.exp(-(10 * x - 2 / 3 * math.log(0.1 / 1.1)))) for x in (-0.5, -0.2, 0, 0.2, 0.5)
    )
    assert gate.expected_open().item() == pytest.approx(expected, rel=1e-5)


def test_gates_saturate_at_exactly_closed_and_exactly_open() -> None:
    gate = GatedRelu(3).eval()
    with torch.no_grad():
        gate.openness.copy_(torch.tensor([-0.3, 0.0, 0.3]))
        output = gate(torch.tensor([[2.0, 2.0, 2.0]]))
    assert output.tolist()[0][::2] == [0.0, 2.0]
    assert output[0, 1].item() == pytest.approx(1.0)  # sigmoid(0) stretched is one half


def test_gates_do_not_change_the_initial_weights() -> None:
    states = []
    for gates in (False, True):
        torch.manual_seed(3)
        states.append(registry.model(CnnConfig(), (3, 32, 32), 1, 10, 0.0, gated=gates).state_dict())
    plain, with_gates = states
    assert all(torch.equal(plain[name], with_gates[name]) for name in plain)
    assert {name.rpartition(".")[2] for name in with_gates.keys() - plain.keys()} == {"openness"}


@pytest.mark.parametrize("config", GATEABLE, ids=lambda config: f"{config.name}{'-stn' * config.stn}")
def test_removing_closed_units_does_not_change_the_output(config: NetworkConfig) -> None:
    network = gated(config)
    smaller = copy.deepcopy(network)
    remove_closed(smaller)
    n_open, n_gates = count_open(network)
    assert 0 < n_open < n_gates
    images = torch.randn(9, 3, 32, 32)
    with torch.no_grad():
        expected, actual = network(images), smaller(images)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in network.parameters())
    assert not [module for module in smaller.modules() if isinstance(module, GatedRelu)]


def test_a_layer_whose_units_are_all_closed_keeps_an_inactive_unit() -> None:
    network = gated(MlpConfig(widths=[20, 12]))
    with torch.no_grad():
        next(module for module in network.modules() if isinstance(module, GatedRelu)).openness.fill_(-1)
    smaller = copy.deepcopy(network)
    remove_closed(smaller)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(smaller(images), network(images))


def test_the_penalty_closes_the_gates_of_unused_units() -> None:
    gate = GatedRelu(2).train()
    optimizer = torch.optim.Adam(gate.parameters(), 0.01)
    for step in range(300):
        torch.manual_seed(step)
        loss = (gate(torch.ones(32, 2))[:, 0] - 1).square().mean() + 0.05 * expected_open(gate)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert gate.values().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("config", [LinearConfig(), Resnet18Config(), MlpConfig(widths=[])])
def test_a_network_without_units_to_gate_is_refused(config: NetworkConfig) -> None:
    with pytest.raises(UsageError, match=r"reg\.l0.*no units"):
        registry.model(config, (3, 32, 32), 1, 10, 0.0, gated=True)
