"""Whole photographs of house numbers: framed as SVHN's are, or drawn for numbers and boxes that are given.

Each draws from a generator of its own, so it depends on its seed, part, index and what is given for it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from svhncli.core.rng import Several, numpy_generator
from svhncli.data.render import camera
from svhncli.data.render.chunk import painted, written
from svhncli.data.render.dice import Dice
from svhncli.data.render.faces import Atlas
from svhncli.data.render.photo import LARGEST, Given, Photo
from svhncli.data.render.scene import ROW, STACK, Layout, boxes, layout, look, outline, pose
from svhncli.data.render.world import World

_FINEST, _COARSEST = 32, 14
"""Pixels per digit height of a scene; the camera enlarges or shrinks it. More is lost in the lens."""
_SCENE = 1 << 19
"""Pixels of the largest scene."""
_BATCH = 16
_TOGETHER = 1 << 17
"""Pixels of the scenes that are drawn at once, so that they stay in the processor's cache."""
_NEAR = 0.75
"""How far, in digit heights, a digit's shadow can reach."""
_REACH = 0.35
"""The most that perspective may shrink or stretch what is at a photograph's edge."""
_TURNED = 20
"""Degrees; rows that are steeper climb a stair."""


@dataclass(frozen=True)
class Plan:
    """B photographs before they are drawn.

    frames: (B, 3, 3), from the number's frame to pixels. sizes: int (B, 2), width and height.
    unit: (B,), pixels of a digit's height.
    """

    numbers: Layout
    frames: np.ndarray
    sizes: np.ndarray
    unit: np.ndarray

    def take(self, rows: np.ndarray) -> Plan:
        """Some of them."""
        return Plan(self.numbers.take(rows), self.frames[rows], self.sizes[rows], self.unit[rows])


def photographs(
    seed: int,
    part: str,
    start: int,
    count: int,
    world: World,
    fonts: Atlas,
    given: Sequence[Given] | None = None,
) -> list[Photo]:
    """Photographs `start` to `start + count` of a part.

    given: what they show, one each; None leaves that to the world.
    """
    each = Several([numpy_generator(seed, "synth", "whole", part, start + i) for i in range(count)])
    dice = Dice(each, count, world)
    lengths = np.array(list(world.weights("number.length")))[dice.choose("number.length")]
    kinds = dice.choose("number.layout")
    digits = written(dice, max(world.weights("number.length")))
    if given is not None:
        lengths, kinds = np.array([len(one.label) for one in given]), np.full(count, ROW)
        digits = np.zeros((count, lengths.max()), np.int64)
        for row, one in zip(digits, given, strict=True):
            row[: len(one.label)] = one.label
    kinds[lengths == 1] = ROW
    found: dict[int, Photo] = {}
    for length, kind in np.unique(np.stack([lengths, kinds], 1), axis=0).tolist():
        alike = np.flatnonzero((lengths == length) & (kinds == kind))
        own, labels = each.take(alike.tolist()), digits[alike, :length]
        some = Dice(own, len(alike), world)
        if given is None:
            plan = invented(some, labels, kind, fonts)
        else:
            plan = asked(some, labels, [given[i] for i in alike.tolist()], fonts)
        for place, image, places in _drawn(own, world, plan, fonts):
            found[int(alike[place])] = Photo(image, tuple(labels[place].tolist()), places)
    return [found[i] for i in range(count)]


def invented(dice: Dice, digits: np.ndarray, kind: int, fonts: Atlas) -> Plan:
    """Numbers int64 (B, L) and frames as the world has them."""
    numbers, frames = layout(dice, digits, kind, fonts), pose(dice)
    unit = dice.draw("photograph.pixels").ravel()
    room, above, aspect, aside = _framing(dice, 1 if kind == STACK else digits.shape[1])
    _flatten(frames, numbers.height * (1 + room) * aspect / 2)
    frames = _scaled(frames, unit, unit)
    left, top, right, bottom = _around(boxes(frames, numbers, outline(numbers, fonts)))
    high = np.maximum((bottom - top) * (1 + room), 8)
    wide = np.maximum(high * aspect, 1.1 * (right - left))
    x, y = (wide - (right - left)) * aside - left, (high - (bottom - top)) * above - top
    sizes = np.clip(np.rint(np.stack([wide, high], 1)), 1, LARGEST).astype(int)
    return Plan(numbers, _moved(frames, x, y), sizes, unit)


