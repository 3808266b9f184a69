"""Train and validate epoch after epoch: a generator, so that its caller records, saves, stops and prints.

What a step does depends on (seed, epoch, step) and the state alone, never on how the state was reached. So
a run that was interrupted after any step and resumed ends bit-identical to one that never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from svhncli.core.errors import NotFiniteError
from svhncli.engine.batches import Batch, batch_bounds
from svhncli.engine.device import to_device
from svhncli.engine.forward import EVAL_BATCH, predictions
from svhncli.engine.not_finite import in_words, origin_in_training, origin_in_validation
from svhncli.engine.state import Plan, State
from svhncli.engine.step import train_step
from svhncli.engine.tally import Tally

NOT_FINITE_HINT = (
    "try a lower lr, optim.clip=1, schedule.warmup=1 or precision=fp32; earlier epochs are saved"
)
CHECK_EVERY = 50
"""Steps between two checks of the loss on a GPU, where each check waits for the device."""


@dataclass(frozen=True)
class Tick:
    """A training step or a validation batch is done, or the run is still waiting for newly rendered images.

    The state is consistent and may be saved.
    """

    phase: str
    done: int
    of: int


@dataclass(frozen=True)
class Epoch:
    """An epoch is done: its row of metrics.csv, its speed, and whether it is the best so far.

    waited: the seconds of it, before its first step, spent waiting for its images to be rendered.
    """

    row: dict[str, Any]
    seconds: float
    images_per_second: float
    improved: bool
    waited: float = 0.0


def fit(plan: Plan, state: State) -> Iterator[Tick | Epoch]:
    """Continue from `state` to the plan's last epoch.

    Yields a `Tick` after each step and an `Epoch` after each epoch. The state changes only between two
    yields; at a yield it is consistent, so the caller may save it and leave.

    Raises:
        NotFiniteError: a loss or a metric became NaN or infinite.
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
            batch = take(int(bounds[state.step]), int(bounds[state.step + 1]))
            factor = state.schedule.factor(epoch * steps + state.step, plan.epochs * steps)
            for group in state.optimizer.param_groups:
                group["lr"] = plan.lr * factor
            loss, done = train_step(plan, state, batch), state.step + 1
            if plan.machine.device.type == "cpu" or done % CHECK_EVERY == 0 or done == steps:
                _require_finite_loss(loss, plan, state, batch)
            state.step = done
            yield Tick("train", state.step, steps)
        train_seconds = time.perf_counter() - started

        val, watched, kept = Tally(plan.machine.device), [], []
        for done, probabilities in enumerate(
            predictions(state.eval_model, plan.val, plan.preprocess, plan.machine, val, group=plan.group), 1
        ):
            shown = _within(plan.watch - (done - 1) * EVAL_BATCH, len(probabilities))
            watched.append(probabilities[to_device(torch.from_numpy(shown), probabilities.device)])
            if plan.added:
                kept.append(probabilities.cpu())
            yield Tick("val", done, -(-len(plan.val) // EVAL_BATCH))

        row = plan.group.shared(_row(plan, state, val, epoch, steps) | _added(plan, kept, epoch))
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
        trained = int(bounds[steps] - bounds[first])  # fewer if the epoch was resumed partway through
        yield Epoch(row, seconds, trained / train_seconds, improved, waited)


def _within(positions: np.ndarray, count: int) -> np.ndarray:
    """The positions that lie in a batch of `count` images."""
    return positions[(positions >= 0) & (positions < count)]


def _row(plan: Plan, state: State, val: Tally, epoch: int, steps: int) -> dict[str, Any]:
    """The epoch's built-in columns of metrics.csv; lr is that of its first step.

    Raises:
        NotFiniteError: a value is NaN or infinite.
    """
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
        origin = origin_in_validation(plan, state)
        raise NotFiniteError(
            f"{bad[0]} became {in_words(row[bad[0]])} in epoch {epoch + 1}{origin}", NOT_FINITE_HINT
        )
    return row


def _added(plan: Plan, kept: Sequence[torch.Tensor], epoch: int) -> dict[str, float]:
    """The values of the plan's added metrics; kept: the probabilities of every batch, on the CPU.

    Raises:
        NotFiniteError: a value is NaN or infinite, which no other epoch could be compared with.
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
                f"the metric {metric.name} became {in_words(value)} in epoch {epoch + 1}",
                "its compute function must return a finite float, even if some class is never predicted",
            )
    return values


def _require_finite_loss(loss: torch.Tensor, plan: Plan, state: State, batch: Batch) -> None:
    """Refuse the loss of the step on this batch; its epoch and step are still those of the state."""
    value = loss.item()
    if not math.isfinite(value):
        lr = state.optimizer.param_groups[0]["lr"]
        raise NotFiniteError(
            f"the training loss became {in_words(value)} in epoch {state.epoch + 1}, step {state.step + 1} "
            f"(lr {lr:.3g}){origin_in_training(plan, state, batch)}",
            NOT_FINITE_HINT,
        )
