"""Assemble a fold from its config: the plan for `fit`, and the state before the first step."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import torch
from torch import nn

from svhncli import registry
from svhncli.config.groups.model import NetworkConfig
from svhncli.config.groups.reg import RegConfig
from svhncli.config.verbs.training import TrainingConfig
from svhncli.core.errors import CheckpointError, DataError, UsageError
from svhncli.core.rng import key
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet, val_digits
from svhncli.data.split import Fold
from svhncli.engine.averaging import Ema
from svhncli.engine.batches import Batches, TrainingImages, batch_bounds
from svhncli.engine.compiling import compiled
from svhncli.engine.device import Machine
from svhncli.engine.matching import demand_form
from svhncli.engine.objective import PENALTIES
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.state import Plan, State
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.models.head import Head
from svhncli.models.output import LearnsBoxes
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.runs.locate import checkpoint_file
from svhncli.stats.metrics import METRICS, registered


def assemble(
    config: TrainingConfig,
    machine: Machine,
    data: DataSet,
    fold: Fold,
    training: TrainingImages,
    show: Show,
    *,
    metric: str = "val_accuracy",
    fresh: bool = True,
) -> tuple[Plan, State]:
    """The plan, and the state before the first step.

    Mean and standard deviation are those of the fold's own training images, without rendered images that are
    mixed in: validation images and later inputs are of the same kind.

    Args:
        training: the training images, including rendered ones.
        metric: the metric that selects the best epoch and decides early stopping.
        fresh: False if the weights of a checkpoint will be loaded.

    Raises:
        CheckpointError: init_from does not fit or is damaged.
        UsageError: the model or reg.position_weights does not fit the images, labels or batches.
    """
    part = data.train
    positions, classes = part.labels.shape[1], part.classes
    preprocess = Preprocess.measure(part.images, fold.train, data.framing, config.grey)
    plan = Plan(
        train=training,
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
        box_loss=config.reg.box_loss,
        fresh=fresh,
    )
    if isinstance(network, LearnsBoxes):
        _require_boxes(data, config)
    if fresh and isinstance(config.model, NetworkConfig) and config.model.init_bias:
        _init_bias(network, part.labels[fold.train], classes)
    if config.init_from is not None and fresh:
        _init_from(network, config.init_from, show)
    _refuse_single_values(network, preprocess.shape, len(training), config.batch_size)
    network = network.to(machine.device).to(memory_format=torch.channels_last)
    needs_scaling = machine.precision == "fp16"
    steps = len(batch_bounds(len(training), config.batch_size)) - 1
    state = State(
        model=network,
        optimizer=registry.optimizer(config.optim, network, config.lr),
        schedule=registry.schedule(config.schedule, steps),
        stopper=EarlyStopping(config.reg.patience, config.reg.min_delta, plan.metric.higher_is_better),
        ema=Ema(network, config.reg.ema) if config.reg.ema else None,
        tally=Tally(machine.device),
        scaler=torch.amp.GradScaler(machine.device.type) if needs_scaling else None,
        compiled=compiled(network, machine) if machine.compiled else None,
    )
    return plan, state


def _refuse_single_values(
    network: nn.Module, shape: tuple[int, int, int], count: int, batch_size: int
) -> None:
    """Refuse batches of one image where a batch norm would have a single value of each channel to average."""
    if np.diff(batch_bounds(count, batch_size)).min() > 1:
        return

    def refuse(name: str, _: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if inputs[0].numel() == inputs[0].shape[1]:
            larger = next((size for size in range(2, count + 1) if count // -(-count // size) > 1), None)
            raise UsageError(
                f"the batch norm {name} cannot train on a batch of 1 image, of which it sees 1×1 pixels",
                "provide more training images" if larger is None else f"set batch_size to {larger} or more",
            )

    trial = copy.deepcopy(network).train()
    for name, module in trial.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(partial(refuse, name))
    with torch.no_grad():
        trial(torch.zeros(1, *shape))


def _require_boxes(data: DataSet, config: TrainingConfig) -> None:
    """Refuse what a network that learns from boxes cannot train on.

    Raises:
        DataError: the images have no boxes.
        UsageError: an augmentation policy would move digits out of their boxes.
    """
    parts = [part for part in (data.train, data.extra_train) if part is not None]
    if data.framing is None or any(part.boxes is None or np.isnan(part.boxes).all() for part in parts):
        raise DataError(
            f"model={config.model.name} learns from the boxes of digits, and {data.name} has none",
            "use photographs of whole numbers with boxes, or a model that learns from labels alone",
        )
    if config.reg.augment.policy != "none":
        raise UsageError(
            f"reg.augment.policy={config.reg.augment.policy} moves digits out of their boxes, from which "
            "this network learns",
            "leave it out: rotate, scale, translate and shear move the boxes, too",
        )


def _init_bias(network: nn.Module, labels: np.ndarray, classes: int) -> None:
    """Initialize the head's bias to the log class frequencies of the training images (each count plus one).

    Raises:
        UsageError: the network, which is a plugin's, has no `Head`.
    """
    counts = 1.0 + np.stack([np.bincount(column, minlength=classes) for column in labels.T])
    head = next((module for module in network.modules() if isinstance(module, Head)), None)
    if head is None:
        raise UsageError(
            "model.init_bias needs a network with a svhncli.models.head.Head, and this one has none",
            "leave model.init_bias out",
        )
    head.start_from(torch.from_numpy(counts / counts.sum(1, keepdims=True)))


def _position_weights(reg: RegConfig, positions: int, machine: Machine) -> torch.Tensor | None:
    """The weight of each position in the training loss, float32 (positions,); None: all equal."""
    given = reg.position_weights
    if not given:
        return None
    if len(given) != positions:
        raise UsageError(
            f"reg.position_weights has {counted(len(given), 'weight')}, but the numbers of this "
            f"data have {counted(positions, 'position')}",
            f"give {positions}, or [] to weight all positions equally",
        )
    return torch.tensor(given, dtype=torch.float32, device=machine.device)


def _init_from(network: nn.Module, source: str, show: Show) -> None:
    """Load another run's weights. A head of a different size keeps its fresh weights, which is reported."""
    path = checkpoint_file(source)
    meta, saved = checkpoint.load_weights(path)
    if "ensemble" in meta:
        raise CheckpointError(f"init_from: '{path}' is an ensemble", "name one of its members")
    own = network.state_dict()
    unfit = [name for name in own if name not in saved or saved[name].shape != own[name].shape]
    if wrong := [name for name in unfit if not {"head", "openness"} & {*name.split(".")}]:
        raise CheckpointError(
            f"init_from: '{path}' holds a different network ({meta['config']['model']['name']}): "
            f"{', '.join(wrong[:3])} do not fit",
            "use the same model and model.* keys as that run",
        )
    if not any(name.endswith("openness") for name in own) and any(n.endswith("openness") for n in saved):
        raise CheckpointError(
            f"init_from: the units of '{path}' have gates (reg.l0), but this network has none",
            "set reg.l0 to a value above 0, however small",
        )
    weights = {name: own[name] if name in unfit else saved[name] for name in own}
    with checkpoint.fitting(path):
        demand_form(own, weights, "weights")
    network.load_state_dict(weights)
    is_new_head = any("head" in name.split(".") for name in unfit)
    note = "; the head has a different size, so its weights are new" if is_new_head else ""
    show.say(f"weights  from {path}{note}")
