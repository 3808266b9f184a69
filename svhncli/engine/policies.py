"""RandAugment and TrivialAugment on a whole batch, every image with its own operations and magnitudes.

An operation has an amount from 0 (no or least effect) to 1 (its full range), and if it is two-sided, a sign
that is drawn with equal probability. At amount 1, for RandAugment and for TrivialAugment:

    rotate                                 30° · 135°
    shear_x, shear_y                       tangent 0.3 · 0.99
    translate_x, translate_y               150/331 of the side · 32 pixels
    color, contrast, brightness, sharpness factor 1 ± 0.9 · 1 ± 0.99
    posterize                              4 bits are left of 8 · 2 bits
    solarize                               inverts values at or above gray level 256 (1 - amount)
    identity, autocontrast, equalize       have no amount

Differences from the papers' code: pixels are interpolated bilinearly, locations outside repeat the edge
instead of being gray, a shear is relative to the center instead of a corner, and colors stay floats, except
in the operations on gray levels (equalize, posterize, solarize), which round to the nearest of 256.
RandAugment's factors are two-sided, as in torchvision. No operation mirrors: a mirrored digit is another
digit or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from svhncli.core import rng
from svhncli.core.color import luma
from svhncli.engine.collective import Rows
from svhncli.engine.device import to_device

TINTS = ("color", "contrast", "brightness", "sharpness")
"""Blend an image with a version of it that lacks the property."""

MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
"""Move pixels: one resampling applies all of them in a batch."""

OPERATIONS = (
    *("identity", "autocontrast", "equalize", "solarize", "posterize"),
    *TINTS,
    *MOVES,
)
"""The 14 operations of both papers, drawn with equal probability."""

TWO_SIDED = torch.tensor([name in TINTS + MOVES for name in OPERATIONS])
LEVELS = 31
"""TrivialAugment draws an amount of 0/30, 1/30, ..., 30/30."""


@dataclass(frozen=True)
class Space:
    """The range of the operations at amount 1; see the module's table."""

    rotate: float
    shear: float
    translate_share: float
    translate_pixels: float
    factor: float
    bits: int


RANDAUGMENT = Space(30.0, 0.3, 150 / 331, 0.0, 0.9, 4)
TRIVIALAUGMENT = Space(135.0, 0.99, 0.0, 32.0, 0.99, 6)


