"""L0 regularisation: hard-concrete gates, which close whole units of a network (Louizos et al. 2018)."""

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
"""log alpha of a fresh gate: nearly open, so that what is half closed need not be learned twice."""
PACE = 10.0
"""log alpha is this times the parameter. A weight moves by a few hundredths in a training, log alpha has to
move by five to close a gate, and under Adam all parameters move by lr at a step."""


class GatedRelu(nn.Module):
    """ReLU, and a gate in [0, 1] on every unit: (B, units, ...) -> the same shape.

    In training a gate is drawn for every picture, so that the penalty, the expected number of open gates, has
    a gradient; otherwise it stands at its middle, and is exactly 0 or 1 where the distribution has hardened.
    It takes the place of an `nn.ReLU` without another name changing in the state dict.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.openness = nn.Parameter(torch.full((units,), START / PACE))

    @property
    def log_alpha(self) -> Tensor:
        return PACE * self.openness.float()

    def values(self) -> Tensor:
        """The gates in evaluation, float32 (units,) in [0, 1]; 0 is closed."""
        return _hard(self.log_alpha.sigmoid())

    def expected_open(self) -> Tensor:
        """How many gates are open on average in training (equation 12 of the paper), float32 ()."""
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
    """Units that may be gated, by the names of the modules they go through.

    layer: the convolution or linear layer whose outputs they are. norm: its batch norm, or None.
    relu: the `nn.ReLU` after it. taker: the one convolution or linear layer that takes them in; between lie
        only pooling, dropout and flattening, which a factor of a unit, 0 or more, passes unchanged.
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
    """The units of a network whose layers follow one another as its modules are listed."""
    found: list[Units] = []
    layer, norm, relu = "", None, ""
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            if relu:
                found.append(Units(layer, norm, relu, name))
            layer, norm, relu = name, None, ""
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm = name
        elif isinstance(module, (nn.ReLU, GatedRelu)):
            relu = name
    return found


def add_gates(network: nn.Module) -> int:
    """Put a `GatedRelu` in the place of the ReLUs of all units that may be gated; how many layers."""
    units = network.units() if isinstance(network, Gateable) else []
    for one in units:
        layer = network.get_submodule(one.layer)
        assert isinstance(layer.weight, Tensor)
        network.set_submodule(one.relu, GatedRelu(len(layer.weight)))
    return len(units)


def _gates(network: nn.Module) -> Iterator[GatedRelu]:
    return (module for module in network.modules() if isinstance(module, GatedRelu))


def expected_open(network: nn.Module) -> Tensor:
    """The L0 penalty: how many gates of a network are open on average in training, float32 ()."""
    return torch.stack([gate.expected_open() for gate in _gates(network)]).sum()


def count_open(network: nn.Module) -> tuple[int, int]:
    """How many units of a network are open in evaluation, and how many have a gate."""
    values = [gate.values() for gate in _gates(network)]
    return sum(int((one > 0).sum()) for one in values), sum(map(len, values))


@torch.no_grad()
def remove_closed(whole: nn.Module) -> nn.Module:
    """Take out every closed unit and every gate, so that the evaluated network gives the same answers.

    It is changed in place, and given back. What an open gate multiplied by is multiplied into the weights
    that take the unit in. Of a layer whose units are all closed one stays, with weights of 0.
    """
    gated = ((network, network.units()) for network in whole.modules() if isinstance(network, Gateable))
    for network, one in [(network, one) for network, units in gated for one in units]:
        gate = network.get_submodule(one.relu)
        if not isinstance(gate, GatedRelu):
            continue
        values = gate.values()
        kept = values.nonzero().flatten()
        if not len(kept):
            kept = torch.zeros(1, dtype=torch.int64, device=values.device)
        _keep(network.get_submodule(one.layer), kept)
        if one.norm is not None:
            _keep(network.get_submodule(one.norm), kept)
        _take_in(network.get_submodule(one.taker), kept, values)
        network.set_submodule(one.relu, nn.ReLU(inplace=True))
    return whole


def _keep(module: nn.Module, kept: Tensor) -> None:
    """Only these outputs of a layer, or channels of a norm, remain."""
    for name, parameter in module.named_parameters():
        setattr(module, name, nn.Parameter(parameter[kept]))
    for name, buffer in module.named_buffers():
        if buffer.ndim:  # batch norm counts its batches in a scalar
            setattr(module, name, buffer[kept])
    for size in ("out_channels", "out_features", "num_features"):
        if hasattr(module, size):
            setattr(module, size, len(kept))


def _take_in(module: nn.Module, kept: Tensor, values: Tensor) -> None:
    """Only these inputs of a layer remain; of a flattened picture a unit is all of its cells."""
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
