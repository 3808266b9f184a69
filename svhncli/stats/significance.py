"""Tests of whether two models differ, on the same images, the same folds or the same seeds.

Scores are paired: the tests are about the difference of the second model (B) minus the first (A), image by
image or run by run. All p-values are two-sided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist, fmean

import numpy as np

from svhncli.core.rng import numpy_generator
from svhncli.stats.intervals import Interval, fold_error, mean_error, student, tail

CELLS = 1 << 22
"""Counts (int64) that one batch of bootstrap resamples may hold: 32 MiB."""


@dataclass(frozen=True)
class McNemar:
    """Images that only A and that only B classifies correctly, and the p-value for equal models."""

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class Difference:
    """A mean difference (B minus A), its interval, and the p-value for a true difference of 0."""

    mean: float
    interval: Interval
    p: float


def mcnemar(a_right: np.ndarray, b_right: np.ndarray) -> McNemar:
    """Exact test of two models on the same independent images (McNemar 1947).

    Only discordant images, which just one of the two models classifies correctly, distinguish them. If the
    models are equally good, each of these is a coin toss, so their number is binomial with p = 1/2. Being
    exact, the test rejects less often than its level if few images are discordant; p is 1 if none is.

    a_right, b_right: bool (N,)

    Raises:
        ValueError: the lengths differ.
    """
    if a_right.shape != b_right.shape or a_right.ndim != 1:
        raise ValueError(f"{a_right.shape} and {b_right.shape} images cannot be paired")
    from scipy.stats import binom

    only_a = int(np.count_nonzero(a_right & ~b_right))
    only_b = int(np.count_nonzero(b_right & ~a_right))
    one_side = float(binom.cdf(min(only_a, only_b), only_a + only_b, 0.5))
    return McNemar(only_a, only_b, min(1.0, 2 * one_side))


def paired_bootstrap(
    differences: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    seed: int,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Difference:
    """Percentile bootstrap of the mean difference between two models on the same images.

    Whole groups are drawn with replacement, as many as there are, and the mean is over the images drawn
    (Efron & Tibshirani 1993, 8.6 and 13.3; Field & Welsh 2007 for groups). See `from_resamples` for the
    p-value. With fewer than about 30 groups the interval is too short and p too small.

    differences: float (N,), B's score of an image minus A's
    groups: int (N,), dependent images share a group; None: every image is a group of its own

    Raises:
        ValueError: fewer than 2 groups, no resample, lengths that differ, or a level outside (0, 1).
    """
    differences = np.asarray(differences, np.float64)
    groups = np.arange(len(differences)) if groups is None else np.asarray(groups)
    if differences.shape != groups.shape or differences.ndim != 1:
        raise ValueError(f"{differences.shape} differences and {groups.shape} groups do not belong together")
    if resamples < 1:
        raise ValueError(f"resamples={resamples} must be 1 or more")
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError(f"{len(sizes)} group of images cannot be resampled: it takes 2 or more")
    sums = np.bincount(group, differences)
    # Groups with the same sum and size are interchangeable, so it suffices to draw how many of each kind.
    # np.unique sorts pairs as complex numbers 10 times as fast as rows.
    kinds, members = np.unique(sums + 1j * sizes, return_counts=True)
    drawn = _resampled(members, resamples, numpy_generator(seed, "paired bootstrap"))
    means = [(counts @ kinds.real) / (counts @ kinds.imag) for counts in drawn]
    return from_resamples(float(differences.mean()), np.concatenate(means), level)


def from_resamples(mean: float, means: np.ndarray, level: float = 0.95) -> Difference:
    """The percentile interval of bootstrap means float (R,), and the matching p-value.

    p is twice the smaller share of resampled means on either side of 0, with 0 itself counted on both: the
    smallest 1 - level whose interval excludes 0. The sample counts as one more resample, so p is never 0
    (Davison & Hinkley 1997, 4.2).

    Raises:
        ValueError: a level outside (0, 1).
    """
    low, high = np.quantile(means, [1 - tail(level), tail(level)])
    fewer = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    p = min(1.0, 2 * (1 + int(fewer)) / (len(means) + 1))
    return Difference(mean, Interval(float(low), float(high), level, "percentile bootstrap"), p)


def corrected_t(
    differences: Sequence[float], n_train: float, n_val: float, level: float = 0.95
) -> Difference:
    """Corrected resampled t-test of J paired differences of folds or replicates (Nadeau & Bengio 2003).

    Its interval is that of `fold_interval`. p is 0 if all differences are equal and not 0: with so few
    images that folds tie, count images instead (`mcnemar`).

    Raises:
        ValueError: fewer than 2 differences, an empty part, or a level outside (0, 1).
    """
    return _t_test(differences, fold_error(differences, n_train, n_val), level, "corrected resampled t")


def paired_t(differences: Sequence[float], level: float = 0.95) -> Difference:
    """Student's paired t-test of J independent differences: seeds of runs on the same split.

    Its conclusion holds for this split only: training and validation images did not vary.

    Raises:
        ValueError: fewer than 2 differences or a level outside (0, 1).
    """
    return _t_test(differences, mean_error(differences), level, "paired t")


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several tests, in their order, which control the family-wise error (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below its predecessor.

    Raises:
        ValueError: a p-value outside [0, 1].
    """
    given = np.asarray(p_values, np.float64)
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"p-values {list(p_values)} must lie within 0 and 1")
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted.tolist()


def images_needed(
    difference: float, discordant: float, level: float = 0.95, power: float = 0.8
) -> int | None:
    """How many independent images McNemar's test needs to detect such a difference with that power.

    With d the true difference of the accuracies and v the share of discordant images, the number is
    (z √v + z' √(v - d²))² / d², where z is the normal quantile of the level (two-sided) and z' that of the
    power (Miettinen 1968; Connor 1987, eq. 3). The exact test needs a few more. None if the difference is 0.

    Raises:
        ValueError: a difference larger than the share of discordant images, or a level or power outside
            (0, 1).
    """
    if not abs(difference) <= discordant <= 1:
        raise ValueError(
            f"a difference of {difference:g} needs at least that share of discordant images, in [0, 1], "
            f"not {discordant:g}"
        )
    if not 0 < power < 1:
        raise ValueError(f"power={power:g} is outside (0, 1)")
    if difference == 0:
        return None
    z, z_power = NormalDist().inv_cdf(tail(level)), NormalDist().inv_cdf(power)
    root = z * sqrt(discordant) + z_power * sqrt(discordant - difference**2)
    return ceil((root / difference) ** 2)


def _t_test(differences: Sequence[float], error: float, level: float, method: str) -> Difference:
    from scipy.stats import t

    mean, df = fmean(differences), len(differences) - 1
    p = 2 * float(t.sf(abs(mean) / error, df)) if error > 0 else float(mean == 0)
    return Difference(mean, student(mean, error, df, level, method), p)


def _resampled(members: np.ndarray, resamples: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches int64 (b, K) of how often each of K kinds is drawn, in as many draws as there are members."""
    batch = max(1, CELLS // len(members))
    total = int(members.sum())
    for start in range(0, resamples, batch):
        rows = min(batch, resamples - start)
        if len(members) * 30 < total:  # one binomial draw per kind costs as much as 30 draws of a group
            yield draw.multinomial(total, members / total, size=rows)
        else:
            kind = np.repeat(np.arange(len(members)), members)
            samples = (kind[draw.integers(total, size=total)] for _ in range(rows))
            yield np.stack([np.bincount(sample, minlength=len(members)) for sample in samples])
