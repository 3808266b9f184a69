"""The power law through a learning curve: exact if the data follow it, with an interval if they scatter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svhncli.stats.power_law import PowerLaw, fit, predicted

SIZES = [400, 800, 1600, 4000, 8000]


@settings(max_examples=40, deadline=None)
@given(
    floor=st.sampled_from([0.0, 0.01, 0.1]),
    share=st.floats(0.05, 0.5),
    exponent=st.floats(0.15, 1.2),
)
def test_a_power_law_is_recovered_and_extrapolated(floor: float, share: float, exponent: float) -> None:
    true = PowerLaw(floor, share * 400**exponent, exponent)
    fitted = fit(SIZES, true.at(SIZES).tolist())
    assert fitted.at(16_000) == pytest.approx(float(true.at(16_000)), rel=0.02)
    assert fitted.at(SIZES) == pytest.approx(true.at(SIZES), rel=1e-3)


def test_a_flat_curve_stays_flat() -> None:
    assert fit(SIZES, [0.2] * 5).at(80_000) == pytest.approx(0.2, rel=1e-3)


def test_an_error_of_0_is_taken_for_half_an_image() -> None:
    assert 0 <= float(fit(SIZES, [0.1, 0.05, 0.02, 0.01, 0.0]).at(16_000)) < 0.01


def test_two_sizes_are_too_few() -> None:
    with pytest.raises(ValueError, match="2 sizes"):
        fit([100, 100, 200], [0.3, 0.3, 0.2])


@pytest.mark.engine
@pytest.mark.full
def test_the_interval_covers_the_truth_about_as_often_as_documented() -> None:
    """10 simulated curves of 3 draws at each of 5 sizes; 87 of 100 are expected to cover it."""
    true, n = PowerLaw(0.03, 3.0, 0.5), np.repeat(SIZES, 3)
    covered = 0
    for seed in range(10):
        noise = np.exp(np.random.default_rng(seed).normal(0, 0.04, len(n)))
        low, high = predicted(n.tolist(), (true.at(n) * noise).tolist(), [16_000], seed)
        covered += bool(low[0] <= true.at(16_000) <= high[0])
    assert covered >= 6


def test_without_scatter_the_interval_is_a_point() -> None:
    true = PowerLaw(0.03, 3.0, 0.5)
    low, high = predicted(SIZES, true.at(SIZES).tolist(), [16_000], 0)
    assert low == pytest.approx(high, rel=1e-3)
    assert low == pytest.approx(true.at(16_000), rel=1e-3)
