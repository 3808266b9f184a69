"""The result of a learning curve: the error for each size of the training part, and how it would go on."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.stats.power_law import PowerLaw


@dataclass(frozen=True)
class CurveSize:
    """What was measured with one size. n: mean number of training images; counts, errors: of each draw.

    low, high: of the mean error; None for one draw.
    """

    fraction: float
    n: int
    counts: list[int]
    errors: list[float]
    error: float
    low: float | None
    high: float | None
    train_error: float


@dataclass(frozen=True)
class ExpectedError:
    """What the power law expects with n training images."""

    n: int
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """expected_before: what the law of the smaller sizes expects of the largest. says: conclusions."""

    sizes: list[CurveSize]
    law: PowerLaw
    ahead: list[ExpectedError]
    expected_before: float | None
    says: list[str]
    n_val: int
    run_dir: str
    plot: str
