"""Whether two parts of a data set are alike: tests, and effect sizes, since with many images every test is
significant."""

from __future__ import annotations

import numpy as np

from svhncli.report.inspection import TwoSampleTest

ALPHA = 0.01
"""A corrected p from which on a difference may be chance."""
EFFECTS = {"cramers_v": (0.1, 0.3), "ks_distance": (0.1, 0.25)}
"""The effects from which on a test is `look` and `bad`. Of V: small and medium effects (Cohen 1988)."""
LEAST = 20
"""Values of each side that a Kolmogorov–Smirnov test by its asymptotic distribution needs."""
EXPECTED = 5
"""The least expected count for which a chi-square test is right (Cochran 1954); rarer classes are counted
together."""


def of_counts(a: np.ndarray, b: np.ndarray) -> TwoSampleTest | None:
    """Pearson's chi-square test of homogeneity of counts (K,) of the same classes in two parts.

    None where fewer than two classes can be compared.
    """
    from scipy.stats import chi2

    table = np.array([a, b], np.float64)
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
    return TwoSampleTest("chi-square", statistic, df, "cramers_v", effect, float(chi2.sf(statistic, df)))


def of_values(a: np.ndarray, b: np.ndarray) -> TwoSampleTest | None:
    """The two-sample Kolmogorov–Smirnov test, p by its asymptotic distribution.

    None where a side has fewer than `LEAST` values, of which that distribution says nothing.
    """
    from scipy.stats import ks_2samp

    if min(len(a), len(b)) < LEAST:
        return None
    result = ks_2samp(a, b, method="asymp")
    distance = float(result.statistic)
    return TwoSampleTest("Kolmogorov-Smirnov", distance, None, "ks_distance", distance, float(result.pvalue))


def level(test: TwoSampleTest, corrected: float) -> str:
    """good, look or bad: a difference counts if it is neither due to chance nor small."""
    look, bad = EFFECTS[test.measure]
    if corrected >= ALPHA or test.effect < look:
        return "good"
    return "bad" if test.effect >= bad else "look"