@dataclass(frozen=True)
class Policy:
    """Random operations, one after the other, drawn for every image of a batch separately.

    space: their ranges.
    ops: how many are applied to an image; the same one may occur twice.
    amount: from 0 to 1, the same for all (RandAugment, Cubuk et al. 2019); None draws one of 31 levels for
        every operation (TrivialAugment, Müller & Hutter 2021).
    warp: resamples float32 (B, C, H, W) by matrices (B, 2, 3) from new to old coordinates (x, y), in pixels
        relative to the center.
    """

    space: Space
    ops: int
    amount: float | None
    warp: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, images: Tensor, seed_key: int, rows: Rows | None = None) -> Tensor:
        """Change a batch; all draws come from `seed_key` alone, an image's by its position in the batch.

        Args:
            images: float32 (B, C, H, W) in [0, 1], contiguous or channels_last; not modified.
            seed_key: an integer of `rng.key`, different for every batch.
            rows: which images of a larger batch these are; None: they are a whole batch.

        Returns:
            float32 (B, C, H, W) in [0, 1], contiguous.
        """
        rows = rows or Rows(len(images))
        shape = rows.count, self.ops

        def draw(what: str, count: int) -> Tensor:
            return rows.of(torch.randint(count, shape, generator=rng.torch_generator(seed_key, what)))

        chosen, signs = draw("operations", len(OPERATIONS)), 2 * draw("signs", 2) - 1
        if self.amount is None:
            amounts = draw("levels", LEVELS) / (LEVELS - 1)
        else:
            amounts = torch.full(chosen.shape, self.amount)
        amounts = torch.where(TWO_SIDED[chosen], signs * amounts, amounts)
        for place in range(self.ops):
            images = self.change(images, chosen[:, place], amounts[:, place])
        return images

    def change(self, images: Tensor, chosen: Tensor, amounts: Tensor) -> Tensor:
        """Apply one operation to every image.

        Args:
            images: float32 (B, C, H, W) in [0, 1]; not modified.
            chosen: int64 (B,), indices into `OPERATIONS`, on the CPU, so that grouping waits for no device.
            amounts: float32 (B,) on the CPU, in [0, 1], or in [-1, 1] if the operation is two-sided.

        Returns:
            float32 (B, C, H, W) in [0, 1].
        """
        order = chosen.argsort(stable=True)
        counts = chosen.bincount(minlength=len(OPERATIONS)).tolist()
        still = len(OPERATIONS) - len(MOVES)
        moved = sum(counts[still:])
        groups = [*counts[:still], moved]
        places, back = to_device(torch.stack((order, order.argsort())), images.device)
        sorted_images = images.contiguous().index_select(0, places).split(groups)
        strengths = to_device(amounts[order], images.device).split(groups)
        changed = [
            self._repaint(name, group, amount) if len(group) else group
            for name, group, amount in zip(
                OPERATIONS[:still], sorted_images[:-1], strengths[:-1], strict=True
            )
        ]
        if moved:
            last = order[-moved:]
            matrices = self.matrices(chosen[last], amounts[last], *images.shape[2:])
            changed.append(self.warp(sorted_images[-1], to_device(matrices, images.device)).clamp_(0, 1))
        return torch.cat(changed).index_select(0, back)

    def matrices(self, chosen: Tensor, amounts: Tensor, height: int, width: int) -> Tensor:
        """Where a pixel of the new image comes from, for one of `MOVES` per image: (B, 2, 3) for `warp`.

        A positive amount rotates clockwise, shifts right or down, and shears the lower half to the left
        (shear_x) or the right half up (shear_y).
        """
        space = self.space
        reach = {
            "rotate": math.radians(space.rotate),
            "shear_x": space.shear,
            "shear_y": space.shear,
            "translate_x": space.translate_share * width + space.translate_pixels,
            "translate_y": space.translate_share * height + space.translate_pixels,
        }
        angle, slant_x, slant_y, right, down = (
            torch.where(chosen == OPERATIONS.index(name), reach[name] * amounts, 0) for name in MOVES
        )
        # only one of the five is nonzero, so their matrices need not be multiplied
        cos, sin = torch.cos(angle), torch.sin(angle)
        return torch.stack((cos, sin + slant_x, -right, slant_y - sin, cos, -down), 1).unflatten(1, (2, 3))

    def _repaint(self, name: str, images: Tensor, amount: Tensor) -> Tensor:
        """The operations that do not move pixels."""
        if name == "identity":
            return images
        if name == "autocontrast":
            return autocontrast(images)
        if name == "equalize":
            return equalize(images)
        amount = amount[:, None, None, None]
        if name == "solarize":
            return torch.where(levels(images) >= 256 * (1 - amount), 1 - images, images)
        if name == "posterize":
            return posterize(images, torch.round(self.space.bits * amount))
        return torch.lerp(WITHOUT[name](images), images, 1 + self.space.factor * amount).clamp_(0, 1)


def levels(images: Tensor) -> Tensor:
    """The nearest gray levels, 0 to 255, of values in [0, 1], as floats."""
    return (images * 255).round_()


def autocontrast(images: Tensor) -> Tensor:
    """Stretch every channel of every image to [0, 1]; a constant channel is unchanged."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    # resampling leaves rounding errors in a constant channel, which must not be stretched to noise
    constant = high - low < 0.5 / 255
    return torch.where(constant, images, (images - low) / (high - low))


def equalize(images: Tensor) -> Tensor:
    """Make the gray levels of every channel equally frequent, exactly as Pillow's ImageOps.equalize does.

    A channel with too few distinct levels is unchanged, as in Pillow.
    """
    level = levels(images).long().flatten(2)
    counts = level.new_zeros(*level.shape[:2], 256).scatter_add_(2, level, torch.ones_like(level))
    brightest = (level == level.amax(2, keepdim=True)).sum(2, keepdim=True)
    step = (level.shape[2] - brightest) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    equal = (table.gather(2, level) / 255).view(images.shape)
    return torch.where((step > 0)[..., None], equal, images)


def posterize(images: Tensor, dropped: Tensor) -> Tensor:
    """Set the lowest bits of the gray levels to 0; dropped: how many, as broadcastable floats."""
    step = 2**dropped
    return (levels(images) / step).floor_() * step / 255


def mean_gray(images: Tensor) -> Tensor:
    """The mean luma of each image, (B, 1, 1, 1)."""
    return luma(images).mean((1, 2, 3), keepdim=True)


def smooth(images: Tensor) -> Tensor:
    """Pillow's SMOOTH: the mean of 3×3 pixels, the central one with weight 5; the border is unchanged."""
    if min(images.shape[2:]) < 3:
        return images
    out = images.clone()
    rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    square = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    out[:, :, 1:-1, 1:-1].mul_(4 / 13).add_(square, alpha=1 / 13)
    return out


WITHOUT: dict[str, Callable[[Tensor], Tensor]] = {
    "color": luma,
    "contrast": mean_gray,
    "brightness": lambda images: images.new_zeros(()),
    "sharpness": smooth,
}
"""The image without the property (factor 0); factor 1 is the image itself, larger ones exaggerate it."""
