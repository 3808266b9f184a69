"""The unit of work: a fixed number of crops with a generator of its own, rendered as a few batches."""

from __future__ import annotations

import numpy as np

from svhncli.data.synth import camera, surfaces
from svhncli.data.synth.dice import Dice
from svhncli.data.synth.faces import atlas
from svhncli.data.synth.scene import boxes, distances, layout, view
from svhncli.rng import numpy_generator

CHUNK = 256
"""Crops a chunk. Part of what a seed means: other chunks give other pictures."""

BATCH = 16
"""Numbers drawn at once: few enough for their scenes to stay in the processor's cache."""

LENGTHS = (0.154, 0.542, 0.260, 0.043, 0.001)
"""How common house numbers of 1-5 digits are, as in SVHN's training part."""

_CROP = 1.4
"""The side of a large crop in digit heights: scenes have about as many pixels a digit as crops do."""


def draw(dice: Dice, digits: np.ndarray, size: int) -> np.ndarray:
    """The pipeline: crops uint8 (B, L, 3, size, size) of B numbers of L digits each, int64 (B, L)."""
    fonts = atlas()
    numbers = layout(dice, digits, fonts)
    seen = view(dice, numbers, size / _CROP)
    ground, ink = surfaces.tones(dice)
    plated = dice.happens(0.55)

    scene = surfaces.wall(dice, seen, np.where(plated > 0, dice.between(0.1, 0.85), ground))
    surfaces.ledge(dice, scene, seen, numbers.width)
    surfaces.plate(dice, scene, seen, numbers.width, ground, plated)
    surfaces.digits(dice, scene, seen, distances(seen, numbers, fonts), ink)
    surfaces.light(dice, scene, seen)

    camera.shake(dice, scene, seen.density)
    pictures = camera.photograph(dice, camera.develop(dice, scene), seen.density)
    squares = camera.frame(dice, boxes(seen, numbers, fonts)) / (scene.shape[3:1:-1] * 2)
    return np.stack([camera.crop(*each, size) for each in zip(pictures, squares, strict=True)])


def numbers_of(generator: np.random.Generator) -> list[np.ndarray]:
    """House numbers, digits int64 (L,) uniform over the classes, until a chunk is full."""
    lengths = 1 + Dice(generator, CHUNK).choose(LENGTHS)  # more than enough: every number has a digit
    needed = 1 + np.searchsorted(np.cumsum(lengths), CHUNK)
    return [generator.integers(0, 10, length) for length in lengths[:needed]]


def render_chunk(seed: int, part: str, index: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chunk `index` of a part: images uint8 (CHUNK, 3, size, size), labels and groups int64 (CHUNK,).

    Groups count the chunk's numbers from 0. A scene is drawn whole, even where the chunk ends in it.
    """
    generator = numpy_generator(seed, "synth", part, index)
    numbers = numbers_of(generator)
    lengths = np.array([len(number) for number in numbers])
    starts = np.cumsum(lengths) - lengths
    images = np.empty((lengths.sum(), 3, size, size), np.uint8)
    for length in np.unique(lengths):  # the scenes of a batch have one shape, so its numbers have one length
        alike = np.flatnonzero(lengths == length)
        for members in np.split(alike, range(BATCH, len(alike), BATCH)):
            digits = np.stack([numbers[member] for member in members])
            places = starts[members][:, None] + np.arange(length)
            images[places] = draw(Dice(generator, len(members)), digits, size)
    groups = np.repeat(np.arange(len(numbers)), lengths)
    return images[:CHUNK], np.concatenate(numbers)[:CHUNK], groups[:CHUNK]
