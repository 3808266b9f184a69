"""What `svhn compare` finds, as it is written into result.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svhncli.core.plain import optional
from svhncli.stats.intervals import Interval


@dataclass(frozen=True)
class ComparedRun:
    """One side. name: A, B, ... trainings: how many folds and seeds, 0 for a person. pictures: images.

    label: the run's `name=`.
    """

    name: str
    run: str
    data: str
    trainings: int
    pictures: int
    accuracy: float
    label: str | None = optional()


@dataclass(frozen=True)
class RepeatedDifference:
    """B's accuracy minus A's over the folds or seeds that both trained: of each, their mean, and its test."""

    over: str
    n: int
    differences: list[float]
    difference: float
    sd: float
    interval: Interval
    p: float


@dataclass(frozen=True)
class Comparison:
    """B against A, on the images that both predicted. Shares of 1, B minus A.

    a, b: the names of the runs. pictures: how many images. left_out: images that A alone and B alone
    predicted. only_a, only_b: images that one alone classifies correctly; None where some were predicted
    several times. test, p: of the images. p_holm: Holm's, of the images' p of this comparison with the
    larger p of the others. p_both: Holm's, of the larger p of images and trainings. outcome: better, worse,
    unsure or none. needed: about how many more images would show the difference, or None.
    changes, warning: which settings differ, and what that means for the verdict.
    """

    a: str
    b: str
    pictures: int
    groups: int
    left_out: list[int]
    accuracy_a: float
    accuracy_b: float
    difference: float
    interval: Interval
    only_a: int | None
    only_b: int | None
    test: str
    p: float
    p_holm: float
    p_both: float
    trainings: RepeatedDifference | None
    outcome: str
    needed: int | None
    verdict: str
    notes: list[str]
    changes: list[str]
    warning: str | None


@dataclass(frozen=True)
class DifferingKey:
    """A key in which the runs differ.

    values: one for each run, None where a run has no such key. kind: config or environment.
    """

    key: str
    values: list[Any]
    kind: str


@dataclass(frozen=True)
class ComparisonResult:
    """All comparisons that were made together. unfinished: jobs of a sweep that were left out."""

    part: str
    level: float
    runs: list[ComparedRun]
    comparisons: list[Comparison]
    differs: list[DifferingKey]
    unfinished: list[str]
    picture: str | None = optional()
    out: str | None = optional()