def asked(dice: Dice, digits: np.ndarray, given: Sequence[Given], fonts: Atlas) -> Plan:
    """Numbers int64 (B, L) in the boxes that are given.

    A row of digits that rises or falls is one that is turned. Where the picture's size is unknown, the room
    on the right and below follows from that on the left and above, as the world shares it out.
    """
    numbers = layout(dice, digits, ROW, fonts)
    _, above, _, aside = _framing(dice, digits.shape[1])
    wanted = np.array([one.boxes for one in given], float)
    left, top, right, bottom = _around(wanted)
    ends = np.stack(
        [right + np.maximum(left, 1) * (1 / aside - 1), bottom + np.maximum(top, 1) * (1 / above - 1)], 1
    )
    sizes = np.array([end if one.size is None else one.size for end, one in zip(ends, given, strict=True)])
    sizes = np.clip(np.rint(sizes), 1, LARGEST).astype(int)
    wanted = _inside(wanted, sizes)
    middle, extent = (wanted[..., :2] + wanted[..., 2:]) / 2, wanted[..., 2:] - wanted[..., :2]
    unit = np.median(extent[..., 1], axis=1)
    slope = np.rad2deg(np.arctan2(middle[:, -1, 1] - middle[:, 0, 1], middle[:, -1, 0] - middle[:, 0, 0]))
    frames = pose(dice, np.where((np.abs(slope) < _TURNED) & (digits.shape[1] > 1), slope, np.nan))
    _flatten(frames, sizes.max(axis=1) / unit / 2)
    _straighten(frames, 0.5 * (extent[..., 0] / extent[..., 1]).min(axis=1))
    left, top, right, bottom = _around(wanted)
    frames = _moved(_scaled(frames, unit, unit), (left + right) / 2, (top + bottom) / 2)
    return Plan(_fitted(numbers, frames, wanted, fonts), frames, sizes, unit)


