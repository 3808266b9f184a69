"""Load trained networks with their preprocessing from checkpoints, and predict with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from svhncli import registry
from svhncli.config.loading import from_dict
from svhncli.config.verbs import TrainConfig
from svhncli.core.errors import CheckpointError
from svhncli.data.framing import Framing
from svhncli.engine import device
from svhncli.engine.device import Machine
from svhncli.engine.forward import logits
from svhncli.engine.preprocess import Preprocess
from svhncli.models.ensemble import Ensemble, Member
from svhncli.runs import checkpoint


@dataclass(frozen=True)
class Trained:
    """The trained network of a fold or an ensemble, on the CPU in evaluation mode, with its preprocessing.

    meta: what the checkpoint holds besides its tensors ("fold", "fingerprint", "split", "in_shape", …).
    """

    path: Path
    meta: dict[str, Any]
    config: TrainConfig
    network: nn.Module
    preprocess: Preprocess

    def with_framing(self, framing: Framing) -> Trained:
        """The same network for images with another framing."""
        return replace(self, preprocess=replace(self.preprocess, framing=framing))


def load(path: Path) -> Trained:
    """The network of a checkpoint, with the weights that were validated.

    Raises:
        CheckpointError: the file is missing or damaged, or its weights do not fit its config.
        UsageError: its config is not valid in this version, or needs a plugin.
    """
    meta, weights = checkpoint.load_weights(path)
    config = from_dict(TrainConfig, meta["config"])
    network = network_of(meta)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in '{path}' do not fit its config: {str(error).splitlines()[0]}",
            "load it with the version of svhn that wrote it, with the same plugins",
        ) from error
    return Trained(path, meta, config, network.eval(), preprocess_of(meta))


def network_of(meta: Mapping[str, Any]) -> nn.Module:
    """The network that a checkpoint describes, with fresh weights; an ensemble includes all of its members.

    Raises:
        UsageError: its config is not valid in this version, or needs a plugin.
    """
    if (joined := meta.get("ensemble")) is not None:
        members = [
            Member(network_of(member), member["preprocess"]["mean"], member["preprocess"]["std"])
            for member in joined["members"]
        ]
        return Ensemble(members, joined["shares"], vote=joined["how"] == "vote")
    config = from_dict(TrainConfig, meta["config"])
    shape, positions, classes = tuple(meta["in_shape"]), meta["positions"], meta["classes"]
    gated = config.reg.l0 > 0
    return registry.model(
        config.model, shape, positions, classes, config.reg.dropout, gated=gated, fresh=False
    )


def preprocess_of(meta: Mapping[str, Any]) -> Preprocess:
    """The preprocessing that a checkpoint describes."""
    preprocess = Preprocess.from_dict(meta["preprocess"])
    # A network trained on gray images gets the brightness of color images.
    return replace(preprocess, grey=len(preprocess.mean) == 1)


def probabilities(folds: Sequence[Trained], images: np.ndarray, machine: Machine, tta: int = 1) -> np.ndarray:
    """Predict stored images, uint8 (B, C, H, W): float32 (B, L, K), the mean over the networks of the folds.

    Moves the networks to the machine's device.
    """
    batch = torch.from_numpy(images).to(machine.device)
    outputs = [
        logits(fold.network.to(machine.device), batch, fold.preprocess, machine, tta).softmax(-1)
        for fold in folds
    ]
    return torch.stack(outputs).mean(0).cpu().numpy()


def machine(where: str, config: TrainConfig) -> Machine:
    """The machine on which a trained network runs, with the precision of its training if that used the same
    kind of device.

    Raises:
        UsageError: cuda was requested, but there is no GPU.
    """
    here = device.resolve(where, "auto", 0).device.type
    resolved = device.resolve(where, config.precision if config.device in ("auto", here) else "auto", 0)
    device.prepare(resolved)
    return resolved
