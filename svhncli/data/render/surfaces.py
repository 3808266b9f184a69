"""What a photograph shows: walls, plates, digits of paint or metal, and the light on them.

A picture is float32 (B, 3, H, W), 0-1. Every factor is one function that draws its own parameters, and paints
in place; a factor that is absent from a picture has strength 0 there.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from svhncli.core.color import LUMA
from svhncli.core.rng import numpy_generator
from svhncli.data.render.dice import Dice
from svhncli.data.render.scene import View

_TILE = 128
_TILE_DENSITY = 32  # pixels of a tile per digit height

_TINTS = {  # at luma 1
    "grey": (1.00, 1.00, 1.00),
    "cool": (0.93, 0.99, 1.18),
    "beige": (1.12, 0.99, 0.80),
    "brown": (1.40, 0.92, 0.58),
    "brick": (1.65, 0.80, 0.68),
    "red": (2.40, 0.45, 0.55),
    "blue": (0.62, 0.95, 2.00),
    "navy": (0.55, 0.85, 2.80),
    "green": (0.86, 1.08, 0.90),
    "gold": (1.45, 0.97, 0.35),
}
_RGB = np.array(list(_TINTS.values()))
_RGB /= _RGB @ np.array(LUMA)[:, None]


def _cloud(generator: np.random.Generator, wavelengths: tuple[float, float]) -> np.ndarray:
    """Periodic noise of unit deviation, smooth over (vertical, horizontal) pixels."""
    noise = ndimage.gaussian_filter(generator.standard_normal((_TILE, _TILE)), wavelengths, mode="wrap")
    return noise / noise.std()


def _bricks(generator: np.random.Generator, high: int, wide: int) -> np.ndarray:
    """Courses of bricks, each of its own tone, in light mortar."""
    rows, columns = np.mgrid[:_TILE, :_TILE]
    course = rows // high
    shifted = (columns + course % 2 * (wide // 2)) % _TILE
    tone = generator.standard_normal((_TILE // high, _TILE // wide))[course, shifted // wide]
    mortar = (rows % high < 2) | (shifted % wide < 2)
    return np.where(mortar, 2.2, 0.5 * tone - 0.4)


def _boards(generator: np.random.Generator, high: int) -> np.ndarray:
    """Boards one above the other, with grain, dark at their joints."""
    rows = np.mgrid[:_TILE, :_TILE][0]
    tone = generator.standard_normal(_TILE // high)[rows // high]
    return np.where(rows % high < 2, -2.5, 0.4 * tone + 0.6 * _cloud(generator, (0.8, 12)) + 0.2)


@lru_cache(maxsize=1)
def _tiles() -> np.ndarray:
    """Periodic textures float32 (K, T, T) of about zero mean and unit deviation, alike in every process."""
    generator = numpy_generator(0, "synth", "tiles")
    kinds = [  # in the order of wall.texture
        _cloud(generator, (1, 1)),  # roughcast
        _cloud(generator, (6, 6)) + 0.5 * _cloud(generator, (1.5, 1.5)),  # stone
        _cloud(generator, (14, 14)),  # stains
        _cloud(generator, (1, 14)),  # wood
        _boards(generator, 16),
        _boards(generator, 32),
        _bricks(generator, 8, 32),
        _bricks(generator, 16, 32),
        _bricks(generator, 32, 64),
    ]
    return np.stack(kinds).astype(np.float32)


_FADES = 2
"""Digit heights over which light fades as falloff.amount says."""
_LEAVES = 1
"""The texture whose dark places are the shadows of leaves, and where paint flakes off."""


def texture(dice: Dice, seen: View, kind: np.ndarray | int | None = None) -> np.ndarray:
    """A texture of unit deviation on the number's plane, (B, H, W); as walls have it, or a given one."""
    kind = dice.choose("wall.texture") if kind is None else np.full(dice.count, kind)
    scale = _TILE_DENSITY * dice.draw("wall.scale")
    x = (seen.u * scale + 1000 * (1 + dice.share())).astype(np.int32) & np.int32(_TILE - 1)
    y = (seen.v * scale + 1000 * (1 + dice.share())).astype(np.int32) & np.int32(_TILE - 1)
    first = kind.astype(np.int32)[:, None, None] * np.int32(_TILE)
    return _tiles().reshape(-1).take((first + y) * np.int32(_TILE) + x)


def colour(dice: Dice, luma: np.ndarray, what: str) -> np.ndarray:
    """Colours float32 (B, 3, 1, 1) of a given luma and of the tints of "wall" or "ink", more or less
    saturated, light ones less than dark."""
    tint = _RGB[dice.choose(f"{what}.tint")][:, :, None] - 1
    tint = 1 + dice.draw("wall.saturation") * (1 - 0.65 * luma) * tint
    return np.clip(luma * tint, 0.01, 1)[..., None].astype(np.float32)