def _framing(dice: Dice, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How B pictures lie around their numbers, (B,) each.

    The room above and below against the number's height, how much of it is above, width by height, and how
    much of the room beside is on the left.
    """
    room, above = dice.draw("photograph.room"), 0.46 + dice.draw("photograph.above")
    aspect = (1.72 + 0.26 * digits) * dice.draw("photograph.aspect")
    off = dice.happens("off_centre") * dice.draw("off_centre.aside")
    aside = 0.5 + dice.draw("photograph.aside") + off
    values = np.stack([room, np.clip(above, 0.1, 0.9), aspect, np.clip(aside, 0.1, 0.9)])
    room, above, aspect, aside = values[..., 0, 0].astype(float)
    return room, above, aspect, aside


def _around(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Left, top, right and bottom (B,) of all of a number's boxes (B, L, 4)."""
    left, top = places[..., :2].min(axis=1).T
    right, bottom = places[..., 2:].max(axis=1).T
    return left, top, right, bottom


def _inside(places: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes (B, L, 4) cut to pictures of these widths and heights (B, 2), at least a pixel wide and high."""
    sizes = sizes[:, None]
    start = np.clip(places[..., :2], 0, sizes - 1)
    return np.concatenate([start, np.clip(places[..., 2:], start + 1, sizes)], axis=-1)


def _moved(frames: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Frames to pixels (B, 3, 3), moved by so many pixels."""
    move = np.tile(np.eye(3), (len(frames), 1, 1))
    move[:, 0, 2], move[:, 1, 2] = x, y
    return move @ frames


def _scaled(frames: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Frames (B, 3, 3) to pixels that are so many times smaller, (B,) each."""
    return frames * np.stack([x, y, np.ones_like(x)], axis=1)[..., None]


def _flatten(frames: np.ndarray, reach: np.ndarray) -> None:
    """Weaken perspective (in place) where a picture that reaches so many digit heights had a horizon."""
    bend = np.abs(frames[:, 2, :2]).sum(axis=1) * reach
    frames[:, 2, :2] *= np.minimum(1, _REACH / np.maximum(bend, 1e-9))[:, None]


def _straighten(frames: np.ndarray, most: np.ndarray) -> None:
    """Weaken the lean (in place) of digits that are to fit into narrow boxes: `most` is across by up."""
    lean = np.abs(frames[:, 0, 1])
    frames[:, 0, 1] *= np.minimum(1, most / np.maximum(lean, 1e-9))


def _fitted(numbers: Layout, frames: np.ndarray, wanted: np.ndarray, fonts: Atlas) -> Layout:
    """The digits moved and stretched until their boxes in the picture are the wanted ones, (B, L, 4)."""
    ink = fonts.boxes[numbers.face[:, None], numbers.glyphs]
    ink_size = ink[..., 2:] - ink[..., :2]
    back, unit = np.linalg.inv(frames[:, :2, :2]), np.sqrt(np.linalg.det(frames[:, :2, :2]))[:, None, None]
    target, extent = (wanted[..., :2] + wanted[..., 2:]) / 2, (wanted[..., 2:] - wanted[..., :2])
    size = extent / unit / ink_size
    least, points = size * 0.3, outline(numbers, fonts)
    numbers = replace(numbers, centre=np.zeros_like(numbers.centre))
    for _ in range(5):
        stretch, tall = size.astype(np.float32).transpose(2, 0, 1)
        numbers = replace(numbers, stretch=stretch, tall=tall)
        found = boxes(frames, numbers, points)
        off = target - (found[..., :2] + found[..., 2:]) / 2
        centre = numbers.centre + (back[:, None] @ off[..., None])[..., 0].astype(np.float32)
        size = np.maximum(size + (extent - (found[..., 2:] - found[..., :2])) / unit / ink_size, least)
        numbers = replace(numbers, centre=centre.astype(np.float32))
    half = size * ink_size / 2
    ends = np.abs(numbers.centre) + half
    width, height = (2 * ends.max(axis=1)).astype(np.float32).T
    return replace(numbers, width=width, height=height)


def _drawn(
    each: Several, world: World, plan: Plan, fonts: Atlas
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Place, image and boxes of each photograph, those of like size together."""
    shrunk = np.clip(plan.unit, _COARSEST, _FINEST) / plan.unit
    shrunk = np.minimum(shrunk, np.sqrt(_SCENE / plan.sizes.prod(axis=1)))
    scenes = np.maximum(np.ceil(plan.sizes * shrunk[:, None]), 1).astype(int)
    waiting = np.argsort(scenes.prod(axis=1), kind="stable")
    while len(waiting):
        area = np.maximum.accumulate(scenes[waiting], axis=0).prod(axis=1)
        fits = area[:_BATCH] * np.arange(1, len(area[:_BATCH]) + 1) <= _TOGETHER
        rows, waiting = np.split(waiting, [max(1, int(fits.sum()))])
        some = Dice(each.take(rows.tolist()), len(rows), world)
        yield from zip(rows.tolist(), *_taken(some, plan.take(rows), scenes[rows], fonts), strict=True)


def _taken(dice: Dice, plan: Plan, scenes: np.ndarray, fonts: Atlas) -> tuple[list[np.ndarray], np.ndarray]:
    """Images and boxes of photographs whose scenes have these widths and heights, int (B, 2)."""
    scale = scenes / plan.sizes
    # A pixel more than is shown, so that no slope at an edge depends on the batch.
    seen = look(_scaled(plan.frames, *scale.T), scenes[:, ::-1] + 1, plan.unit * scale[:, 1])
    places = boxes(plan.frames, plan.numbers, outline(plan.numbers, fonts))
    left, top, right, bottom = _around(places * np.tile(scale, 2)[:, None])
    near = _NEAR * seen.density.ravel()
    height, width = seen.u.shape[1:]
    rows = slice(max(0, int((top - near).min())), min(height, int((bottom + near).max()) + 2))
    columns = slice(max(0, int((left - near).min())), min(width, int((right + near).max()) + 2))
    reach = (plan.sizes[:, 0] / plan.unit / 2).astype(np.float32)[:, None, None]
    scene = painted(dice, seen, plan.numbers, fonts, (rows, columns), reach)
    shown = [picture[:, :high, :wide] for picture, (wide, high) in zip(scene, scenes, strict=True)]
    camera.shake(dice, shown, seen.density.ravel())
    developed = camera.develop(dice, scene)
    pixels = [picture[:high, :wide] for picture, (wide, high) in zip(developed, scenes, strict=True)]
    taken = camera.photograph(dice, pixels, [tuple(size) for size in plan.sizes.tolist()], plan.unit)
    return [np.asarray(picture) for picture in taken], _inside(places, plan.sizes).astype(np.float32)
