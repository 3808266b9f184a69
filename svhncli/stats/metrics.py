"""Metrics of the validation part: name, direction, format, and how each is computed.

Everything that ranks, marks, plots or prints a metric asks its `Metric`, so a new metric takes one call:
`register` makes it a column of metrics.csv, adds it to the epoch's line and to the curves, and lets the key
`metric` choose it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from svhncli.core.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    Compute = Callable[[np.ndarray, np.ndarray], float]


Format = Literal["percent", "number"]


@dataclass(frozen=True)
class Metric:
    """A score of the validation part, computed after every epoch.

    Attributes:
        name: the column in metrics.csv and the value of the key `metric`; begins with `val_`.
        higher_is_better: the direction in which it improves.
        format: 0.9561 is shown as "95.61%" ("percent") or "0.9561" ("number").
        compute: takes labels int64 (N, L) and probabilities float32 (N, L, K) of the whole validation part
            and returns a finite float. None for the built-in metrics, which the `Tally` sums up.
    """

    name: str
    higher_is_better: bool
    format: Format = "number"
    compute: Compute | None = None

    @property
    def title(self) -> str:
        """The name as words, without the part of the data: "val_macro_recall" is "macro recall"."""
        return self.name.removeprefix("val_").replace("_", " ")

    def is_better(self, value: float, best: float) -> bool:
        """Whether `value` is an improvement; an equal value is not."""
        return value > best if self.higher_is_better else value < best

    def text(self, value: float) -> str:
        return _text(value, self.format)


VAL_ACCURACY = Metric("val_accuracy", higher_is_better=True, format="percent")
VAL_LOSS = Metric("val_loss", higher_is_better=False)

METRICS = {metric.name: metric for metric in (VAL_ACCURACY, VAL_LOSS)}
"""Name -> metric: the built-in ones, then those that were registered, in that order."""

BUILT_IN: dict[str, Format] = {
    "loss": "number",
    "accuracy": "percent",
    "digit_accuracy": "percent",
    "length_accuracy": "percent",
}
"""The scores of any part (train, val or test) and their formats; `engine.tally` computes them."""


def register(metric: Metric) -> None:
    """Add a metric, computed after every epoch of the runs that this process trains.

    Raises:
        UsageError: the name does not begin with `val_`, is taken by a built-in score or is not lower-case
            letters, digits and underscores; or the metric cannot be computed.
    """
    taken = [f"val_{score}" for score in BUILT_IN]
    if not re.fullmatch(r"val_[a-z0-9_]+", metric.name) or metric.name in taken:
        raise UsageError(
            f"a metric cannot be called '{metric.name}'",
            "choose a name such as val_macro_recall: val_, then lower-case letters, digits and underscores; "
            f"{', '.join(taken)} are taken",
        )
    if metric.compute is None:
        raise UsageError(
            f"the metric '{metric.name}' has no compute function",
            "pass compute=f, where f(labels, probabilities) returns a float",
        )
    METRICS[metric.name] = metric


def registered() -> tuple[Metric, ...]:
    """The metrics that are not built in, in the order in which they were registered."""
    return tuple(metric for metric in METRICS.values() if metric.compute is not None)


def rank(name: str, value: float) -> float:
    """A sort key: ascending, the best value comes first.

    Where a metric's plugin is not loaded in this process its direction is unknown, and all values rank equal.
    """
    metric = METRICS.get(name)
    if metric is None:
        return 0.0
    return -value if metric.higher_is_better else value


def added_metrics(rows: Sequence[Mapping[str, float]]) -> list[Metric]:
    """The registered metrics that every one of these rows has, in the order of the columns.

    rows: rows of metrics.csv or of the best epochs. Where a run's plugin is not loaded in this process, its
        metric is known by its column alone: it is shown as a number, and its direction means nothing.
    """
    names = [name for name in (rows[0] if rows else ()) if name.startswith("val_")]
    return [
        METRICS.get(name) or Metric(name, higher_is_better=True)
        for name in names
        if name not in (VAL_ACCURACY.name, VAL_LOSS.name) and all(name in row for row in rows)
    ]


def is_percent(column: str) -> bool:
    """Whether a column of scores, such as `test_loss` or that of a registered metric, holds shares."""
    return _format_of(column) == "percent"


def column_text(column: str, value: float) -> str:
    """A value from a column of scores, formatted for people."""
    return _text(value, _format_of(column))


def _format_of(column: str) -> Format:
    if (metric := METRICS.get(column)) is not None:
        return metric.format
    return BUILT_IN.get(column.partition("_")[2], "number")


def _text(value: float, format: Format) -> str:
    return f"{value:.2%}" if format == "percent" else f"{value:.4f}"
