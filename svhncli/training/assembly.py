"""The start of a fold: what its config means, as the plan of `fit` and the state before the first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from svhncli import registry
from svhncli.config.groups.model import NetworkConfig
from svhncli.config.groups.reg import RegConfig
from svhncli.config.verbs import TrainingConfig
from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.rng import key
from svhncli.data.dataset import DataSet, val_digits
from svhncli.data.split import Fold
from svhncli.engine.averaging import Ema
from svhncli.engine.batches import Batches, TrainingImages, batch_bounds
from svhncli.engine.device import Machine
from svhncli.engine.objective import PENALTIES
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.state import Plan, State
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.models.head import Head
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.stats.metrics import METRICS, registered


def assemble(
    config: TrainingConfig,
    machine: Machine,
    data: DataSet,
    fold: Fold,
    pictures: TrainingImages,
    show: Show,
    *,
    metric: str = "val_accuracy",
    fresh: bool = True,
) -> tuple[Plan, State]:
    """The plan, and the state before the first step.

    Mean and standard deviation are those of the fold's real training images, whatever rendered images are
    mixed in or follow them: validation images and later inputs are of that kind.

    Args:
        metric: what chooses the best epoch and stops early.
        fresh: False where a checkpoint's weights will be loaded.

    Raises:
        CheckpointError: init_from does not fit or is damaged.
        UsageError: the model or reg.position_weights does not fit the images or labels.
    """
    part = data.train
    positions, classes = part.labels.shape[1], part.classes
    preprocess = Preprocess.measure(part.images, fold.train, data.framing, config.grey)
    plan = Plan(
        train=pictures,
        val=Batches(val_digits(data, fold), fold.val, machine.device),
        preprocess=preprocess,
        machine=machine,
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        seed=config.seed,
        metric=METRICS[metric],
        added=registered(),
        policy=registry.policy(config.reg.augment),
        augment=registry.augment(config.reg.augment),
        clip=config.optim.clip,
        penalties={name: getattr(config.reg, name) for name in PENALTIES},
        label_smoothing=config.reg.label_smoothing,
        position_weights=_position_weights(config.reg, positions, machine),
        mixup=config.reg.mixup,
        cutmix=config.reg.cutmix,
    )
    torch.default_generator.manual_seed(key(config.seed, "weights"))
    network = registry.model(
        config.model,
        preprocess.shape,
        positions,
        classes,
        config.reg.dropout,
        gated=config.reg.l0 > 0,
        fresh=fresh,
    )
    if fresh and isinstance(config.model, NetworkConfig) and config.model.init_bias:
        _start_from_shares(network, part.labels[fold.train], classes)
    if config.init_from is not None and fresh:
        _take_weights(network, config.init_from, show)
    network = network.to(machine.device).to(memory_format=torch.channels_last)
    steps = len(batch_bounds(len(pictures), config.batch_size)) - 1
    state = State(
        model=network,
        optimizer=registry.optimizer(config.optim, network, config.lr),
        schedule=registry.schedule(config.schedule, steps),
        stopper=EarlyStopping(config.reg.patience, config.reg.min_delta, plan.metric.higher_is_better),
        ema=Ema(network, config.reg.ema) if config.reg.ema else None,
        tally=Tally(machine.device),
    )
    return plan, state


def _start_from_shares(network: nn.Module, labels: np.ndarray, classes: int) -> None:
    """Set the head's bias by the class frequencies of the training images, each count plus one.

    Raises:
        UsageError: a plugin's network has a head of its own.
    """
    counts = 1.0 + np.stack([np.bincount(column, minlength=classes) for column in labels.T])
    head = next((module for module in network.modules() if isinstance(module, Head)), None)
    if head is None:
        raise UsageError("model.init_bias: this network has no svhncli.models.head.Head", "leave it out")
    head.start_from(torch.from_numpy(counts / counts.sum(1, keepdims=True)))


def _position_weights(reg: RegConfig, positions: int, machine: Machine) -> torch.Tensor | None:
    """The weight of each position in the training loss, float32 (positions,); None: all equal."""
    given = reg.position_weights
    if not given:
        return None
    if len(given) != positions:
        raise UsageError(
            f"reg.position_weights has length {len(given)}; the numbers of this data have {positions} "
            f"position{'s' if positions > 1 else ''}",
            f"give {positions}, or [] to weight all equally",
        )
    return torch.tensor(given, dtype=torch.float32, device=machine.device)


def _take_weights(network: nn.Module, source: str, show: Show) -> None:
    """Start from another run's weights; a head of another size keeps its fresh weights, which is reported."""
    path = Path(source)
    meta, saved = checkpoint.load_weights(path)
    if "ensemble" in meta:
        raise CheckpointError(f"init_from: '{path}' is an ensemble", "name one of its members")
    own = network.state_dict()
    unfit = [name for name in own if name not in saved or saved[name].shape != own[name].shape]
    if wrong := [name for name in unfit if not {"head", "openness"} & {*name.split(".")}]:
        raise CheckpointError(
            f"init_from: '{path}' holds another network ({meta['config']['model']['name']}): "
            f"{', '.join(wrong[:3])} do not fit",
            "choose the same model and the same model.* keys as that run",
        )
    if not any(name.endswith("openness") for name in own) and any(n.endswith("openness") for n in saved):
        raise CheckpointError(
            f"init_from: the units of '{path}' have gates (reg.l0), which this network does not have",
            "give reg.l0 a value above 0, however small",
        )
    network.load_state_dict({name: own[name] if name in unfit else saved[name] for name in own})
    made = (
        "; its head has another size and starts afresh" if any("head" in n.split(".") for n in unfit) else ""
    )
    show.say(f"weights  from {path}{made}")
