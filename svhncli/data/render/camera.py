"""From scenes to crops: lens, sensor, file and the crop around each digit, photograph by photograph."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from svhncli.core.color import LUMA
from svhncli.core.rng import numpy_generator
from svhncli.data.render.dice import Dice

_SHEET = (1024, 1024)
"""Pixels of a sheet of noise: higher and wider than almost every photograph."""
_REACH = 16
"""The longest half of a motion's path, in pixels."""


def develop(dice: Dice, scenes: np.ndarray) -> np.ndarray:
    """Exposure, white balance and haze: float32 (B, 3, H, W) to uint8 (B, H, W, 3)."""
    haze = dice.happens("haze") * dice.draw("haze.amount")
    veil = dice.draw("haze.luma") * haze
    balance = np.stack([dice.draw(f"exposure.{channel}") for channel in ("red", "green", "blue")], axis=1)
    gain = 1 + dice.happens("exposure")[:, None] * (dice.draw("exposure.gain")[:, None] * balance - 1)
    exposed = scenes * ((1 - haze)[:, None] * gain) + veil[:, None]
    exposed *= 255
    return np.ascontiguousarray(np.clip(exposed, 0, 255).transpose(0, 2, 3, 1).astype(np.uint8))


def shake(dice: Dice, scenes: Sequence[np.ndarray], density: np.ndarray) -> None:
    """Motion blur: some of B scenes (3, H, W) become the mean of copies along a short line.

    density: float32 (B,), pixels per digit height.
    """
    moving = dice.happens("motion").ravel()
    reach, angle = density * dice.draw("motion.reach").ravel(), dice.angle().ravel()
    for i in np.flatnonzero(moving).tolist():
        height, width = scenes[i].shape[1:]
        still = np.pad(scenes[i], ((0, 0), (_REACH, _REACH), (_REACH, _REACH)), mode="edge")
        steps = np.clip(reach[i] * np.linspace(-1, 1, 5), -_REACH, _REACH)
        rows = _REACH + np.rint(steps * np.sin(angle[i])).astype(int)
        columns = _REACH + np.rint(steps * np.cos(angle[i])).astype(int)
        copies = [still[:, y : y + height, x : x + width] for y, x in zip(rows, columns, strict=True)]
        scenes[i][:] = sum(copies) / np.float32(len(copies))


@lru_cache(maxsize=8)
def _noise(sigma: float) -> Image.Image:
    """Noise of one strength, around 128: a large picture of which photographs take parts."""
    flat = numpy_generator(0, "synth", "noise").standard_normal((*_SHEET, 3), np.float32)
    return Image.fromarray(np.clip(128.5 + sigma * flat, 0, 255).astype(np.uint8))


@lru_cache(maxsize=8)
def _blotches(sigma: float) -> Image.Image:
    """Noise in colour alone, of one strength in each of two sizes of blotches, around 128; see `_noise`."""
    generator = numpy_generator(0, "synth", "blotches")
    flat = np.zeros((*_SHEET, 3), np.float32)
    for size in (2, 10):
        for channel in range(3):
            cells = generator.standard_normal((_SHEET[0] // size, _SHEET[1] // size), np.float32)
            plane = np.asarray(Image.fromarray(cells).resize(_SHEET[::-1], Image.Resampling.BICUBIC))
            flat[..., channel] += plane / plane.std()
    flat -= flat @ np.array(LUMA, np.float32)[:, None]
    return Image.fromarray(np.clip(128.5 + sigma * flat, 0, 255).astype(np.uint8))


def _part(sheet: Image.Image, place: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A part of a sheet of noise, at shares (2,) of its sides; a sheet that is too small is enlarged."""
    width, height = (min(side, whole) for side, whole in zip(size, sheet.size, strict=True))
    left, top = int(place[0] * (sheet.width - width)), int(place[1] * (sheet.height - height))
    part = sheet.crop((left, top, left + width, top + height))
    return part if part.size == size else part.resize(size)


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """A photograph with the artefacts of a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file, formats=["JPEG"])


def coarseness(dice: Dice, density: np.ndarray) -> np.ndarray:
    """By which factor (B,), at most 1, sensors shrink scenes of `density` pixels per digit height, (B,)."""
    coarse = np.minimum(dice.draw("resolution.pixels").ravel() / density, 1)
    return np.where(dice.happens("resolution").ravel(), coarse, 1)


def photograph(
    dice: Dice, pictures: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], density: np.ndarray
) -> list[Image.Image]:
    """Lens blur, the sensor's resolution and noise, sharpening and JPEG.

    pictures: B of uint8 (H, W, 3). sizes: width and height of each photograph, in pixels. density: (B,),
    pixels of the photograph per digit height.
    """
    blurred = np.where(dice.happens("defocus"), dice.draw("lens.soft"), dice.draw("lens.sharp"))
    blur = (dice.happens("lens") * blurred).ravel() * density
    grainy = dice.happens("noise").ravel()
    sigmas = list(dice.world.weights("noise.sigma"))
    strength = dice.choose("noise.sigma")
    corner = dice.generator.random((dice.count, 2))
    blotched, strengths = dice.happens("blotches").ravel(), list(dice.world.weights("blotches.sigma"))
    blotch = dice.choose("blotches.sigma")
    sharpened, rim = dice.happens("sharpen").ravel(), dice.draw("sharpen.radius").ravel()
    percent = dice.draw("sharpen.percent").ravel()
    compressed, quality = dice.happens("jpeg").ravel(), dice.draw("jpeg.quality").ravel()
    taken = []
    for i, (pixels, size) in enumerate(zip(pictures, sizes, strict=True)):
        picture = Image.fromarray(pixels)
        enlarged = size[1] / picture.height
        if enlarged > 1:  # what is blurred first has fewer pixels, and looks the same
            picture = picture.filter(ImageFilter.GaussianBlur(float(blur[i] / enlarged)))
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        if enlarged <= 1 and blur[i] > 0:
            picture = picture.filter(ImageFilter.GaussianBlur(float(blur[i])))
        if grainy[i]:
            grain = _part(_noise(sigmas[strength[i]]), corner[i], picture.size)
            picture = ImageChops.add(picture, grain, offset=-128)
        if blotched[i]:
            blotches = _part(_blotches(strengths[blotch[i]]), corner[i], picture.size)
            picture = ImageChops.add(picture, blotches, offset=-128)
        if sharpened[i]:
            picture = picture.filter(ImageFilter.UnsharpMask(float(rim[i]), int(percent[i]), 0))
        taken.append(_jpeg(picture, int(quality[i])) if compressed[i] else picture)
    return taken


def frame(dice: Dice, boxes: np.ndarray) -> np.ndarray:
    """The crops' squares around the digits' boxes, float (B, L, 4) pixels: as loose as people draw them."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    extent = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1)
    digits = extent.shape[1]
    side = extent * dice.draw("cut.loose")[:, :, 0] * (1 + dice.draw("cut.uneven", digits))
    centre = centre + extent[..., None] * dice.draw("cut.shift", digits, 2)
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
