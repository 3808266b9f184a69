"""From scenes to crops: lens, sensor, file and the crop around each digit, photograph by photograph."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from svhncli.data.synth.dice import Dice
from svhncli.rng import numpy_generator

_NATIVE = (27.0, 0.5)
"""Median of a digit's height in a photograph, in pixels, and its logarithm's deviation, as SVHN's are."""
_NOISE = (0.5, 1.5, 2.5, 4, 6, 9)
"""Standard deviations of a sensor's noise, in grey levels, from the commonest to the rarest."""
_SHEET = (256, 1024)
"""Pixels of a sheet of noise: higher and wider than any photograph can be."""
_REACH = 16
"""The longest half of a motion's path, in pixels."""


def develop(dice: Dice, scenes: np.ndarray) -> np.ndarray:
    """Exposure, white balance and haze: float32 (B, 3, H, W) to uint8 (B, H, W, 3)."""
    haze = dice.happens(0.3) * dice.between(0, 0.3)
    veil = dice.between(0.3, 0.8) * haze
    gain = dice.spread(1, 0.12) * (1 - haze)
    balance = dice.spread(1, 0.04), dice.spread(1, 0.02), dice.spread(1.03, 0.05)
    exposed = scenes * (gain[:, None] * np.stack(balance, axis=1)) + veil[:, None]
    exposed *= 255
    return np.ascontiguousarray(np.clip(exposed, 0, 255).transpose(0, 2, 3, 1).astype(np.uint8))


def shake(dice: Dice, scenes: np.ndarray, density: float) -> None:
    """Motion blur: some scenes become the mean of copies along a short line."""
    moving = dice.happens(0.15).ravel()
    reach, angle = density * dice.between(0.03, 0.1).ravel(), dice.between(0, np.pi).ravel()
    height, width = scenes.shape[2:]
    for i in np.flatnonzero(moving):
        still = np.pad(scenes[i], ((0, 0), (_REACH, _REACH), (_REACH, _REACH)), mode="edge")
        steps = np.clip(reach[i] * np.linspace(-1, 1, 5), -_REACH, _REACH)
        rows = _REACH + np.rint(steps * np.sin(angle[i])).astype(int)
        columns = _REACH + np.rint(steps * np.cos(angle[i])).astype(int)
        copies = [still[:, y : y + height, x : x + width] for y, x in zip(rows, columns, strict=True)]
        scenes[i] = sum(copies) / np.float32(len(copies))


@lru_cache(maxsize=1)
def _noises() -> list[Image.Image]:
    """Noise of each strength, around 128: one large picture each, of which photographs take parts."""
    flat = numpy_generator(0, "synth", "noise").standard_normal((*_SHEET, 3), np.float32)
    return [Image.fromarray(np.clip(128.5 + sigma * flat, 0, 255).astype(np.uint8)) for sigma in _NOISE]


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """A photograph with the artefacts of a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file, formats=["JPEG"])


def photograph(dice: Dice, pictures: np.ndarray, density: float) -> list[Image.Image]:
    """Lens blur, the sensor's resolution and noise, and JPEG; pictures uint8 (B, H, W, 3)."""
    scale = np.minimum(dice.spread(*_NATIVE).ravel().clip(11, 100) / density, 1)
    defocus = np.where(dice.happens(0.25), dice.spread(0.07, 0.4), dice.spread(0.028, 0.5))
    blur = defocus.ravel().clip(0, 0.11) * density * scale
    strength = dice.choose(np.linspace(1, 0.1, len(_NOISE)))
    corner = dice.generator.random((dice.count, 2))
    compressed = dice.happens(0.5).ravel()
    quality = dice.generator.integers(40, 90, dice.count)
    taken = []
    for i, pixels in enumerate(pictures):
        picture = Image.fromarray(pixels)
        width, height = (round(side * float(scale[i])) for side in picture.size)
        if scale[i] < 1:
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        picture = picture.filter(ImageFilter.GaussianBlur(float(blur[i])))
        x, y = int(corner[i, 0] * (_SHEET[1] - width)), int(corner[i, 1] * (_SHEET[0] - height))
        noise = _noises()[strength[i]].crop((x, y, x + width, y + height))
        picture = ImageChops.add(picture, noise, offset=-128)
        taken.append(_jpeg(picture, int(quality[i])) if compressed[i] else picture)
    return taken


def frame(dice: Dice, boxes: np.ndarray) -> np.ndarray:
    """The crops' squares around the digits' boxes, float (B, L, 4) pixels: as loose as people draw them."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    extent = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1)
    loose = np.clip(dice.spread(1.22, 0.1), 1.04, 1.6)[:, :, 0]
    jitter = dice.generator.standard_normal((3, *extent.shape)).clip(-2.5, 2.5)
    side = extent * loose * (1 + 0.03 * jitter[0])
    centre = centre + 0.025 * extent[..., None] * jitter[1:].transpose(1, 2, 0)
    return np.concatenate([centre - side[..., None] / 2, centre + side[..., None] / 2], axis=-1)


def crop(picture: Image.Image, squares: np.ndarray, size: int) -> np.ndarray:
    """The squares of one photograph, (L, 4) as shares of its width and height, as uint8 (L, 3, size, size).

    A square that reaches beyond the photograph is pushed inside.
    """
    limit = np.array(picture.size, float)
    extent = np.minimum((squares[:, 2:] - squares[:, :2]) * limit, limit)
    corner = np.clip(squares[:, :2] * limit, 0, limit - extent)
    ends = np.minimum(corner + extent, limit)
    cuts = [
        picture.resize((size, size), Image.Resampling.BICUBIC, box=tuple(box))
        for box in np.concatenate([corner, ends], axis=1).tolist()
    ]
    return np.stack([np.asarray(cut) for cut in cuts]).transpose(0, 3, 1, 2)
