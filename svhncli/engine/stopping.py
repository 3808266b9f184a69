"""Early stopping: end a run once its metric no longer improves."""

from __future__ import annotations

import math
from typing import Any


class EarlyStopping:
    """Counts the epochs since a metric last improved.

    Args:
        patience: epochs in a row without improvement after which `should_stop` is true; 0: never.
        min_delta: only a change of more than this counts as an improvement.
        higher_is_better: the direction in which the metric improves.
    """

    def __init__(self, patience: int, min_delta: float = 0.0, higher_is_better: bool = False) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.sign = -1 if higher_is_better else 1
        self.best: float | None = None
        self.stale = 0

    def observe(self, value: float) -> bool:
        """Record an epoch's value; whether it is an improvement, which NaN and infinity never are."""
        gain = math.inf if self.best is None else self.sign * (self.best - value)
        improved = math.isfinite(value) and gain > self.min_delta
        if improved:
            self.best, self.stale = value, 0
        else:
            self.stale += 1
        return improved

    @property
    def should_stop(self) -> bool:
        return 0 < self.patience <= self.stale

    def state_dict(self) -> dict[str, float | int | None]:
        """The best value and the number of epochs since it."""
        return {"best": self.best, "stale": self.stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.stale = state["best"], state["stale"]
