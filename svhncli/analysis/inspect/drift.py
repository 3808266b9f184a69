"""Whether two parts of a data set are alike: tests, and sizes of effect, which tests of many pictures
hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ALPHA = 0.01
"""A corrected p from which on a difference may be chance."""
EFFECTS = {"cramers_v": (0.1, 0.3), "ks_distance": (0.1, 0.25)}
"""From where on an effect is worth a look, and is bad. Of V: small and medium effects (Cohen 1988)."""
LEAST = 20
"""Values of each side that a Kolmogorov–Smirnov test by its asymptotic distribution needs."""
EXPECTED = 5
"""The least expected count for which a chi-square test is right (Cochran 1954); rarer classes are counted
together."""


@dataclass(frozen=True)
class Difference:
    """One test of two parts.

    statistic, df: chi-square and its degrees of freedom, or the Kolmogorov–Smirnov distance and None.
    effect: Cramér's V or the distance, both in [0, 1]; measure says which. p: not corrected.
    """

    test: str
    statistic: float
    df: int | None
    measure: str
    effect: float
    p: float


def of_counts(one: np.ndarray, other: np.ndarray) -> Difference | None:
    """Pearson's chi-square test of homogeneity of counts (K,) of the same classes in two parts.

    None where fewer than two classes can be compared.
    """
    from scipy.stats import chi2

    table = np.array([one, other], np.float64)
    table = table[:, table.any(0)]
    expected = np.outer(table.sum(1), table.sum(0)) / max(table.sum(), 1)
    rare = expected.min(0, initial=np.inf) < EXPECTED
    if rare.any():
        table = np.concatenate([table[:, ~rare], table[:, rare].sum(1, keepdims=True)], 1)
        expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    if table.shape[1] < 2 or not expected.all():
        return None
    statistic = float(((table - expected) ** 2 / expected).sum())
    df = table.shape[1] - 1
    effect = float(np.sqrt(statistic / table.sum()))  # of two rows, so the divisor of V is 1
    return Difference("chi-square", statistic, df, "cramers_v", effect, float(chi2.sf(statistic, df)))


def of_values(one: np.ndarray, other: np.ndarray) -> Difference | None:
    """The two-sample Kolmogorov–Smirnov test, p by its asymptotic distribution.

    None where a side has fewer than `LEAST` values, of which that distribution says nothing.
    """
    from scipy.stats import ks_2samp

    if min(len(one), len(other)) < LEAST:
        return None
    found = ks_2samp(one, other, method="asymp")
    distance = float(found.statistic)
    return Difference("Kolmogorov-Smirnov", distance, None, "ks_distance", distance, float(found.pvalue))


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (M,) corrected for M tests (Holm 1979): the chance of any false alarm is kept."""
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    found = np.empty(len(p))
    found[order] = steps
    return found


def level(found: Difference, corrected: float) -> str:
    """good, look or bad: a difference counts where it is neither chance nor small."""
    look, bad = EFFECTS[found.measure]
    if corrected >= ALPHA or found.effect < look:
        return "good"
    return "bad" if found.effect >= bad else "look"
