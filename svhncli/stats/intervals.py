"""Confidence intervals of a score: for one test part, over folds, and over seeds.

`significance` tests whether two models differ; `estimates` predicts the error from resampled runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, variance


@dataclass(frozen=True)
class Interval:
    """A confidence interval [low, high]; level: its confidence in (0, 1); method: how it was computed."""

    low: float
    high: float
    level: float
    method: str


def wilson(successes: float, n: float, level: float = 0.95, method: str = "wilson") -> Interval:
    """Score interval for a proportion of n independent trials (Wilson 1927).

    Unlike the normal approximation it stays inside [0, 1] and has a positive width at 0 and n successes.
    Counts need not be integers, since an effective number of trials is not.

    Raises:
        ValueError: no trials, more successes than trials, or a level outside (0, 1).
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} trials have no interval")
    z = NormalDist().inv_cdf(tail(level))
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Exact at both ends, where rounding could leave an error of 1e-17.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return Interval(low, high, level, method)


def fold_interval(values: Sequence[float], n_train: float, n_val: float, level: float = 0.95) -> Interval:
    """Interval for the mean of J scores from folds or replicates with n_train and n_val images each.

    Training parts overlap, so the scores are not independent and the variance s²/J is far too small. The
    interval uses Student's t with J - 1 degrees of freedom and the corrected resampled variance
    s² (1/J + n_val / n_train) (Nadeau & Bengio 2003). It is not clipped to [0, 1]: scores may be losses.

    Raises:
        ValueError: fewer than 2 scores, an empty part, or a level outside (0, 1).
    """
    error = fold_error(values, n_train, n_val)
    return student(fmean(values), error, len(values) - 1, level, "corrected resampled t")


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval for the mean of J independent scores, for example of J seeds on the same split.

    Raises:
        ValueError: fewer than 2 scores or a level outside (0, 1).
    """
    return student(fmean(values), mean_error(values), len(values) - 1, level, "t")


def fold_error(values: Sequence[float], n_train: float, n_val: float) -> float:
    """Standard error of the mean of J scores of folds: the root of the corrected resampled variance.

    Raises:
        ValueError: fewer than 2 scores or an empty part.
    """
    if n_train <= 0 or n_val <= 0:
        raise ValueError(f"{n_train} training and {n_val} validation images: both must be above 0")
    return mean_error(values, n_val / n_train)


def mean_error(values: Sequence[float], overlap: float = 0.0) -> float:
    """Standard error of the mean of J scores, √(s² (1/J + overlap)); overlap 0: independent scores.

    Raises:
        ValueError: fewer than 2 scores.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs 2 or more scores, not {len(values)}")
    return sqrt(variance(values) * (1 / len(values) + overlap))


def student(mean: float, error: float, df: int, level: float, method: str) -> Interval:
    """Student's interval of a mean with the given standard error and df degrees of freedom.

    Raises:
        ValueError: a level outside (0, 1).
    """
    from scipy.stats import t

    half = float(t.ppf(tail(level), df)) * error
    return Interval(mean - half, mean + half, level, method)


def tail(level: float) -> float:
    """The quantile at the upper end of the central `level` of a distribution: 0.975 for 0.95.

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level:g} is outside (0, 1)")
    return (1 + level) / 2
