"""The draws that the renderer's factors share: one value a picture, shaped to broadcast over its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Dice:
    """Draws for a batch of B pictures from one generator; values are (B, 1, 1)."""

    def __init__(self, generator: np.random.Generator, count: int) -> None:
        self.generator = generator
        self.count = count

    def between(self, low: float, high: float) -> np.ndarray:
        """Uniform float32."""
        return self.generator.uniform(low, high, (self.count, 1, 1)).astype(np.float32)

    def normal(self, deviation: float) -> np.ndarray:
        """Normal float32 around 0, cut at three deviations so that no picture loses its digit."""
        drawn = np.clip(self.generator.standard_normal((self.count, 1, 1)), -3, 3)
        return (deviation * drawn).astype(np.float32)

    def spread(self, median: float, deviation: float) -> np.ndarray:
        """Log-normal float32: `deviation` is that of the logarithm."""
        return median * np.exp(self.normal(deviation))

    def happens(self, chance: float) -> np.ndarray:
        """Float32 0 or 1: a factor that is off is a factor of strength 0."""
        return (self.generator.random((self.count, 1, 1)) < chance).astype(np.float32)

    def sign(self) -> np.ndarray:
        """Float32 -1 or 1."""
        return 2 * self.happens(0.5) - 1

    def choose(self, weights: Sequence[float] | np.ndarray) -> np.ndarray:
        """Integers (B,) that fall by weight."""
        ends = np.cumsum(weights)
        drawn = self.generator.random(self.count) * ends[-1]
        return np.searchsorted(ends[:-1], drawn, side="right")
