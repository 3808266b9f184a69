"""How sure a score is: confidence intervals for one test part and over folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, variance


@dataclass(frozen=True)
class Interval:
    """From low to high, with `level` (0.95: 95%) confidence, by the method named."""

    low: float
    high: float
    level: float
    method: str


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Score interval for a proportion of n independent trials (Wilson 1927).

    Unlike the normal approximation it stays inside [0, 1] and is not empty at 0 or n successes.

    Raises:
        ValueError: no trials, more successes than trials, or a level outside (0, 1).
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} trials have no interval")
    z = NormalDist().inv_cdf(_tail(level))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Exact at the ends, where rounding would leave 1e-17 on the wrong side.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(low, high, level, "wilson")


def fold_interval(values: Sequence[float], n_train: float, n_val: float, level: float = 0.95) -> Interval:
    """Interval for the mean of J scores from folds or replicates, of n_train and n_val pictures each.

    Training parts overlap, so the scores are not independent and s²/J is far too small. Student's t with
    J - 1 degrees of freedom and the corrected resampled variance s² (1/J + n_val / n_train) is used
    (Nadeau & Bengio 2003). It is not clipped to [0, 1], since the scores may be losses.

    Raises:
        ValueError: fewer than 2 scores, an empty part, or a level outside (0, 1).
    """
    if n_train <= 0 or n_val <= 0:
        raise ValueError(f"{n_train} training and {n_val} validation pictures: both must be above 0")
    return _student(values, n_val / n_train, level, "corrected resampled t")


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval for the mean of J independent values, such as the scores of J seeds on one part.

    Raises:
        ValueError: fewer than 2 values, or a level outside (0, 1).
    """
    return _student(values, 0.0, level, "t")


def _student(values: Sequence[float], overlap: float, level: float, method: str) -> Interval:
    """By Student's t with the variance s² (1/J + overlap)."""
    if len(values) < 2:
        raise ValueError(f"{len(values)} score has no spread: an interval needs 2 or more")
    from scipy.stats import t

    quantile = float(t.ppf(_tail(level), len(values) - 1))
    half = quantile * sqrt(variance(values) * (1 / len(values) + overlap))
    mean = fmean(values)
    return Interval(mean - half, mean + half, level, method)


def _tail(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"a level of {level:g} is outside (0, 1)")
    return (1 + level) / 2
