"""What a photograph shows: walls, plates, digits of paint or metal, and the light on them.

A picture is float32 (B, 3, H, W), 0-1. Every factor is one function that draws its own parameters, and paints
in place; a factor that is absent from a picture has strength 0 there.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from svhncli.data.synth.dice import Dice
from svhncli.data.synth.scene import View
from svhncli.rng import numpy_generator

_TILE = 128
_TILE_DENSITY = 32  # pixels of a tile per digit height

# Tint at luma 1 and how common it is: on walls and plates, and as the colour of digits.
_TINTS = {
    "grey": ((1.00, 1.00, 1.00), 5, 9),
    "cool": ((0.93, 0.99, 1.18), 5, 4),
    "beige": ((1.12, 0.99, 0.80), 4, 1.5),
    "brown": ((1.40, 0.92, 0.58), 2, 1.5),
    "brick": ((1.65, 0.80, 0.68), 1.2, 0.3),
    "red": ((2.40, 0.45, 0.55), 0.2, 0.3),
    "blue": ((0.62, 0.95, 2.00), 2, 1.2),
    "navy": ((0.55, 0.85, 2.80), 0.8, 0.4),
    "green": ((0.86, 1.08, 0.90), 0.8, 0.3),
    "gold": ((1.45, 0.97, 0.35), 0.4, 0.9),
}
_RGB = np.array([rgb for rgb, _, _ in _TINTS.values()])
_RGB /= _RGB @ np.array([[0.299], [0.587], [0.114]])
_GROUND = [ground for _, ground, _ in _TINTS.values()]
_INK = [ink for _, _, ink in _TINTS.values()]


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
    kinds = [
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


_TEXTURES = [3, 3, 3, 1.2, 0.6, 0.5, 0.5, 0.5, 0.5]


def texture(dice: Dice, seen: View) -> np.ndarray:
    """A texture of unit deviation on the number's plane, float32 (B, H, W)."""
    kind = dice.choose(_TEXTURES).astype(np.int32)[:, None, None]
    scale = dice.spread(_TILE_DENSITY, 0.4)
    x = (seen.u * scale + dice.between(1e3, 2e3)).astype(np.int32) & np.int32(_TILE - 1)
    y = (seen.v * scale + dice.between(1e3, 2e3)).astype(np.int32) & np.int32(_TILE - 1)
    return _tiles().reshape(-1).take((kind * np.int32(_TILE) + y) * np.int32(_TILE) + x)


def colour(dice: Dice, luma: np.ndarray, weights: list[float]) -> np.ndarray:
    """Colours float32 (B, 3, 1, 1) of a given luma, more or less saturated, light ones less than dark."""
    tint = 1 + dice.between(0.2, 0.95) * (1 - 0.65 * luma) * (_RGB[dice.choose(weights)][:, :, None] - 1)
    return np.clip(luma * tint, 0.01, 1)[..., None].astype(np.float32)


def tones(dice: Dice) -> tuple[np.ndarray, np.ndarray]:
    """Lumas (B, 1, 1) of ground and digits: low to high contrast, dark on light and light on dark."""
    step = np.clip(dice.spread(0.37, 0.38), 0.2, 0.85)
    step *= np.where(dice.happens(0.55), -1, 1)
    middle = dice.normal(0.17) + np.float32(0.47)
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
    amount = dice.spread(0.035, 0.9)
    grain = texture(dice, seen) * np.minimum(amount, 0.16)
    picture = np.empty((dice.count, 3, *seen.u.shape[1:]), np.float32)
    picture[:] = colour(dice, luma, _GROUND)
    shade(picture, grain)
    return picture


