"""What a run consists of: the plan, which never changes, and the state, which every step changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from svhncli.engine.augment import Augment
from svhncli.engine.averaging import Ema
from svhncli.engine.batches import Batches, TrainingImages
from svhncli.engine.collective import ALONE, Group
from svhncli.engine.device import Machine
from svhncli.engine.matching import demand_count, demand_form, demand_optimizer
from svhncli.engine.policies import Policy
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.schedules import Schedule
from svhncli.engine.stopping import EarlyStopping
from svhncli.engine.tally import Tally
from svhncli.stats.metrics import VAL_ACCURACY, Metric


@dataclass(frozen=True)
class Plan:
    """Everything that stays the same over a run. lr is the base that the schedule multiplies."""

    train: TrainingImages
    val: Batches
    preprocess: Preprocess
    machine: Machine
    epochs: int
    batch_size: int
    lr: float
    seed: int
    metric: Metric = VAL_ACCURACY
    """Chooses the best epoch and stops early."""
    group: Group = ALONE
    added: Sequence[Metric] = ()
    """Further metrics, computed after every epoch from the predictions on the validation part."""
    policy: Policy | None = None
    augment: Augment = field(default_factory=Augment)
    clip: float = 0.0
    penalties: Mapping[str, float] = field(default_factory=dict)
    """Key of `objective.PENALTIES` -> its factor in the loss."""
    label_smoothing: float = 0.0
    position_weights: torch.Tensor | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    watch: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Positions in the validation part, ascending int64, whose probabilities are kept after every epoch."""


@dataclass
class State:
    """Everything that changes: what is not in here is in the plan or keyed by (seed, epoch, step)."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    stopper: EarlyStopping
    ema: Ema | None
    tally: Tally
    scaler: torch.amp.GradScaler | None = None
    """Keeps the gradients of fp16 in range; None: no other precision needs it."""
    compiled: Callable[[torch.Tensor], torch.Tensor] | None = None
    """The model's forward pass in training, compiled; None: as it is."""
    epoch: int = 0
    """Completed epochs."""
    step: int = 0
    """Completed steps of the current epoch."""
    best: dict[str, Any] | None = None
    """The row of the best epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    watched: list[torch.Tensor] = field(default_factory=list)
    """Probabilities float32 (N, L, K) of the watched images after each epoch."""

    @property
    def eval_model(self) -> nn.Module:
        """The network that is validated: the moving average if there is one."""
        return self.model if self.ema is None else self.ema.module

    @property
    def train_model(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The forward pass of a training step."""
        return self.model if self.compiled is None else self.compiled

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "stopper": self.stopper.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "tally": self.tally.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "best": self.best,
            "history": self.history,
            "watched": self.watched,
        } | ({} if self.scaler is None else {"scaler": self.scaler.state_dict()})

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            KeyError: it lacks something.
            ValueError: it is not of such a run.
        """
        own = self.state_dict()
        for name in ("model", "schedule", "stopper", "ema", "scaler"):
            if own.get(name) is not None:
                demand_form(own[name], saved[name], name)
        demand_optimizer(self.optimizer, saved["optimizer"])
        for name in ("epoch", "step"):
            demand_count(saved[name], name)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.stopper.load_state_dict(saved["stopper"])
        if self.ema is not None:
            self.ema.load_state_dict(saved["ema"])
        self.tally.load_state_dict(saved["tally"])
        if self.scaler is not None:
            self.scaler.load_state_dict(saved["scaler"])
        self.epoch, self.step = saved["epoch"], saved["step"]
        self.best, self.history = saved["best"], list(saved["history"])
        self.watched = list(saved["watched"])
