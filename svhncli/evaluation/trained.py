"""What was trained, ready for use: from a word on the command line to networks with their preprocessing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from svhncli import registry
from svhncli.config import rules
from svhncli.config.loading import saved_config
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.labels import BLANK
from svhncli.data.framing import Framing
from svhncli.engine import device
from svhncli.engine.device import Machine
from svhncli.engine.forward import logits, spots
from svhncli.engine.matching import demand_form
from svhncli.engine.preprocess import Preprocess
from svhncli.models.ensemble import Member, agreeing_boxes, ensemble_of, mixture
from svhncli.runs import checkpoint


@dataclass(frozen=True)
class Trained:
    """The weights of one fold, or of an ensemble: a network on the CPU in evaluation mode, and the way from
    image to it.

    meta: what the checkpoint says beside its tensors ("fold", "fingerprint", "split", "in_shape", …).
    """

    path: Path
    meta: dict[str, Any]
    config: TrainConfig
    network: nn.Module
    preprocess: Preprocess

    def with_framing(self, framing: Framing) -> Trained:
        """The same network for images that are framed differently."""
        return replace(self, preprocess=replace(self.preprocess, framing=framing))


def load(path: Path) -> Trained:
    """The network of a checkpoint, with the weights that were validated.

    Raises:
        CheckpointError: the file is missing or damaged, its weights do not fit its config, or that is none of
            this version, or needs a plugin.
    """
    meta, weights = checkpoint.load_weights(path)
    with checkpoint.fitting(path):
        config = saved_config(meta["config"])
        network = network_of(meta)
        demand_form(network.state_dict(), weights, "weights")
        network.load_state_dict(weights)
        whole = {**meta, "config": rules.to_dict(config)}  # with keys that are newer than the file
        return Trained(path, whole, config, network.eval(), preprocess_of(meta))


def network_of(meta: Mapping[str, Any]) -> nn.Module:
    """The network that a checkpoint describes, with fresh weights; of an ensemble with all of its members.

    Raises:
        UsageError: its config is none of this version, or needs a plugin.
    """
    if (joined := meta.get("ensemble")) is not None:
        members = [
            Member(network_of(member), member["preprocess"]["mean"], member["preprocess"]["std"])
            for member in joined["members"]
        ]
        return ensemble_of(members, joined["shares"], vote=joined["how"] == "vote")
    config = saved_config(meta["config"])
    shape, positions, classes = tuple(meta["in_shape"]), meta["positions"], meta["classes"]
    reg = config.reg
    return registry.model(
        config.model,
        shape,
        positions,
        classes,
        reg.dropout,
        gated=reg.l0 > 0,
        box_loss=reg.box_loss,
        fresh=False,
    )


def preprocess_of(meta: Mapping[str, Any]) -> Preprocess:
    """The steps from image to network that a checkpoint describes.

    Raises:
        ValueError: they do not lead to its input.
    """
    preprocess = Preprocess.from_dict(meta["preprocess"])
    if [*preprocess.shape] != [*meta["in_shape"]]:
        raise ValueError(f"images become {preprocess.shape}, and its network takes {tuple(meta['in_shape'])}")
    # a network trained on gray images gets the brightness of color images
    return replace(preprocess, grey=len(preprocess.mean) == 1)


def probabilities(folds: Sequence[Trained], images: np.ndarray, machine: Machine, tta: int = 1) -> np.ndarray:
    """Of stored images, uint8 (B, C, H, W): float32 (B, L, K), the `mixture` of the folds' networks.

    The networks are moved to the machine's device.
    """
    return located(folds, images, machine, tta)[0]


def located(
    folds: Sequence[Trained], images: np.ndarray, machine: Machine, tta: int = 1
) -> tuple[np.ndarray, list[np.ndarray | None] | None]:
    """The `probabilities` of stored images, and where the digits are of the numbers that they spell.

    The boxes of an image, float64 (digits, 4), in pixels of the network's input, are those of the first fold
    that itself reads this number, in one view of the image; None: none does. Instead of the list of all
    images' boxes None: the networks do not know where digits are.
    """
    batch = torch.from_numpy(images).to(machine.device)
    outputs, readings = [], []
    for fold in folds:
        network = fold.network.to(machine.device)
        reading = spots(network, batch, fold.preprocess, machine)
        if reading is not None:
            readings.append(reading)
        if reading is not None and tta == 1:
            outputs.append(reading.logits.softmax(-1))
        else:
            outputs.append(logits(network, batch, fold.preprocess, machine, tta).softmax(-1))
    mixed = outputs[0]
    if len(folds) > 1:
        shares = mixed.new_full((len(folds),), 1 / len(folds))
        mixed = mixture(torch.stack(outputs).log(), shares).exp()
    if not readings:
        return mixed.cpu().numpy(), None
    classes = mixed.argmax(-1)
    known = agreeing_boxes(classes, readings).double().cpu().numpy()
    digits = (classes != BLANK).cpu().numpy()
    boxes = [None if np.isnan(own).any() else own[there] for own, there in zip(known, digits, strict=True)]
    return mixed.cpu().numpy(), boxes


def machine(where: str, precision: str, config: TrainConfig) -> Machine:
    """Where a trained network computes; precision "auto" is that of its training, on the same device.

    Raises:
        UsageError: cuda was asked for and there is none.
    """
    here = device.resolve(where, "auto", 0).device.type
    fits = here == "cuda" or config.precision != "fp16"
    if precision == "auto" and config.device.partition(":")[0] in ("auto", here) and fits:
        precision = config.precision
    chosen = device.resolve(where, precision, 0)
    device.prepare(chosen)
    return chosen
