"""Whole photographs of house numbers: framed as SVHN's are, or drawn for requested numbers and boxes.

Each draws from its own generator, so it depends only on its seed, part, index and requested number.
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
from svhncli.data.render.request import LARGEST, RenderedPhotograph, RequestedNumber
from svhncli.data.render.scene import ROW, STACK, NumberLayout, boxes, layout, look, outline, pose
from svhncli.data.render.world import World

_FINEST, _COARSEST = 32, 14
"""Pixels per digit height of a scene, which the camera enlarges or shrinks. The lens blurs finer detail."""
_SCENE = 1 << 19
"""Pixels of the largest scene."""
_BATCH = 16
_TOGETHER = 1 << 17
"""Pixels of the scenes that are drawn at once, so that they stay in the CPU cache."""
_NEAR = 0.75
"""How far, in digit heights, a digit's shadow can reach."""
_REACH = 0.35
"""How much perspective may shrink or stretch what is at a photograph's edge, at most."""
_TURNED = 20
"""Degrees; steeper rows of digits climb a stair."""


@dataclass(frozen=True)
class PhotographPlan:
    """B photographs before they are drawn.

    frames: (B, 3, 3), from the number's frame to pixels. sizes: int (B, 2), width and height.
    unit: (B,), pixels of a digit's height.
    """

    numbers: NumberLayout
    frames: np.ndarray
    sizes: np.ndarray
    unit: np.ndarray

    def take(self, rows: np.ndarray) -> PhotographPlan:
        """The plans at `rows`."""
        return PhotographPlan(self.numbers.take(rows), self.frames[rows], self.sizes[rows], self.unit[rows])


def photographs(
    seed: int,
    part: str,
    start: int,
    count: int,
    world: World,
    fonts: Atlas,
    requested: Sequence[RequestedNumber] | None = None,
    blank: bool = False,
) -> list[RenderedPhotograph]:
    """Photographs `start` to `start + count` of a part.

    requested: what each of them shows; None lets the world draw it. blank: leave the digits away, and nothing
        else.
    """
    generators = Several([numpy_generator(seed, "synth", "whole", part, start + i) for i in range(count)])
    dice = Dice(generators, count, world)
    lengths = np.array(list(world.weights("number.length")))[dice.choose("number.length")]
    kinds = dice.choose("number.layout")
    digits = written(dice, max(world.weights("number.length")))
    if requested is not None:
        lengths, kinds = np.array([len(number.label) for number in requested]), np.full(count, ROW)
        digits = np.zeros((count, lengths.max()), np.int64)
        for row, number in zip(digits, requested, strict=True):
            row[: len(number.label)] = number.label
    kinds[lengths == 1] = ROW
    drawn: dict[int, RenderedPhotograph] = {}
    for length, kind in np.unique(np.stack([lengths, kinds], 1), axis=0).tolist():
        alike = np.flatnonzero((lengths == length) & (kinds == kind))
        own, labels = generators.take(alike.tolist()), digits[alike, :length]
        batch = Dice(own, len(alike), world)
        if requested is None:
            plan = invented(batch, labels, kind, fonts)
        else:
            plan = as_requested(batch, labels, [requested[i] for i in alike.tolist()], fonts)
        for place, image, places in _drawn(own, world, plan, fonts, blank):
            label = () if blank else tuple(labels[place].tolist())
            drawn[int(alike[place])] = RenderedPhotograph(image, label, places)
    return [drawn[i] for i in range(count)]


def invented(dice: Dice, digits: np.ndarray, kind: int, fonts: Atlas) -> PhotographPlan:
    """Plans for numbers int64 (B, L), framed by the world's distributions."""
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
    return PhotographPlan(numbers, _moved(frames, x, y), sizes, unit)


def as_requested(
    dice: Dice, digits: np.ndarray, requested: Sequence[RequestedNumber], fonts: Atlas
) -> PhotographPlan:
    """Plans for numbers int64 (B, L) in the requested boxes.

    A row of digits that rises or falls is rotated. If the photograph's size is unknown, the room on the right
    and below follows from the room on the left and above, in the proportions that the world draws.
    """
    numbers = layout(dice, digits, ROW, fonts)
    _, above, _, aside = _framing(dice, digits.shape[1])
    wanted = np.array([number.boxes for number in requested], float)
    left, top, right, bottom = _around(wanted)
    ends = np.stack(
        [right + np.maximum(left, 1) * (1 / aside - 1), bottom + np.maximum(top, 1) * (1 / above - 1)], 1
    )
    sizes = np.array(
        [end if number.size is None else number.size for end, number in zip(ends, requested, strict=True)]
    )
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
    return PhotographPlan(_fitted(numbers, frames, wanted, fonts), frames, sizes, unit)


