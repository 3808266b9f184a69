"""Random draws for the renderer's factors: one value per image, shaped to broadcast over its pixels."""

from __future__ import annotations

import numpy as np

from svhncli.core.rng import Several
from svhncli.data.render.world import World


class Dice:
    """Draws for a batch of B images from one generator, by the world's distributions; values are (B, 1, 1).

    A factor that is switched off still draws its numbers, but never happens, so switching it off does not
    change the others.
    """

    def __init__(self, generator: np.random.Generator | Several, count: int, world: World) -> None:
        self.generator = generator
        self.count = count
        self.world = world

    def happens(self, factor: str) -> np.ndarray:
        """Float32, 1 in images with the factor, otherwise 0: a factor that is absent has strength 0."""
        return (self._uniform() < self.world.chance(factor)).astype(np.float32)

    def draw(self, name: str, *shape: int) -> np.ndarray:
        """Float32 from the distribution `factor.name`: (B, 1, 1), or (B, *shape) for several values."""
        return self.world.values(name).draw(self.generator, (self.count, *(shape or (1, 1))))

    def choose(self, name: str) -> np.ndarray:
        """The index of a choice's option, integers (B,)."""
        weights = self.world.weights(name)
        ends = np.cumsum(list(weights.values()))
        return np.searchsorted(ends[:-1], self.generator.random((self.count,)) * ends[-1], side="right")

    def share(self) -> np.ndarray:
        """Uniform float32 in [0, 1)."""
        return self._uniform().astype(np.float32)

    def angle(self) -> np.ndarray:
        """A uniform direction, float32 radians."""
        return (self._uniform() * 2 * np.pi).astype(np.float32)

    def _uniform(self) -> np.ndarray:
        return self.generator.random((self.count, 1, 1))
