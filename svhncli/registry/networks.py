"""Networks from their configs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from svhncli.config.groups.model import NetworkConfig
from svhncli.core.errors import UsageError
from svhncli.registry.table import BUILDERS, own_keys, target

Shape = tuple[int, int, int]


def model(
    config: Any,
    in_shape: Shape,
    positions: int,
    classes: int,
    dropout: float,
    *,
    gated: bool = False,
    box_loss: float = 0.0,
    fresh: bool = True,
) -> nn.Module:
    """A network (B, *in_shape) -> logits (B, positions, classes); torch's global RNG draws its weights.

    Args:
        gated: whether its units have gates (reg.l0).
        box_loss: the factor of a spatial transformer's loss (reg.box_loss).
        fresh: False if a checkpoint's weights will be loaded, so that pretrained ones are not downloaded.

    Raises:
        UsageError: the network cannot take this shape, or has no units that can be gated.
    """
    if not fresh and getattr(config, "pretrained", False):
        config = replace(config, pretrained=False)
    channels, height, width = in_shape
    rows = height
    if getattr(config, "stn_size", None):  # a plugin's network need not have a transformer's keys
        if not config.stn or len(config.stn_size) != 2:
            raise UsageError(
                f"model.stn_size={config.stn_size} is not the height and width of a transformer's output",
                "write model.stn=true model.stn_size=[48,64], or leave it out",
            )
        height, width = config.stn_size
    network = _bare(config, (channels, height, width), positions, classes, dropout)
    if gated:
        network = _gated(network, config)
    if getattr(config, "stn", False):
        return _located(network, channels, rows, (height, width), box_loss)
    if box_loss:
        raise UsageError(
            "reg.box_loss is for the frame of a spatial transformer, and this network has none",
            "add model.stn=true, or leave reg.box_loss out",
        )
    return network


def _located(
    network: nn.Module, channels: int, rows: int, size: tuple[int, int], box_loss: float
) -> nn.Module:
    """A network behind a spatial transformer whose output has that height and width, for images of so many
    rows."""
    from svhncli.models import stn
    from svhncli.models.spotter import Spotter

    if not box_loss:
        if isinstance(network, Spotter):
            raise UsageError(
                "model=spotter cannot teach a spatial transformer where the number is",
                "set reg.box_loss=1, by which it learns that from the boxes, or leave model.stn out",
            )
        return stn.Located(stn.SpatialTransformer(stn.Regression(channels), size), network)
    transformer = stn.SpatialTransformer(stn.Voting(channels, rows), size)
    if isinstance(network, Spotter):
        return stn.LocatedDetector(transformer, network, box_loss)
    return stn.LocatedByBoxes(transformer, network, box_loss)


def _bare(config: Any, in_shape: Shape, positions: int, classes: int, dropout: float) -> nn.Module:
    """Class(in_shape, positions, classes, dropout=..., **own keys)."""
    if (builder := BUILDERS.get(type(config))) is not None:
        return builder(config, in_shape, positions, classes, dropout)
    return target(config)(in_shape, positions, classes, dropout=dropout, **own_keys(config, NetworkConfig))


def _gated(network: nn.Module, config: Any) -> nn.Module:
    from svhncli.models.gates import add_gates

    if not add_gates(network):
        raise UsageError(
            f"reg.l0: model {config.name} has no units that can be gated",
            "cnn, mlp, datawhale and wide_resnet have them; or leave reg.l0 out",
        )
    return network