def tones(dice: Dice) -> tuple[np.ndarray, np.ndarray]:
    """Lumas (B, 1, 1) of ground and digits: low to high contrast, dark on light and light on dark."""
    step = dice.draw("contrast.step") * np.where(dice.happens("dark"), -1, 1)
    middle = dice.draw("contrast.middle") + np.float32(0.47)
    middle = np.clip(middle, 0.03 + 0.6 * np.abs(step), 0.97 - 0.6 * np.abs(step))
    return np.clip(middle - step / 2, 0.03, 0.97), np.clip(middle + step / 2, 0.03, 0.97)


def paint(picture: np.ndarray, cover: np.ndarray, hue: np.ndarray) -> None:
    """Lay a colour (B, 3, 1, 1) over a picture where `cover` (B, H, W) is 1."""
    for channel in range(3):
        plane = picture[:, channel]
        step = hue[:, channel] - plane
        step *= cover
        plane += step


def shade(picture: np.ndarray, amount: np.ndarray) -> None:
    """Add light (or, below 0, take it): `amount` (B, H, W) is a share of what each pixel has."""
    factor = 1 + amount
    for channel in range(3):
        picture[:, channel] *= factor


def soft(distance: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """From 0 to 1 over `width` around a distance of 0."""
    return np.clip(distance / width + np.float32(0.5), 0, 1)


def radius(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The distance from the origin; faster than `np.hypot`, whose care for overflow is not needed here."""
    return np.sqrt(x * x + y * y)


def wall(dice: Dice, seen: View, luma: np.ndarray) -> np.ndarray:
    """The wall: one colour, grained by a texture, from smooth to coarse."""
    grain = texture(dice, seen) * (dice.happens("grain") * dice.draw("grain.amount"))
    picture = np.empty((dice.count, 3, *seen.u.shape[1:]), np.float32)
    picture[:] = colour(dice, luma, "wall")
    shade(picture, grain)
    return picture


def plate_shape(dice: Dice, seen: View, half: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The signed distance to the edge of a rounded or oval plate around a number of this half size."""
    half_width = half[0] + dice.draw("plate.margin_x")
    half_height = half[1] + dice.draw("plate.margin_y")
    x = np.abs(seen.u - dice.draw("plate.shift"))
    y = np.abs(seen.v - dice.draw("plate.shift"))
    corner = dice.draw("plate.corner")
    beyond_x, beyond_y = x - half_width + corner, y - half_height + corner
    inside = np.minimum(np.maximum(beyond_x, beyond_y), 0)
    rectangle = corner - inside - radius(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
    oval = (1 - radius(x / (half_width * 1.25), y / (half_height * 1.25))) * half_height
    return np.where(dice.happens("oval") > 0, oval, rectangle)


def plate(
    dice: Dice,
    picture: np.ndarray,
    seen: View,
    half: tuple[np.ndarray, np.ndarray],
    luma: np.ndarray,
    present: np.ndarray,
) -> None:
    """A plate behind the number where `present`, with its shadow; some have a border and screws."""
    edge = plate_shape(dice, seen, half)
    dark = present * dice.happens("plate_shadow") * dice.draw("plate_shadow.depth")
    shade(picture, -dark * soft(edge + dice.draw("plate_shadow.away"), dice.draw("plate_shadow.soft")))
    cover = present * soft(edge, seen.pixel)
    paint(picture, cover, colour(dice, luma, "wall"))
    shade(picture, cover * texture(dice, seen) * dice.draw("plate.grain"))
    line = soft(dice.draw("border.width") / 2 - np.abs(edge - dice.draw("border.inset")), seen.pixel)
    paint(picture, present * dice.happens("border") * line, colour(dice, dice.draw("border.luma"), "ink"))
    x = np.abs(seen.u) - half[0] - dice.draw("screws.beside")
    y = np.abs(seen.v) - dice.happens("corners") * (half[1] + dice.draw("screws.up"))
    head = soft(dice.draw("screws.size") - radius(x, y), seen.pixel)
    paint(picture, present * dice.happens("screws") * head, colour(dice, dice.draw("screws.luma"), "ink"))


def ledge(dice: Dice, picture: np.ndarray, seen: View, half: tuple[np.ndarray, np.ndarray]) -> None:
    """Another surface beside the number, as a door frame, a corner or a gutter would be."""
    side = np.where(dice.share() < 0.5, np.float32(-1), np.float32(1))
    upright = dice.happens("upright")
    reach = np.where(upright, half[0] + dice.draw("ledge.beside"), half[1] + dice.draw("ledge.above"))
    beyond = side * (upright * seen.u + (1 - upright) * seen.v) - reach
    cover = dice.happens("ledge") * soft(beyond, dice.draw("ledge.soft"))
    paint(picture, cover, colour(dice, dice.draw("ledge.luma"), "wall"))


def things(dice: Dice, picture: np.ndarray, seen: View, half: tuple[np.ndarray, np.ndarray]) -> None:
    """What else hangs on a wall or stands before it: a window, a lamp, a letter box on each side."""
    middle = seen.frames[:, :2, 2] / seen.frames[:, 2:, 2]
    extent = np.concatenate(half, axis=2)[:, 0]
    for side in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        there = dice.happens("thing").ravel()
        size = np.stack([dice.draw("thing.wide"), dice.draw("thing.high")], axis=-1)[:, 0, 0]
        near = (extent + dice.draw("thing.away")[:, 0] + size / 2) * side + dice.draw("thing.along", 2) * (
            1 - np.abs(side)
        )
        corners = np.stack([near - size / 2, near + size / 2], axis=1) * seen.density
        corners = np.clip(np.rint(middle[:, None] + corners), 0, 1 + seen.last[:, None, ::-1, 0, 0]).astype(
            int
        )
        hue = colour(dice, dice.draw("thing.luma"), "wall")
        for i in np.flatnonzero(there):
            (left, top), (right, bottom) = corners[i].tolist()
            part = picture[i, :, top:bottom, left:right]
            if part.size:
                part *= hue[i] / part.mean(axis=(1, 2), keepdims=True)


def moved(field: np.ndarray, right: np.ndarray, down: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Each (H, W) field shifted by whole pixels (B, 1, 1); its edges go on; for `last` see `View`."""
    count, height, width = field.shape
    x = np.clip(np.arange(width, dtype=np.int32) - right.astype(np.int32), 0, last[:, 1])
    y = np.clip(np.arange(height, dtype=np.int32)[:, None] - down.astype(np.int32), 0, last[:, 0])
    return field[np.arange(count)[:, None, None], y, x]


def shadow(dice: Dice, picture: np.ndarray, seen: View, distance: np.ndarray) -> None:
    """The shadow of raised digits: their shape, moved and softened."""
    away, angle = seen.density * dice.draw("shadow.away"), dice.angle()
    behind = moved(distance, np.rint(away * np.cos(angle)), np.rint(away * np.sin(angle)), seen.last)
    depth = dice.happens("shadow") * dice.draw("shadow.depth")
    shade(picture, -depth * soft(behind, dice.draw("shadow.soft")))


def digits(
    dice: Dice, picture: np.ndarray, seen: View, distance: np.ndarray, ground: np.ndarray, luma: np.ndarray
) -> None:
    """The digits: thin to bold strokes, some outlined or hollow, some worn, some in relief."""
    distance = distance + dice.draw("face.stroke")
    shadow(dice, picture, seen, distance)
    rim = soft(distance + dice.draw("outline.width"), seen.pixel)
    paint(picture, dice.happens("outline") * rim, colour(dice, dice.draw("outline.luma"), "ink"))
    flaked = soft(texture(dice, seen, _LEAVES) - dice.draw("worn.edge"), 0.5)
    cover = soft(distance, seen.pixel) * (1 - dice.happens("worn") * dice.draw("worn.depth") * flaked)
    paint(picture, cover, colour(dice, luma, "ink"))
    inside = soft(distance - dice.draw("hollow.inset"), seen.pixel)
    paint(picture, dice.happens("hollow") * inside, colour(dice, ground, "wall"))
    relief(dice, picture, distance, cover)


def relief(dice: Dice, picture: np.ndarray, distance: np.ndarray, cover: np.ndarray) -> None:
    """Light on the flanks of raised or carved digits: their slope along the light's direction."""
    angle = dice.angle()
    height = soft(distance, dice.draw("relief.height"))
    slope = np.cos(angle) * np.gradient(height, axis=2) + np.sin(angle) * np.gradient(height, axis=1)
    shade(picture, dice.happens("relief") * dice.draw("relief.strength") * cover * slope)


def light(dice: Dice, picture: np.ndarray, seen: View, reach: np.ndarray | None) -> None:
    """Light that falls off across the wall, shadows of roofs and leaves, and glare; see `painted`.

    Light that fades as steeply as on a crop would leave a wide picture white on one side, black on the other.
    """
    angle = dice.angle()
    amount = dice.happens("falloff") * dice.draw("falloff.amount") * _along(seen, angle)
    if reach is not None:
        amount *= np.minimum(1, _FADES / reach)
    edge = soft(_along(seen, dice.angle()) - dice.draw("shade.place"), dice.draw("shade.soft"))
    amount -= dice.happens("shade") * dice.draw("shade.depth") * edge
    leaves = soft(texture(dice, seen, _LEAVES) - dice.draw("dapple.edge"), 0.6)
    amount -= dice.happens("dapple") * dice.draw("dapple.depth") * leaves
    far = radius(seen.u - dice.draw("glare.place"), seen.v - dice.draw("glare.place"))
    glare = np.clip(1 - far / dice.draw("glare.size"), 0, 1)
    shade(picture, amount)
    picture += (dice.happens("glare") * dice.draw("glare.strength") * glare)[:, None]


def bar(dice: Dice, picture: np.ndarray, seen: View) -> None:
    """A cable, a twig or a rail in front of the number."""
    away = np.abs(_along(seen, dice.angle()) - dice.draw("bar.place"))
    cover = soft(dice.draw("bar.width") / 2 - away, seen.pixel)
    paint(picture, dice.happens("bar") * cover, colour(dice, dice.draw("bar.luma"), "ink"))


def _along(seen: View, angle: np.ndarray) -> np.ndarray:
    """Each pixel's place along a direction on the number's plane, float32 (B, H, W)."""
    return np.cos(angle) * seen.u + np.sin(angle) * seen.v
