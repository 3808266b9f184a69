"""The unit of work: a fixed number of crops with a generator of its own, rendered as a few batches."""

from __future__ import annotations

import numpy as np
from PIL import Image

from svhncli.data.synth import camera, surfaces
from svhncli.data.synth.dice import Dice
from svhncli.data.synth.faces import Atlas
from svhncli.data.synth.scene import boxes, distances, layout, view
from svhncli.data.synth.world import World
from svhncli.rng import numpy_generator

CHUNK = 512
"""Crops a chunk. Part of what a seed means: other chunks give other pictures."""

BATCH = 16
"""Numbers drawn at once: few enough for their scenes to stay in the processor's cache."""

_CROP = 1.4
"""The side of a large crop in digit heights: scenes have about as many pixels a digit as crops do."""


def photographs(
    dice: Dice, digits: np.ndarray, kind: int, density: float, fonts: Atlas
) -> tuple[list[Image.Image], np.ndarray]:
    """B numbers of L digits each, int64 (B, L), as photographs with each digit's box.

    kind: how the digits stand, see `scene.layout`. density: pixels per digit height before the camera.
    Boxes are float (B, L, 4): left, top, right, bottom as shares of the photograph's width and height.
    """
    numbers = layout(dice, digits, kind, fonts)
    seen = view(dice, numbers, density)
    ground, ink = surfaces.tones(dice)
    plated = dice.happens("plate")
    half = numbers.width[:, None, None] / 2, numbers.height[:, None, None] / 2

    scene = surfaces.wall(dice, seen, np.where(plated > 0, dice.draw("wall.luma"), ground))
    surfaces.ledge(dice, scene, seen, half)
    surfaces.plate(dice, scene, seen, half, ground, plated)
    surfaces.digits(dice, scene, seen, distances(seen, numbers, fonts), ground, ink)
    surfaces.bar(dice, scene, seen)
    surfaces.light(dice, scene, seen)

    camera.shake(dice, scene, density)
    taken = camera.photograph(dice, camera.develop(dice, scene), density)
    return taken, boxes(seen, numbers, fonts) / (scene.shape[3:1:-1] * 2)


def crops(dice: Dice, digits: np.ndarray, kind: int, size: int, fonts: Atlas) -> np.ndarray:
    """One view of the numbers: a crop of each digit, uint8 (B, L, 3, size, size)."""
    taken, places = photographs(dice, digits, kind, size / _CROP, fonts)
    sides = np.array([picture.size for picture in taken], float)[:, None]
    squares = camera.frame(dice, places * np.tile(sides, 2)) / np.tile(sides, 2)
    return np.stack([camera.crop(*each, size) for each in zip(taken, squares, strict=True)])


def numbers_of(generator: np.random.Generator, world: World) -> tuple[list[np.ndarray], np.ndarray]:
    """House numbers, digits int64 (L,), until a chunk is full; and their layouts."""
    dice = Dice(generator, CHUNK, world)  # more than enough: every number has a digit
    lengths = np.array(list(world.weights("number.length")))[dice.choose("number.length")]
    kinds = dice.choose("number.layout")
    later = [dice.choose("number.later") for _ in range(lengths.max() - 1)]
    digits = np.stack([dice.choose("number.first"), *later], axis=1)
    needed = 1 + np.searchsorted(np.cumsum(lengths), CHUNK)
    numbers = [row[:length] for row, length in zip(digits, lengths, strict=True)]
    return numbers[:needed], kinds[:needed]


def render_chunk(
    seed: int, part: str, index: int, size: int, world: World, fonts: Atlas
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chunk `index` of a part: images uint8 (CHUNK, 3, size, size), labels and groups int64 (CHUNK,).

    Groups count the chunk's numbers from 0. A scene is drawn whole, even where the chunk ends in it.
    """
    generator = numpy_generator(seed, "synth", part, index)
    numbers, kinds = numbers_of(generator, world)
    lengths = np.array([len(number) for number in numbers])
    kinds[lengths == 1] = 0
    starts = np.cumsum(lengths) - lengths
    images = np.empty((lengths.sum(), 3, size, size), np.uint8)
    # The scenes of a batch have one shape, so its numbers have one length and layout.
    for length, kind in np.unique(np.stack([lengths, kinds], 1), axis=0).tolist():
        alike = np.flatnonzero((lengths == length) & (kinds == kind))
        for members in np.split(alike, range(BATCH, len(alike), BATCH)):
            digits = np.stack([numbers[member] for member in members])
            places = starts[members][:, None] + np.arange(length)
            images[places] = crops(Dice(generator, len(members), world), digits, kind, size, fonts)
    groups = np.repeat(np.arange(len(numbers)), lengths)
    return images[:CHUNK], np.concatenate(numbers)[:CHUNK], groups[:CHUNK]