def plate_shape(dice: Dice, seen: View, width: np.ndarray) -> np.ndarray:
    """The signed distance to the edge of a rounded or oval plate around a number `width` (B,) wide."""
    half_width = width[:, None, None] / 2 + dice.spread(0.22, 0.6)
    half_height = 0.5 + dice.spread(0.2, 0.6)
    x = np.abs(seen.u - dice.normal(0.04))
    y = np.abs(seen.v - dice.normal(0.04))
    corner = dice.between(0, 0.3)
    beyond_x, beyond_y = x - half_width + corner, y - half_height + corner
    inside = np.minimum(np.maximum(beyond_x, beyond_y), 0)
    rectangle = corner - inside - radius(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
    oval = (1 - radius(x / (half_width * 1.25), y / (half_height * 1.25))) * half_height
    return np.where(dice.happens(0.12) > 0, oval, rectangle)


def plate(
    dice: Dice, picture: np.ndarray, seen: View, width: np.ndarray, luma: np.ndarray, present: np.ndarray
) -> None:
    """A plate behind the number where `present`, with its shadow; some have a border and screws."""
    edge = plate_shape(dice, seen, width)
    pixel = np.float32(1 / seen.density)
    dark = present * dice.between(0, 0.5)
    shade(picture, -dark * soft(edge + dice.between(0, 0.08), dice.between(0.05, 0.2)))
    cover = present * soft(edge, pixel)
    paint(picture, cover, colour(dice, luma, _GROUND))
    shade(picture, cover * texture(dice, seen) * dice.between(0, 0.03))
    line = soft(dice.between(0.015, 0.04) - np.abs(edge - dice.between(0.0, 0.12)), pixel)
    paint(picture, present * dice.happens(0.45) * line, colour(dice, dice.between(0.05, 0.95), _INK))
    screws(dice, picture, seen, width, present)


def screws(dice: Dice, picture: np.ndarray, seen: View, width: np.ndarray, present: np.ndarray) -> None:
    """Round heads left and right of the number, in the middle or at the corners."""
    x = np.abs(seen.u) - width[:, None, None] / 2 - dice.between(0.06, 0.2)
    y = np.abs(seen.v) - dice.happens(0.5) * dice.between(0.35, 0.6)
    head = soft(dice.between(0.02, 0.05) - radius(x, y), np.float32(1 / seen.density))
    paint(picture, present * dice.happens(0.2) * head, colour(dice, dice.between(0.1, 0.8), _INK))


def ledge(dice: Dice, picture: np.ndarray, seen: View, width: np.ndarray) -> None:
    """Another surface beside the number, as a door frame, a corner or a gutter would be."""
    side, upright = dice.sign(), dice.happens(0.6)
    beside, above = width[:, None, None] / 2 + dice.between(0.15, 0.8), dice.between(0.62, 0.95)
    reach = upright * beside + (1 - upright) * above
    beyond = side * (upright * seen.u + (1 - upright) * seen.v) - reach
    cover = dice.happens(0.3) * soft(beyond, dice.between(0.03, 0.1))
    paint(picture, cover, colour(dice, dice.between(0.05, 0.9), _GROUND))


def moved(field: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Each (H, W) field shifted by whole pixels (B, 1, 1); its edges go on."""
    count, height, width = field.shape
    x = np.clip(np.arange(width, dtype=np.int32) - right.astype(np.int32), 0, width - 1)
    y = np.clip(np.arange(height, dtype=np.int32)[:, None] - down.astype(np.int32), 0, height - 1)
    return field[np.arange(count)[:, None, None], y, x]


def shadow(dice: Dice, picture: np.ndarray, distance: np.ndarray, density: float) -> None:
    """The shadow of raised digits: their shape, moved and softened."""
    away = density * dice.spread(0.07, 0.5)
    angle = dice.between(0, 2 * np.pi)
    behind = moved(distance, np.rint(away * np.cos(angle)), np.rint(away * np.sin(angle)))
    depth = dice.happens(0.35) * dice.between(0.2, 0.65)
    shade(picture, -depth * soft(behind, dice.between(0.05, 0.2)))


def digits(dice: Dice, picture: np.ndarray, seen: View, distance: np.ndarray, luma: np.ndarray) -> None:
    """The digits: thin to bold strokes, some outlined, some worn, some in relief."""
    distance = distance + dice.between(-0.008, 0.03)
    shadow(dice, picture, distance, seen.density)
    pixel = np.float32(1 / seen.density)
    rim = soft(distance + dice.between(0.02, 0.06), pixel)
    paint(picture, dice.happens(0.12) * rim, colour(dice, dice.between(0.05, 0.95), _INK))
    flaked = soft(texture(dice, seen) - dice.between(0.3, 1.2), 0.5)
    worn = dice.happens(0.2) * dice.between(0.1, 0.5) * flaked
    cover = soft(distance, pixel) * (1 - worn)
    paint(picture, cover, colour(dice, luma, _INK))
    relief(dice, picture, distance, cover)


def relief(dice: Dice, picture: np.ndarray, distance: np.ndarray, cover: np.ndarray) -> None:
    """Light on the flanks of raised or carved digits: their slope along the light's direction."""
    angle = dice.between(0, 2 * np.pi)
    height = soft(distance, dice.between(0.08, 0.2))
    slope = np.cos(angle) * np.gradient(height, axis=2) + np.sin(angle) * np.gradient(height, axis=1)
    shade(picture, dice.happens(0.35) * dice.between(0.5, 2) * cover * slope)


def light(dice: Dice, picture: np.ndarray, seen: View) -> None:
    """Light that falls off across the wall, edges of shadow (of a roof or a branch), and glare."""
    angle = dice.between(0, 2 * np.pi)
    along = np.cos(angle) * seen.u + np.sin(angle) * seen.v
    amount = dice.normal(0.1) * along
    angle, place = dice.between(0, 2 * np.pi), dice.normal(0.6)
    edge = soft(np.cos(angle) * seen.u + np.sin(angle) * seen.v - place, dice.between(0.06, 0.6))
    amount -= dice.happens(0.12) * dice.between(0.15, 0.5) * edge
    far = radius(seen.u - dice.normal(0.7), seen.v - dice.normal(0.4))
    glare = dice.happens(0.08) * dice.between(0.1, 0.4) * np.clip(1 - far / dice.between(0.4, 1), 0, 1)
    shade(picture, amount)
    picture += glare[:, None]
