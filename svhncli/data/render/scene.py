"""Geometry: the layout of numbers, the camera's pose, and the distance of every pixel to the digits.

Lengths are in digit heights. A number's own frame (u right, v down) has its origin in the number's middle.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from svhncli.data.render.dice import Dice
from svhncli.data.render.faces import FLAT_THREE, PLAIN_ONE, Atlas

_AROUND = 0.62
"""Wall on either side of a number: enough for the crop of an outer digit."""
_ABOVE = 0.4
"""Wall above and below it."""
_NEAREST = 0.1
"""The minimum depth of a pixel; pixels inside an image are deeper."""
ROW, CLIMB, STACK = range(3)
"""The layouts, in the order of world.yaml."""


@dataclass(frozen=True)
class NumberLayout:
    """The positions of the digits of B numbers of L digits in their own frames.

    All but the first two are float32, so that pixel positions are not float64. face: int (B,).
    glyphs: int64 (B, L), places in `faces.FORMS`. center: (B, L, 2), each digit's middle.
    turn: (B, L), radians.
    stretch, tall: (B, L), width and height of a digit relative to the face's own.
    width, height: (B,), the whole number's.
    bend: (B, 3, 1, 1), amount, waves per digit height, and phase.
    """

    face: np.ndarray
    glyphs: np.ndarray
    center: np.ndarray
    turn: np.ndarray
    stretch: np.ndarray
    tall: np.ndarray
    bend: np.ndarray
    width: np.ndarray
    height: np.ndarray

    def take(self, rows: np.ndarray) -> NumberLayout:
        """The numbers at `rows`."""
        return NumberLayout(*(getattr(self, field.name)[rows] for field in fields(self)))

    def unpainted(self) -> NumberLayout:
        """The same places without their digits."""
        return replace(self, glyphs=self.glyphs[:, :0])


@dataclass(frozen=True)
class View:
    """Photographs of at most H × W pixels, on the plane of the numbers.

    frames: float32 (B, 3, 3), from the number's frame to pixels. u, v: float32 (B, H, W), pixel positions.
    density: float32 (B, 1, 1), pixels per digit height. pixel: float32 (B, 1, 1), digit heights per pixel.
    last: int32 (B, 2, 1, 1), each photograph's last row and column; the rest is cut off.
    """

    frames: np.ndarray
    u: np.ndarray
    v: np.ndarray
    density: np.ndarray
    pixel: np.ndarray
    last: np.ndarray

    def window(self, rows: slice, columns: slice) -> View:
        """A part of every photograph; `frames` remain those of the whole."""
        start = np.array([rows.start, columns.start], np.int32)[:, None, None]
        u, v = self.u[:, rows, columns], self.v[:, rows, columns]
        last = np.minimum(self.last - start, np.array(u.shape[1:], np.int32)[:, None, None] - 1)
        return View(self.frames, u, v, self.density, self.pixel, last)


def layout(dice: Dice, digits: np.ndarray, kind: int, atlas: Atlas) -> NumberLayout:
    """Choose faces and place digits side by side: by their ink or in even slots, apart or close, some askew.

    digits: int64 (B, L). kind: `ROW`; `CLIMB`, each digit higher or lower than the previous one; or `STACK`,
    one below the other.
    """
    length = digits.shape[1]
    face = atlas.choose(dice.share()[:, 0, 0], dice.happens("painter")[:, 0, 0] > 0)
    glyphs = digits
    for digit, other, factor in ((1, PLAIN_ONE, "plain_one"), (3, FLAT_THREE, "flat_three")):
        glyphs = np.where((digits == digit) & (dice.happens(factor)[:, :, 0] > 0), other, glyphs)
    stretch = dice.draw("face.stretch")[:, :, 0]
    boxes = atlas.boxes[face[:, None], glyphs]
    ink = (boxes[..., 2] - boxes[..., 0]) * stretch
    even = dice.happens("even")[:, :, 0]
    slot = np.ones_like(ink) if kind == STACK else ink + even * (ink.max(axis=1, keepdims=True) - ink)
    slot += dice.draw("layout.gap")[:, :, 0]
    along = np.cumsum(slot, axis=1) - slot / 2
    along -= slot.sum(axis=1, keepdims=True) / 2
    slope = dice.draw("climb.slope")[:, :, 0]
    loose = dice.happens("loose")[:, :, 0]
    turn = loose * np.deg2rad(dice.draw("loose.turn", length))
    shift = loose[..., None] * dice.draw("loose.shift", length, 2)
    across = slope * along if kind == CLIMB else np.zeros_like(along)
    x, y = (across, along) if kind == STACK else (along, across)
    widest, rise = ink.max(axis=1), np.ptp(across, axis=1)
    total = slot.sum(axis=1)
    return NumberLayout(
        face,
        glyphs,
        np.stack([x, y], axis=-1) + shift * np.array([0.25, 1], np.float32),
        turn,
        np.repeat(stretch, length, axis=1),
        np.ones_like(turn),
        np.stack([dice.happens("bend") * dice.draw("bend.amount"), dice.draw("bend.waves"), dice.angle()], 1),
        widest if kind == STACK else total,
        total if kind == STACK else 1 + rise,
    )


def pose(dice: Dice, turned: np.ndarray | None = None) -> np.ndarray:
    """Homographies (B, 3, 3) from the number's frame to the camera's: rotation, slant, size, perspective.

    turned: degrees (B,), the rotation if it is known, otherwise NaN.
    """
    frames = np.zeros((dice.count, 3, 3))
    turn = dice.draw("pose.turn") + dice.happens("tilt") * dice.draw("tilt.turn")
    angle = np.deg2rad(turn)[:, 0, 0]
    if turned is not None:
        angle = np.where(np.isnan(turned), angle, np.deg2rad(turned))
    slant = (dice.draw("pose.slant") + dice.happens("italic") * dice.draw("italic.lean"))[:, 0, 0]
    size = dice.draw("pose.size")[:, 0, 0]
    frames[:, 0, 0], frames[:, 0, 1] = np.cos(angle) * size, -np.sin(angle) * size + slant
    frames[:, 1, 0], frames[:, 1, 1] = np.sin(angle) * size, np.cos(angle) * size
    frames[:, 2, 0], frames[:, 2, 1] = dice.draw("pose.across")[:, 0, 0], dice.draw("pose.along")[:, 0, 0]
    frames[:, 2, 2] = 1
    return frames


def view(dice: Dice, numbers: NumberLayout, density: float) -> View:
    """Place a camera before each number; photographs are as large as the batch's largest number requires."""
    height = round((float(numbers.height.max()) + 2 * _ABOVE) * density)
    width = round((float(numbers.width.max()) + 2 * _AROUND) * density)
    to_pixels = np.array([[density, 0, width / 2], [0, density, height / 2], [0, 0, 1]])
    sizes = np.full((dice.count, 2), (height, width))
    return look(to_pixels @ pose(dice), sizes, np.full(dice.count, density))


