"""The learning rate range test (Smith 2017): a short run in which lr rises at every step."""

from __future__ import annotations

import math
from collections.abc import Iterator

from svhncli.engine.batches import batch_bounds
from svhncli.engine.lr_range import GROWN, Point
from svhncli.engine.state import Plan, State
from svhncli.engine.step import train_step

MOMENTUM = 0.95
"""Weight of the past in the averaged loss that ends the test: it spans about 20 steps."""


def range_test(plan: Plan, state: State, low: float, high: float, steps: int) -> Iterator[Point]:
    """Train from `state` while lr rises from low to high by the same factor at every step.

    It ends early once the loss is not finite or has grown to `GROWN` times its lowest. Batches, augmentation
    and dropout are those of the first steps of a run.
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
        batch = take(int(bounds[state.step]), int(bounds[state.step + 1]))
        loss = train_step(plan, state, batch).item()
        if not math.isfinite(loss):
            return
        average = MOMENTUM * average + (1 - MOMENTUM) * loss
        unbiased = average / (1 - MOMENTUM ** (number + 1))
        lowest = min(lowest, unbiased)
        yield Point(lr, loss)
        if unbiased > GROWN * lowest:
            return
