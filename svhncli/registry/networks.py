"""Networks from their configs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from torch import nn

from svhncli.config.groups.model import (
    CnnConfig,
    DatawhaleConfig,
    LinearConfig,
    MlpConfig,
    NetworkConfig,
    Resnet18Config,
    Resnet34Config,
    Resnet50Config,
    ResnetConfig,
    WideResnetConfig,
)
from svhncli.core.errors import UsageError
from svhncli.registry.table import BUILDERS, builder

Shape = tuple[int, int, int]


def model(
    config: Any,
    in_shape: Shape,
    positions: int,
    classes: int,
    dropout: float,
    *,
    gated: bool = False,
    fresh: bool = True,
) -> nn.Module:
    """A network (B, *in_shape) -> logits (B, positions, classes); its weights come from torch's global state.

    Args:
        gated: whether its units have gates (reg.l0).
        fresh: False where a checkpoint's weights will be loaded, so that pretrained ones are not fetched.

    Raises:
        UsageError: the network cannot take this shape, or has no units that can be gated.
    """
    if not fresh and getattr(config, "pretrained", False):
        config = replace(config, pretrained=False)
    channels, height, width = in_shape
    if not isinstance(config, NetworkConfig):  # a plugin's network need not have a transformer's keys
        network = BUILDERS[type(config)](config, in_shape, positions, classes, dropout)
        return _gated(network, config) if gated else network
    if config.stn_size:
        if not config.stn or len(config.stn_size) != 2:
            raise UsageError(
                f"model.stn_size={config.stn_size} is not the rows and columns of a spatial transformer",
                "write model.stn=true model.stn_size=[48,64], or leave it out",
            )
        height, width = config.stn_size
    network = BUILDERS[type(config)](config, (channels, height, width), positions, classes, dropout)
    if gated:
        network = _gated(network, config)
    if config.stn:
        from svhncli.models.stn import in_front

        return in_front(network, channels, (height, width))
    return network


def _gated(network: nn.Module, config: Any) -> nn.Module:
    from svhncli.models.gates import add_gates

    if not add_gates(network):
        raise UsageError(
            f"reg.l0: model {config.name} has no units that a gate could close",
            "cnn, mlp, datawhale and wide_resnet have; or leave reg.l0 out",
        )
    return network


@builder(LinearConfig)
def _linear(config: LinearConfig, in_shape: Shape, positions: int, classes: int, dropout: float) -> nn.Module:
    from svhncli.models.linear import Linear

    return Linear(in_shape, positions, classes, degree=config.degree, pool=config.pool, dropout=dropout)


@builder(MlpConfig)
def _mlp(config: MlpConfig, in_shape: Shape, positions: int, classes: int, dropout: float) -> nn.Module:
    from svhncli.models.mlp import Mlp

    return Mlp(in_shape, positions, classes, widths=config.widths, dropout=dropout)


@builder(CnnConfig)
def _cnn(config: CnnConfig, in_shape: Shape, positions: int, classes: int, dropout: float) -> nn.Module:
    from svhncli.models.cnn import Cnn

    return Cnn(
        in_shape,
        positions,
        classes,
        width=config.width,
        depth=config.depth,
        hidden=config.hidden,
        dropout=dropout,
    )


@builder(DatawhaleConfig)
def _datawhale(
    config: DatawhaleConfig, in_shape: Shape, positions: int, classes: int, dropout: float
) -> nn.Module:
    from svhncli.models.datawhale import Datawhale

    return Datawhale(in_shape, positions, classes, dropout=dropout)


RESNETS: dict[type, Literal[18, 34, 50]] = {Resnet18Config: 18, Resnet34Config: 34, Resnet50Config: 50}


@builder(Resnet18Config)
@builder(Resnet34Config)
@builder(Resnet50Config)
def _resnet(config: ResnetConfig, in_shape: Shape, positions: int, classes: int, dropout: float) -> nn.Module:
    from svhncli.models.resnet import ResNet

    return ResNet(
        in_shape,
        positions,
        classes,
        depth=RESNETS[type(config)],
        pretrained=config.pretrained,
        small_stem=config.small_stem,
        dropout=dropout,
    )


@builder(WideResnetConfig)
def _wide_resnet(
    config: WideResnetConfig, in_shape: Shape, positions: int, classes: int, dropout: float
) -> nn.Module:
    from svhncli.models.wide_resnet import WideResNet

    return WideResNet(in_shape, positions, classes, depth=config.depth, width=config.width, dropout=dropout)
