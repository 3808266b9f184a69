"""The unit of work: a fixed number of crops with their own generator, rendered as a few batches."""

from __future__ import annotations

import numpy as np

from svhncli.core.rng import numpy_generator
from svhncli.data.render import camera, surfaces
from svhncli.data.render.dice import Dice
from svhncli.data.render.faces import Atlas
from svhncli.data.render.scene import NumberLayout, View, boxes, corners, distances, layout, view
from svhncli.data.render.world import World

CHUNK = 512
"""Crops per chunk. Part of what a seed means: other chunk sizes give other images."""

BATCH = 16
"""Numbers drawn at once: few enough for their scenes to stay in the CPU cache."""

_CROP = 1.4
"""The side of a large crop in digit heights: scenes have about as many pixels per digit as crops."""


def painted(
    dice: Dice,
    seen: View,
    numbers: NumberLayout,
    fonts: Atlas,
    window: tuple[slice, slice] = (slice(0, None), slice(0, None)),
    reach: np.ndarray | None = None,
) -> np.ndarray:
    """The scenes of B numbers before a camera, float32 (B, 3, H, W).

    window: the rows and columns that contain the digits and their shadows.
    reach: (B, 1, 1), digit heights to the edges of whole photographs, which also show other things; None if
        the scenes are cut into crops.
    """
    ground, ink = surfaces.tones(dice)
    plated = dice.happens("plate")
    half = numbers.width[:, None, None] / 2, numbers.height[:, None, None] / 2

    scene = surfaces.wall(dice, seen, np.where(plated > 0, dice.draw("wall.luma"), ground))
    surfaces.ledge(dice, scene, seen, half)
    if reach is not None:
        surfaces.things(dice, scene, seen, half)
    surfaces.plate(dice, scene, seen, half, ground, plated)
    near = seen.window(*window)
    surfaces.digits(
        dice, scene[:, :, window[0], window[1]], near, distances(near, numbers, fonts), ground, ink
    )
    surfaces.bar(dice, scene, seen)
    surfaces.light(dice, scene, seen, reach)
    return scene


def crops(dice: Dice, digits: np.ndarray, kind: int, size: int, fonts: Atlas) -> np.ndarray:
    """A crop of each digit of B numbers, int64 (B, L): uint8 (B, L, 3, size, size).

    kind: how the digits are arranged, see `scene.layout`.
    """
    numbers = layout(dice, digits, kind, fonts)
    seen = view(dice, numbers, size / _CROP)
    scene = painted(dice, seen, numbers, fonts)
    density = seen.density.ravel()
    camera.shake(dice, list(scene), density)
    images = camera.develop(dice, scene)
    scale = camera.coarseness(dice, density)
    height, width = scene.shape[2:]
    sides = [(round(width * factor), round(height * factor)) for factor in scale.tolist()]
    taken = camera.photograph(dice, list(images), sides, density * scale)
    shares = boxes(seen.frames, numbers, corners(numbers, fonts)) / (width, height, width, height)
    limits = np.tile(np.array(sides, float), 2)[:, None]
    squares = camera.frame(dice, shares * limits) / limits
    return np.stack(
        [
            camera.crop(photograph, squares_of, size)
            for photograph, squares_of in zip(taken, squares, strict=True)
        ]
    )


def written(dice: Dice, longest: int) -> np.ndarray:
    """Digits int64 (B, longest), of which each number uses as many as its length."""
    later = [dice.choose("number.later") for _ in range(longest - 1)]
    return np.stack([dice.choose("number.first"), *later], axis=1)


def numbers_of(
    generator: np.random.Generator, world: World, count: int = CHUNK
) -> tuple[list[np.ndarray], np.ndarray]:
    """House numbers, digits int64 (L,), with at least `count` digits in all; and their layouts."""
    dice = Dice(generator, count, world)  # more than enough: every number has a digit
    lengths = np.array(list(world.weights("number.length")))[dice.choose("number.length")]
    kinds = dice.choose("number.layout")
    digits = written(dice, lengths.max())
    needed = 1 + np.searchsorted(np.cumsum(lengths), count)
    numbers = [row[:length] for row, length in zip(digits, lengths, strict=True)]
    return numbers[:needed], kinds[:needed]


def render_chunk(
    seed: int, part: str, index: int, size: int, world: World, fonts: Atlas, count: int = CHUNK
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chunk `index` of a part: images uint8 (count, 3, size, size), labels and groups int64 (count,).

    Groups count the chunk's numbers from 0. A scene is drawn completely, even if the chunk ends inside it.
    Another count gives another chunk: all chunks of a data set have `CHUNK`.
    """
    generator = numpy_generator(seed, "synth", part, index)
    numbers, kinds = numbers_of(generator, world, count)
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
    return images[:count], np.concatenate(numbers)[:count], groups[:count]
