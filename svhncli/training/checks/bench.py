"""The bench on which a training is checked: a few images of a fold, and small trainings on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from svhncli.config.groups.reg import RegConfig
from svhncli.config.groups.schedule import OneCycleConfig
from svhncli.config.verbs.training import CheckConfig, TrainingConfig
from svhncli.core.plain import keyed
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet, val_digits
from svhncli.data.digits import Digits, NumberedNames
from svhncli.data.split import Fold
from svhncli.engine.batches import Batches
from svhncli.engine.device import Machine
from svhncli.engine.loop import Epoch, fit
from svhncli.engine.state import Plan, State
from svhncli.report.terminal import Show
from svhncli.training.assembly import assemble

N_TRAIN, N_VAL = 10_240, 1_040
"""The most images that the small trainings use; validation ends with a small batch."""
N_SHUFFLED, SHUFFLED_STEPS = 256, 400
"""Images with shuffled labels, on each side, and for how many steps they are trained on."""
NEAR_ZERO = 0.1
"""A loss at which images are memorized."""
ROUNDS, LEARNED = 3, 0.1
"""A network whose loss is not below that of guessing by this share is trained again, twice as long."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check. question: what it asks. measured, expected: in words with figures. fix: what
    to do where it failed. sheet: the name of an image file in the folder of the checks."""

    question: str
    measured: str
    expected: str
    passed: bool
    fix: str = keyed("mend")
    sheet: str | None = None


class Bench:
    """A few images of a fold, and trainings on them.

    Args:
        folder: where sheets are drawn.
    """

    def __init__(
        self,
        config: CheckConfig,
        machine: Machine,
        data: DataSet,
        folds: list[Fold],
        folder: Path,
        show: Show,
    ) -> None:
        self.config = replace(config, init_from=None)
        self.machine = machine
        self.folder = folder
        self.show = show
        self.n_val = len(np.unique(np.concatenate([fold.val for fold in folds])))
        self.data, self.fold = _few(data, folds[0], N_TRAIN, N_VAL, config.seed)
        self.shuffled, self.shuffled_fold = _few(data, folds[0], N_SHUFFLED, N_SHUFFLED, config.seed)

    @property
    def plain(self) -> CheckConfig:
        """The config without regularization, which makes memorizing harder; boxes teach it as before."""
        reg = RegConfig(box_loss=self.config.reg.box_loss)
        return replace(self.config, reg=reg, schedule=OneCycleConfig())

    def start(
        self, config: TrainingConfig, data: DataSet | None = None, fold: Fold | None = None
    ) -> tuple[Plan, State]:
        """A fresh training, on the bench's images unless others are given."""
        data, fold = data or self.data, fold or self.fold
        batches = Batches(data.train, fold.train, self.machine.device, data.framing)
        return assemble(config, self.machine, data, fold, batches, self.show)

    def train(
        self,
        config: TrainingConfig,
        steps: int,
        data: DataSet | None = None,
        fold: Fold | None = None,
        prepare: Callable[[nn.Module], None] = lambda network: None,
        until: float = 0.0,
    ) -> tuple[Plan, State]:
        """Train for `steps` steps, or until the loss of an epoch is at most `until`.

        prepare: changes the network first.
        """
        count = len((fold or self.fold).train)
        epochs = -(-steps // -(-count // config.batch_size))
        plan, state = self.start(replace(config, epochs=epochs), data, fold)
        prepare(state.model)
        for event in fit(plan, state):
            if isinstance(event, Epoch) and event.row["train_loss"] <= until:
                break
        return plan, state

    @cached_property
    def learned(self) -> tuple[Plan, State]:
        """The config's network after a short training without regularization; after a longer one where its
        training loss is not yet below that of guessing."""
        for number in range(ROUNDS):
            plan, state = self.train(self.plain, 2**number * self.config.check.steps)
            if state.history[-1]["train_loss"] < (1 - LEARNED) * self.guessing(self.fold.train).mean():
                break
        return plan, state

    @property
    def steps(self) -> int:
        """How many steps that took."""
        plan, state = self.learned
        return state.epoch * -(-len(plan.train) // plan.batch_size)

    def guessing(self, rows: np.ndarray) -> np.ndarray:
        """The loss (n,) of guessing by the class frequencies of the training part, without any image."""
        labels, classes = self.data.train.labels, self.data.train.classes
        counts = [np.bincount(column, minlength=classes) + 1 for column in labels[self.fold.train].T]
        shares = np.stack([count / count.sum() for count in counts])
        return -np.log(shares[np.arange(labels.shape[1]), labels[rows]]).mean(1)


def _few(data: DataSet, fold: Fold, n_train: int, n_val: int, seed: int) -> tuple[DataSet, Fold]:
    """A small data set of a fold's images, without jitter.

    An image on both sides of the fold, where none should be, is taken for both.
    """
    draw = numpy_generator(seed, "check")
    val = draw.permutation(fold.val)[:n_val]
    trains = np.unique(fold.train)
    both = np.intersect1d(trains, val) if fold.val_part == "train" else val[:0]
    train = np.concatenate([both, draw.permutation(np.setdiff1d(trains, both))])[:n_train]
    parts = [data.train.take(np.sort(train)), val_digits(data, fold).take(np.sort(val))]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    images, boxes, sizes = joined("images"), None, None
    if all(part.boxes is not None and part.sizes is not None for part in parts):
        boxes, sizes = joined("boxes"), joined("sizes")
    framing = data.framing
    if framing is not None:
        images, framing = np.ascontiguousarray(framing.middle(images)), replace(framing, jitter=0.0)
    names = NumberedNames("check", len(images))
    digits = Digits(images, joined("labels"), np.arange(len(images)), names, boxes, sizes)
    places = np.arange(len(train)), np.arange(len(train), len(images))
    return DataSet(data.name, digits, data.fingerprint, framing=framing), Fold(fold.name, *places)


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy (n,) of probabilities (n, L, K), the mean over positions."""
    right = np.take_along_axis(probabilities, labels[..., None], 2)[..., 0]
    return -np.log(np.maximum(right, 1e-30)).mean(1)
