"""Train and validate, epoch after epoch: a generator, so that its caller records, saves, stops and prints.

What a step does depends on (seed, epoch, step) and the state alone, never on how the state was reached. So
a run that was interrupted after any step and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from svhncli.core.errors import NotFiniteError
from svhncli.core.rng import key
from svhncli.engine.augment import Augment
from svhncli.engine.batches import Batches, Pictures, Training, batch_bounds
from svhncli.engine.device import Machine
from svhncli.engine.forward import logits
from svhncli.engine.lr_range import GROWN, Point
from svhncli.engine.metrics import Tally
from svhncli.engine.optimizers import step_optimizer
from svhncli.engine.policies import Policy
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.regularise import EarlyStopping, Ema, l1_penalty, l2_penalty, mix, objective
from svhncli.engine.schedules import Schedule
from svhncli.models.gates import expected_open
from svhncli.stats.metrics import VAL_ACCURACY, Metric
from svhncli.stats.score import Score

EVAL_BATCH = 512
NOT_FINITE_HINT = (
    "try a lower lr, optim.clip=1, schedule.warmup=1 or precision=fp32; earlier epochs are saved"
)
SMOOTHING = 0.95
"""Weight of the past in the loss by which a range test ends: it averages over about 20 steps."""
CHECK_EVERY = 50
"""Steps between two looks at the loss on a GPU, where each look waits for the device."""


@dataclass(frozen=True)
class Plan:
    """What stays as it is over a run. Lengths in epochs and pictures, lr as the schedule's base."""

    train: Training
    val: Batches
    preprocess: Preprocess
    machine: Machine
    epochs: int
    batch_size: int
    lr: float
    seed: int
    metric: Metric = VAL_ACCURACY
    """Chooses the best epoch and stops early."""
    added: Sequence[Metric] = ()
    """Further metrics, which are computed after every epoch from the predictions of the validation part."""
    policy: Policy | None = None
    augment: Augment = field(default_factory=Augment)
    clip: float = 0.0
    l0: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    label_smoothing: float = 0.0
    position_weights: torch.Tensor | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    watch: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Places in the validation part, ascending, whose predictions are kept."""


@dataclass
class State:
    """Everything that a run is at a step's end; what is not in here is in the plan or keyed by position."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    stopper: EarlyStopping
    ema: Ema | None
    tally: Tally
    epoch: int = 0
    """Epochs that are complete."""
    step: int = 0
    """Steps done in the epoch that is under way."""
    best: dict[str, Any] | None = None
    """The row of the best epoch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    watched: list[torch.Tensor] = field(default_factory=list)
    """Probabilities float32 (N, L, K) of the pictures that are watched, after each epoch."""

    @property
    def eval_model(self) -> nn.Module:
        """The weights that are validated: the moving average where there is one."""
        return self.model if self.ema is None else self.ema.module

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
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.stopper.load_state_dict(saved["stopper"])
        if self.ema is not None:
            self.ema.load_state_dict(saved["ema"])
        self.tally.load_state_dict(saved["tally"])
        self.epoch, self.step = saved["epoch"], saved["step"]
        self.best, self.history = saved["best"], list(saved["history"])
        self.watched = list(saved["watched"])


@dataclass(frozen=True)
class Tick:
    """A step of training or a batch of validation is done, or new pictures are still being waited for.

    The state is whole and may be saved.
    """

    phase: str
    done: int
    of: int


@dataclass(frozen=True)
class Epoch:
    """An epoch is done: its row, what it took, and whether it is the best so far.

    waited: seconds of it, before its first step, in which its pictures were still being rendered.
    """

    row: dict[str, Any]
    seconds: float
    images_per_second: float
    improved: bool
    waited: float = 0.0


def fit(plan: Plan, state: State) -> Iterator[Tick | Epoch]:
    """Go on from `state` to the plan's last epoch.

    Yields a `Tick` after each step and an `Epoch` after each epoch. Between two yields the state changes; at
    a yield it is whole, so the caller may save it and leave.

    Raises:
        NotFiniteError: the training loss became NaN or infinite; the epoch's start is what was saved last.
    """
    bounds = batch_bounds(len(plan.train), plan.batch_size)
    steps = len(bounds) - 1
    while state.epoch < plan.epochs:
        epoch = state.epoch
        first, started = state.step, time.perf_counter()
        for _ in plan.train.prepare(epoch):
            yield Tick("render", 0, 1)
        waited = time.perf_counter() - started
        take = plan.train.of_epoch(plan.seed, epoch)

        state.model.train()
        while state.step < steps:
            pictures = take(int(bounds[state.step]), int(bounds[state.step + 1]))
            factor = state.schedule.factor(epoch * steps + state.step, plan.epochs * steps)
            for group in state.optimizer.param_groups:
                group["lr"] = plan.lr * factor
            loss = train_step(plan, state, pictures)
            state.step += 1
            if plan.machine.device.type == "cpu" or state.step % CHECK_EVERY == 0 or state.step == steps:
                _demand_finite(loss, epoch, state.step, plan.lr * factor)
            yield Tick("train", state.step, steps)
        train_seconds = time.perf_counter() - started

        val, watched, kept = Tally(plan.machine.device), [], []
        for done, probabilities in enumerate(
            predictions(state.eval_model, plan.val, plan.preprocess, plan.machine, val), 1
        ):
            places = plan.watch - (done - 1) * EVAL_BATCH
            watched.append(probabilities[places[(places >= 0) & (places < len(probabilities))]])
            if plan.added:
                kept.append(probabilities.cpu())
            yield Tick("val", done, -(-len(plan.val) // EVAL_BATCH))

        train_score, val_score = state.tally.result(), val.result()
        row = {
            "epoch": epoch + 1,
            "lr": plan.lr * state.schedule.factor(epoch * steps, plan.epochs * steps),
            "train_loss": train_score.loss,
            "train_accuracy": train_score.accuracy,
            "val_loss": val_score.loss,
            "val_accuracy": val_score.accuracy,
        }
        if bad := [name for name, value in row.items() if not math.isfinite(value)]:
            raise NotFiniteError(f"{bad[0]} became {row[bad[0]]} in epoch {epoch + 1}", NOT_FINITE_HINT)
        row |= _added(plan, kept, epoch)
        score = row[plan.metric.name]
        improved = state.best is None or plan.metric.is_better(score, state.best[plan.metric.name])
        state.stopper.observe(score)
        state.schedule.observe(row["val_loss"])
        if improved:
            state.best = row
        state.history.append(row)
        state.watched.append(torch.cat(watched).cpu())
        seconds = time.perf_counter() - started
        state.epoch, state.step = epoch + 1, 0
        state.tally = Tally(plan.machine.device)
        trained = int(bounds[steps] - bounds[first])  # fewer where the epoch was resumed half-way
        yield Epoch(row, seconds, trained / train_seconds, improved, waited)


def range_test(plan: Plan, state: State, low: float, high: float, steps: int) -> Iterator[Point]:
    """Train from `state`, lr rising by the same factor at every step (Smith 2017, with lr on a log scale).

    It ends early once the loss is not finite or has grown to `GROWN` times its lowest. Batches, augmentation
    and dropout are those of a training's first steps.
    """
    bounds = batch_bounds(len(plan.train), plan.batch_size)
    per_epoch = len(bounds) - 1
    average, lowest = 0.0, math.inf
    state.model.train()
    for number in range(steps):
        state.epoch, state.step = divmod(number, per_epoch)
        if state.step == 0:
            for _ in plan.train.prepare(state.epoch):
                pass
            take = plan.train.of_epoch(plan.seed, state.epoch)
        lr = low * (high / low) ** (number / (steps - 1))
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        pictures = take(int(bounds[state.step]), int(bounds[state.step + 1]))
        loss = train_step(plan, state, pictures).item()
        if not math.isfinite(loss):
            return
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING ** (number + 1))
        lowest = min(lowest, smoothed)
        yield Point(lr, loss)
        if smoothed > GROWN * lowest:
            return


def _added(plan: Plan, kept: Sequence[torch.Tensor], epoch: int) -> dict[str, float]:
    """The values of the plan's further metrics, by the probabilities of all batches of the validation part.

    Raises:
        NotFiniteError: a value is NaN or infinite, so that no epoch could be compared by it.
    """
    if not plan.added:
        return {}
    labels, probabilities = plan.val.labels, torch.cat(list(kept)).numpy()
    values = {}
    for metric in plan.added:
        assert metric.compute is not None, f"{metric.name} is built in"
        value = values[metric.name] = float(metric.compute(labels, probabilities))
        if not math.isfinite(value):
            raise NotFiniteError(
                f"the metric {metric.name} became {value} in epoch {epoch + 1}",
                "its compute function must return a finite float, also where a class is never predicted",
            )
    return values


def train_step(plan: Plan, state: State, pictures: Pictures) -> torch.Tensor:
    """One step on these pictures, at the lr of the optimiser's groups and keyed to the state's place.

    Returns:
        The loss that was minimised, penalties and all: float32, of no dimension, on the device.
    """
    where = (state.epoch, state.step)
    _seed_dropout(plan, where)
    images, labels = pictures
    pixels = plan.preprocess.normalise(augmented(plan, images, where))
    mix_key = key(plan.seed, "mixup", *where)
    inputs, labels, other, share = mix(pixels, labels, plan.mixup, plan.cutmix, mix_key)

    with plan.machine.autocast():
        logits = state.model(inputs.contiguous(memory_format=torch.channels_last))
    logits = logits.float()
    knobs = plan.label_smoothing, plan.position_weights
    losses = objective(logits, labels, *knobs)
    if share < 1:
        losses = share * losses + (1 - share) * objective(logits, other, *knobs)
    loss = losses.mean()

    total = loss
    weights = [p for p in state.model.parameters() if p.ndim > 1 and p.requires_grad]
    if plan.l0:
        total = total + plan.l0 * expected_open(state.model)
    if plan.l1:
        total = total + plan.l1 * l1_penalty(weights)
    if plan.l2:
        total = total + plan.l2 * l2_penalty(weights)
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()
    if plan.clip:
        nn.utils.clip_grad_norm_(state.model.parameters(), plan.clip)
    step_optimizer(state.optimizer)
    if state.ema is not None:
        state.ema.update(state.model)
    state.tally.add(losses.detach(), logits.detach(), labels if share >= 0.5 else other)
    return total.detach()


def augmented(plan: Plan, images: torch.Tensor, where: tuple[int, int]) -> torch.Tensor:
    """What the training sees of stored pictures, uint8 (B, C, H, W), in a step (epoch, step): float32 in
    [0, 1], (B, C, height, width), before it is normalised."""
    pixels = plan.preprocess.floats(images)
    if plan.policy is not None:
        pixels = plan.policy(pixels, key(plan.seed, "policy", *where))
    pixels = plan.augment(pixels, key(plan.seed, "augment", *where))
    return plan.preprocess.seen(pixels, key(plan.seed, "view", *where))


def _seed_dropout(plan: Plan, where: tuple[int, int]) -> None:
    """Dropout draws from the device's global generator, so that is keyed to the step."""
    seed = key(plan.seed, "dropout", *where)
    torch.default_generator.manual_seed(seed)
    if plan.machine.device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _demand_finite(loss: torch.Tensor, epoch: int, step: int, lr: float) -> None:
    value = loss.item()
    if not math.isfinite(value):
        raise NotFiniteError(
            f"the training loss became {value} in epoch {epoch + 1}, step {step} (lr {lr:.3g})",
            NOT_FINITE_HINT,
        )


def predictions(
    model: nn.Module, batches: Batches, preprocess: Preprocess, machine: Machine, tally: Tally, tta: int = 1
) -> Iterator[torch.Tensor]:
    """Probabilities (B, L, K) float32 of every picture in order; counts them into `tally` on the way.

    The loss is the plain mean cross-entropy, whatever the training loss adds to it. With `tta` above 1 the
    probabilities are the mean over so many `views` of a picture, and the loss and the hits are theirs.
    """
    model.eval()
    for images, labels in batches.in_order(EVAL_BATCH):
        with torch.inference_mode():
            said = logits(model, images, preprocess, machine, tta)
            tally.add(objective(said, labels), said, labels)
            probabilities = said.softmax(-1)
        yield probabilities


def evaluate(
    model: nn.Module, batches: Batches, preprocess: Preprocess, machine: Machine, tta: int = 1
) -> tuple[Score, np.ndarray]:
    """Score a model on every image once, by the mean over `tta` views of it.

    Returns:
        The score, and the probabilities, float32 (N, L, K).
    """
    tally = Tally(machine.device)
    parts = [p.cpu().numpy() for p in predictions(model, batches, preprocess, machine, tally, tta)]
    return tally.result(), np.concatenate(parts)