def _framing(dice: Dice, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How B photographs are framed around their numbers, (B,) each.

    The room above and below relative to the number's height, the share of it above, the aspect ratio, and the
    share of the room beside the number that is on the left.
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
    """Boxes (B, L, 4) clipped to images of these widths and heights (B, 2), at least a pixel in size."""
    sizes = sizes[:, None]
    start = np.clip(places[..., :2], 0, sizes - 1)
    return np.concatenate([start, np.clip(places[..., 2:], start + 1, sizes)], axis=-1)


def _moved(frames: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Frames to pixels (B, 3, 3), moved by x and y pixels."""
    move = np.tile(np.eye(3), (len(frames), 1, 1))
    move[:, 0, 2], move[:, 1, 2] = x, y
    return move @ frames


def _scaled(frames: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Frames (B, 3, 3) to pixels that are x and y times smaller, (B,) each."""
    return frames * np.stack([x, y, np.ones_like(x)], axis=1)[..., None]


def _flatten(frames: np.ndarray, reach: np.ndarray) -> None:
    """Weaken perspective (in place) where an image that extends over `reach` digit heights had a horizon."""
    bend = np.abs(frames[:, 2, :2]).sum(axis=1) * reach
    frames[:, 2, :2] *= np.minimum(1, _REACH / np.maximum(bend, 1e-9))[:, None]


def _straighten(frames: np.ndarray, most: np.ndarray) -> None:
    """Limit the lean (in place) of digits that must fit into narrow boxes; `most` is across by up."""
    lean = np.abs(frames[:, 0, 1])
    frames[:, 0, 1] *= np.minimum(1, most / np.maximum(lean, 1e-9))


def _fitted(numbers: NumberLayout, frames: np.ndarray, wanted: np.ndarray, fonts: Atlas) -> NumberLayout:
    """The digits moved and stretched until their boxes in the image match the wanted ones, (B, L, 4)."""
    ink = fonts.boxes[numbers.face[:, None], numbers.glyphs]
    ink_size = ink[..., 2:] - ink[..., :2]
    back, unit = np.linalg.inv(frames[:, :2, :2]), np.sqrt(np.linalg.det(frames[:, :2, :2]))[:, None, None]
    target, extent = (wanted[..., :2] + wanted[..., 2:]) / 2, (wanted[..., 2:] - wanted[..., :2])
    size = extent / unit / ink_size
    least, points = size * 0.3, outline(numbers, fonts)
    numbers = replace(numbers, center=np.zeros_like(numbers.center))
    for _ in range(5):
        stretch, tall = size.astype(np.float32).transpose(2, 0, 1)
        numbers = replace(numbers, stretch=stretch, tall=tall)
        current = boxes(frames, numbers, points)
        off = target - (current[..., :2] + current[..., 2:]) / 2
        center = numbers.center + (back[:, None] @ off[..., None])[..., 0].astype(np.float32)
        size = np.maximum(size + (extent - (current[..., 2:] - current[..., :2])) / unit / ink_size, least)
        numbers = replace(numbers, center=center.astype(np.float32))
    half = size * ink_size / 2
    ends = np.abs(numbers.center) + half
    width, height = (2 * ends.max(axis=1)).astype(np.float32).T
    return replace(numbers, width=width, height=height)


def _drawn(
    generators: Several, world: World, plan: PhotographPlan, fonts: Atlas, blank: bool
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Index, image and boxes of each photograph, in batches of similar size."""
    shrunk = np.clip(plan.unit, _COARSEST, _FINEST) / plan.unit
    shrunk = np.minimum(shrunk, np.sqrt(_SCENE / plan.sizes.prod(axis=1)))
    scenes = np.maximum(np.ceil(plan.sizes * shrunk[:, None]), 1).astype(int)
    waiting = np.argsort(scenes.prod(axis=1), kind="stable")
    while len(waiting):
        area = np.maximum.accumulate(scenes[waiting], axis=0).prod(axis=1)
        fits = area[:_BATCH] * np.arange(1, len(area[:_BATCH]) + 1) <= _TOGETHER
        rows, waiting = np.split(waiting, [max(1, int(fits.sum()))])
        batch = Dice(generators.take(rows.tolist()), len(rows), world)
        yield from zip(
            rows.tolist(), *_taken(batch, plan.take(rows), scenes[rows], fonts, blank), strict=True
        )


def _taken(
    dice: Dice, plan: PhotographPlan, scenes: np.ndarray, fonts: Atlas, blank: bool
) -> tuple[list[np.ndarray], np.ndarray]:
    """Images and boxes of photographs; `scenes` are the scenes' widths and heights, int (B, 2)."""
    scale = scenes / plan.sizes
    # One pixel more than is shown, so that no gradient at an edge depends on the batch.
    seen = look(_scaled(plan.frames, *scale.T), scenes[:, ::-1] + 1, plan.unit * scale[:, 1])
    places = boxes(plan.frames, plan.numbers, outline(plan.numbers, fonts))
    left, top, right, bottom = _around(places * np.tile(scale, 2)[:, None])
    near = _NEAR * seen.density.ravel()
    height, width = seen.u.shape[1:]
    rows = slice(max(0, int((top - near).min())), min(height, int((bottom + near).max()) + 2))
    columns = slice(max(0, int((left - near).min())), min(width, int((right + near).max()) + 2))
    reach = (plan.sizes[:, 0] / plan.unit / 2).astype(np.float32)[:, None, None]
    shown = plan.numbers.unpainted() if blank else plan.numbers
    scene = painted(dice, seen, shown, fonts, (rows, columns), reach)
    within = [image[:, :high, :wide] for image, (wide, high) in zip(scene, scenes, strict=True)]
    camera.shake(dice, within, seen.density.ravel())
    developed = camera.develop(dice, scene)
    pixels = [image[:high, :wide] for image, (wide, high) in zip(developed, scenes, strict=True)]
    taken = camera.photograph(dice, pixels, [tuple(size) for size in plan.sizes.tolist()], plan.unit)
    return [np.asarray(image) for image in taken], _inside(places, plan.sizes).astype(np.float32)