def look(frames: np.ndarray, sizes: np.ndarray, density: np.ndarray) -> View:
    """What cameras see: frames (B, 3, 3) to pixels, heights and widths int (B, 2), density (B,)."""
    height, width = sizes.max(axis=0)
    back = np.linalg.inv(frames).astype(np.float32)[:, :, :, None, None]
    x = np.arange(width, dtype=np.float32)[None, None] + np.float32(0.5)
    y = np.arange(height, dtype=np.float32)[None, :, None] + np.float32(0.5)
    depth = back[:, 2, 0] * x + back[:, 2, 1] * y + back[:, 2, 2]
    # a batch's scenes are as large as its largest; pixels beyond a smaller one may lie behind its camera
    np.maximum(depth, _NEAREST, out=depth)
    u = (back[:, 0, 0] * x + back[:, 0, 1] * y + back[:, 0, 2]) / depth
    v = (back[:, 1, 0] * x + back[:, 1, 1] * y + back[:, 1, 2]) / depth
    density = density[:, None, None]
    last = (sizes - 1).astype(np.int32)[:, :, None, None]
    return View(
        frames.astype(np.float32), u, v, density.astype(np.float32), (1 / density).astype(np.float32), last
    )


def distances(seen: View, numbers: NumberLayout, atlas: Atlas) -> np.ndarray:
    """The signed distance float32 (B, H, W) of each pixel to the nearest digit's outline, positive inside."""
    nearest = np.full_like(seen.u, -1)
    for place in range(numbers.glyphs.shape[1]):
        cos, sin = (f(numbers.turn[:, place])[:, None, None] for f in (np.cos, np.sin))
        right = seen.u - numbers.center[:, place, 0, None, None]
        down = seen.v - numbers.center[:, place, 1, None, None]
        x = (cos * right + sin * down) / numbers.stretch[:, place, None, None]
        y = (cos * down - sin * right) / numbers.tall[:, place, None, None]
        x = x + _bent(numbers, y)
        y = y + np.float32(0.5)
        np.maximum(nearest, atlas.sample(numbers.face, numbers.glyphs[:, place], x, y), out=nearest)
    return nearest


def _bent(numbers: NumberLayout, y: np.ndarray) -> np.ndarray:
    """The sideways bend of a face at heights y, (B, H, W) or (B, 1, n)."""
    amount, waves, phase = (numbers.bend[:, place] for place in range(3))
    return amount * np.sin(2 * np.pi * waves * y + phase)


def corners(numbers: NumberLayout, atlas: Atlas) -> np.ndarray:
    """The corners of the box that each digit's ink has in its face, float32 (B, L, 4, 2)."""
    ink = atlas.boxes[numbers.face[:, None], numbers.glyphs]
    return np.stack([ink[..., [0, 2, 0, 2]], ink[..., [1, 1, 3, 3]]], axis=-1)


def outline(numbers: NumberLayout, atlas: Atlas) -> np.ndarray:
    """Points all around each digit's ink in its face, float32 (B, L, P, 2)."""
    return atlas.outline[numbers.face[:, None], numbers.glyphs]


def boxes(frames: np.ndarray, numbers: NumberLayout, points: np.ndarray) -> np.ndarray:
    """Each digit's box in the photograph: float32 (B, L, 4), left, top, right, bottom in pixels.

    frames: (B, 3, 3), from the number's frame to pixels.
    points: (B, L, P, 2) in the face, which the box encloses: `corners` for a box that is loose around
        leaning digits, `outline` for that of the ink.
    """
    x = points[..., 0] * numbers.stretch[..., None]
    y = points[..., 1] - 0.5
    x = x - numbers.stretch[..., None] * _bent(numbers, y)
    y = y * numbers.tall[..., None]
    cos, sin = np.cos(numbers.turn)[..., None], np.sin(numbers.turn)[..., None]
    u = numbers.center[..., :1] + cos * x - sin * y
    v = numbers.center[..., 1:] + sin * x + cos * y
    frames = frames[:, :, :, None, None]
    depth = frames[:, 2, 0] * u + frames[:, 2, 1] * v + frames[:, 2, 2]
    x = (frames[:, 0, 0] * u + frames[:, 0, 1] * v + frames[:, 0, 2]) / depth
    y = (frames[:, 1, 0] * u + frames[:, 1, 1] * v + frames[:, 1, 2]) / depth
    return np.stack([x.min(axis=-1), y.min(axis=-1), x.max(axis=-1), y.max(axis=-1)], axis=-1)
