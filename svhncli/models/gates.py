"""L0 regularization: hard-concrete gates, which close whole units of a network (Louizos et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

BETA, LOW, HIGH = 2 / 3, -0.1, 1.1
"""Temperature and stretch of the hard-concrete distribution, as in the paper."""
START = math.log(0.9 / 0.1)
"""Initial log alpha of a gate: nearly open, so that half-closed gates do not slow down learning at first."""
PACE = 10.0
"""log alpha is the parameter times this. During a run a weight changes by a few hundredths, but log alpha
must change by 5 to close a gate, and Adam changes every parameter by about lr per step."""


class GatedRelu(nn.Module):
    """ReLU with a gate in [0, 1] on every unit: (B, units, ...) -> the same shape.

    In training, gates are sampled for every image, so that the penalty, the expected number of open gates,
    has a gradient; in evaluation they have the paper's deterministic values, which are exactly 0 or 1 once
    the distribution has hardened. It replaces an `nn.ReLU` without changing other names in the state dict.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.openness = nn.Parameter(torch.full((units,), START / PACE))

    @property
    def log_alpha(self) -> Tensor:
        return PACE * self.openness.float()

    def values(self) -> Tensor:
        """The gates in evaluation, float32 (units,) in [0, 1]; 0: closed."""
        return _hard(self.log_alpha.sigmoid())

    def expected_open(self) -> Tensor:
        """The expected number of open gates in training (equation 12 of the paper), float32 ()."""
        return (self.log_alpha - BETA * math.log(-LOW / HIGH)).sigmoid().sum()

    def forward(self, inputs: Tensor) -> Tensor:
        active = inputs.relu()
        if self.training:
            noise = torch.rand(active.shape[:2], device=active.device).clamp(1e-6, 1 - 1e-6)
            gates = _hard(((noise.logit() + self.log_alpha) / BETA).sigmoid())
        else:
            gates = self.values()[None]
        return active * gates.to(active.dtype).view(*gates.shape, *[1] * (active.ndim - 2))


def _hard(share: Tensor) -> Tensor:
    return (share * (HIGH - LOW) + LOW).clamp(0, 1)


@dataclass(frozen=True)
class Units:
    """Units that may be gated, given by the names of the modules they pass through.

    layer: the convolution or linear layer whose outputs they are. norm: its batch norm, or None.
    relu: the `nn.ReLU` after it. taker: the only convolution or linear layer that they are inputs of. Only
        pooling, dropout and flattening lie in between, which commute with a non-negative factor of a unit.
    """

    layer: str
    norm: str | None
    relu: str
    taker: str


@runtime_checkable
class Gateable(Protocol):
    """A network that knows which of its units may be gated."""

    def units(self) -> list[Units]: ...


def in_a_row(network: nn.Module) -> list[Units]:
    """The units of a network whose layers are applied in the order in which its modules are listed."""
    chain: list[Units] = []
    layer, norm, relu = "", None, ""
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            if relu:
                chain.append(Units(layer, norm, relu, name))
            layer, norm, relu = name, None, ""
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm = name
        elif isinstance(module, (nn.ReLU, GatedRelu)):
            relu = name
    return chain


def add_gates(network: nn.Module) -> int:
    """Replace the ReLU of all units that may be gated by a `GatedRelu`; returns how many were replaced."""
    units = network.units() if isinstance(network, Gateable) else []
    for gated in units:
        layer = network.get_submodule(gated.layer)
        assert isinstance(layer.weight, Tensor)
        network.set_submodule(gated.relu, GatedRelu(len(layer.weight)))
    return len(units)


def _gates(network: nn.Module) -> Iterator[GatedRelu]:
    return (module for module in network.modules() if isinstance(module, GatedRelu))


def expected_open(network: nn.Module) -> Tensor:
    """The L0 penalty: the expected number of open gates of a network in training, float32 ()."""
    return torch.stack([gate.expected_open() for gate in _gates(network)]).sum()


def count_open(network: nn.Module) -> tuple[int, int]:
    """The number of units of a network that are open in evaluation, and the number that have a gate."""
    values = [gate.values() for gate in _gates(network)]
    return sum(int((gates > 0).sum()) for gates in values), sum(map(len, values))


@torch.no_grad()
def remove_closed(whole: nn.Module) -> nn.Module:
    """Remove every closed unit and every gate without changing what the network computes in evaluation.

    The network is changed in place and returned. The value of an open gate is multiplied into the weights
    that the unit is an input of. If all units of a layer are closed, one remains, with weights of 0.
    """
    gateable = [module for module in whole.modules() if isinstance(module, Gateable)]
    for network, units in [(module, units) for module in gateable for units in module.units()]:
        gate = network.get_submodule(units.relu)
        if not isinstance(gate, GatedRelu):
            continue
        values = gate.values()
        kept = values.nonzero().flatten()
        if not len(kept):
            kept = torch.zeros(1, dtype=torch.int64, device=values.device)
        _keep(network.get_submodule(units.layer), kept)
        if units.norm is not None:
            _keep(network.get_submodule(units.norm), kept)
        _take_in(network.get_submodule(units.taker), kept, values)
        network.set_submodule(units.relu, nn.ReLU(inplace=True))
    return whole


def _keep(module: nn.Module, kept: Tensor) -> None:
    """Keep only these outputs of a layer, or channels of a norm."""
    for name, parameter in module.named_parameters():
        setattr(module, name, nn.Parameter(parameter[kept]))
    for name, buffer in module.named_buffers():
        if buffer.ndim:  # the batch counter of batch norm is a scalar
            setattr(module, name, buffer[kept])
    for size in ("out_channels", "out_features", "num_features"):
        if hasattr(module, size):
            setattr(module, size, len(kept))


def _take_in(module: nn.Module, kept: Tensor, values: Tensor) -> None:
    """Keep only these inputs of a layer, scaled by the gates; a flattened unit is all of its cells."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    by_unit = weight.view(len(weight), len(values), -1) * values[:, None]
    fewer = by_unit[:, kept]
    if isinstance(module, nn.Conv2d):
        module.in_channels = len(kept)
        module.weight = nn.Parameter(fewer.view(len(weight), len(kept), *weight.shape[2:]))
    elif isinstance(module, nn.Linear):
        module.in_features = len(kept) * by_unit.shape[2]
        module.weight = nn.Parameter(fewer.flatten(1))
