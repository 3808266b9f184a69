"""Learning rate schedules: how the learning rate moves through a run.

A schedule is a function of the position in the run: `factor(step, total)` times the base learning rate is the
rate of the step, whichever way the step was reached. So a resumed run needs no replay, and more epochs than
planned need only a larger total. Momentum is never cycled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

IDLE = 1e-3
"""Share of its highest value below which lr moves nothing."""


class Schedule(Protocol):
    """How the learning rate moves through a run."""

    def factor(self, step: int, total: int) -> float:
        """What the base learning rate is multiplied by at `step`, 0 to total - 1."""
        ...

    def observe(self, value: float) -> None:
        """Take in the validation loss of an epoch; only `Plateau` makes use of it."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the position does not tell, as plain numbers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Constant:
    """The base learning rate throughout. The other schedules build on this one, which keeps no state."""

    def factor(self, step: int, total: int) -> float:
        return 1.0

    def observe(self, value: float) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Warmup:
    """Another schedule times a linear start: (i + 1) / steps at step i of the first `steps`.

    The other schedule is not moved, so `Step` still falls between epochs.
    """

    def __init__(self, of: Schedule, steps: int) -> None:
        self.of = of
        self.steps = steps

    def factor(self, step: int, total: int) -> float:
        start = (step + 1) / self.steps if step < self.steps else 1.0
        return start * self.of.factor(step, total)

    def observe(self, value: float) -> None:
        self.of.observe(value)

    def state_dict(self) -> dict[str, Any]:
        return self.of.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.of.load_state_dict(state)


class Cosine(Constant):
    """Half a cosine from 1 down to `final`, so many times over the run with a restart in between.

    Loshchilov & Hutter 2017; all `cycles` are of the same length, so their T_mult is 1.
    """

    def __init__(self, final: float = 0.0, cycles: int = 1) -> None:
        self.final = final
        self.cycles = cycles

    def factor(self, step: int, total: int) -> float:
        # in whole numbers, so that no rounding puts the first step of a cycle at the end of the last one
        return between(1.0, self.final, step * self.cycles % total / total)


class OneCycle(Constant):
    """Up from 1 / start_div to the base learning rate, then down to 1 / end_div, both as half cosines.

    Smith & Topin 2018. The base learning rate is the peak, reached after the share `peak` of the steps.
    `end_div` is measured from the peak; torch's `final_div_factor` is measured from the start and so equals
    end_div / start_div.
    """

    def __init__(self, peak: float = 0.3, start_div: float = 25.0, end_div: float = 1e4) -> None:
        self.peak = peak
        self.start = 1 / start_div
        self.end = 1 / end_div

    def factor(self, step: int, total: int) -> float:
        top = self.peak * total - 1
        if step <= top:
            return between(self.start, 1.0, step / top) if top > 0 else 1.0
        return between(1.0, self.end, (step - top) / (total - 1 - top))


class Step(Constant):
    """Times `gamma` after every `every` epochs, or after each of the epochs `at` where there are any."""

    def __init__(self, every: int, gamma: float, steps_per_epoch: int, at: Sequence[int] = ()) -> None:
        self.steps = every * steps_per_epoch
        self.gamma = gamma
        self.at = [epoch * steps_per_epoch for epoch in at]

    def factor(self, step: int, total: int) -> float:
        drops = sum(step >= place for place in self.at) if self.at else step // self.steps
        return self.gamma**drops


class Plateau:
    """Times `gamma` whenever the validation loss has not improved for more than `patience` epochs.

    Improvement means a loss below (1 - threshold) times the best one. The factor never falls below
    `min_factor`. NaN is no improvement.
    """

    def __init__(
        self, gamma: float = 0.1, patience: int = 10, threshold: float = 1e-4, min_factor: float = 0.0
    ) -> None:
        self.gamma = gamma
        self.patience = patience
        self.threshold = threshold
        self.min_factor = min_factor
        self.current = 1.0
        self.best = math.inf
        self.stale = 0

    def factor(self, step: int, total: int) -> float:
        return self.current

    def observe(self, value: float) -> None:
        if value < self.best * (1 - self.threshold):
            self.best, self.stale = value, 0
            return
        self.stale += 1
        if self.stale > self.patience:
            self.current, self.stale = max(self.current * self.gamma, self.min_factor), 0

    def state_dict(self) -> dict[str, Any]:
        return {"current": self.current, "best": self.best, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.current, self.best, self.stale = state["current"], state["best"], state["stale"]


def between(start: float, end: float, share: float) -> float:
    """From start (share 0) to end (share 1) along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def misfits(schedule: Schedule, steps: int, epochs: int) -> list[str]:
    """What of a schedule does not fit a run's length, one sentence each; steps are those of an epoch."""
    sentences = []
    if isinstance(schedule, Warmup):
        if schedule.steps >= epochs * steps:
            sentences.append(
                f"the warm-up takes {schedule.steps / steps:g} epochs of {epochs}: lr never gets to its value"
            )
        schedule = schedule.of
    if isinstance(schedule, Step):
        drops = [place // steps for place in schedule.at] or [schedule.steps // steps]
        if late := [epoch for epoch in drops if epoch >= epochs]:
            sentences.append(
                f"lr drops after epoch {', '.join(map(str, late))}, and the run has {epochs}: "
                + ("it never falls" if len(late) == len(drops) else "these never come")
            )
    if isinstance(schedule, Plateau) and schedule.patience + 2 >= epochs:
        sentences.append(
            f"lr drops after {schedule.patience + 1} epochs without a better loss, and the run has {epochs}: "
            "it cannot fall in time"
        )
    factors = [schedule.factor(epoch * steps, epochs * steps) for epoch in range(epochs)]
    idle = sum(factor < IDLE * max(factors) for factor in factors)
    if idle > max(1, epochs // 10):
        sentences.append(
            f"in {idle} of {epochs} epochs lr is below a thousandth of its highest: they hardly train"
        )
    return sentences
