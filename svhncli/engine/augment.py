"""Random augmentation of training images: a whole batch at once, every image with parameters of its own.

Everything that moves pixels (rotation, shear, scale, translation, crop, flips, elastic distortion) is
combined into one sampling grid, so an image is interpolated only once. Parameters per image are drawn on the
CPU, so that a CPU and a GPU rotate the same image by the same angle; parameters per pixel (elastic
distortion, noise) are drawn on the device of the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from svhncli.core import rng
from svhncli.core.color import LUMA, luma
from svhncli.engine.collective import Rows
from svhncli.engine.device import to_device

COLUMNS = (
    *("rotate", "shear", "scale", "translate_x", "translate_y", "crop_x", "crop_y", "hflip", "vflip"),
    *("brightness", "contrast", "saturation", "blur", "erase_x", "erase_y"),
)
"""All are drawn for every image, in this order, so that enabling one does not change the others."""


@dataclass(frozen=True)
class Window:
    """The part that the network sees of images that are stored with a margin; another one of every image.

    corners: int64 (B, 2), the first row and column of each.
    """

    height: int
    width: int
    corners: Tensor

    def of(self, images: Tensor) -> Tensor:
        """The windows of images (B, C, H, W): (B, C, height, width)."""
        places = enumerate(self.corners.tolist())
        return torch.stack(
            [images[i, :, top : top + self.height, left : left + self.width] for i, (top, left) in places]
        )


@dataclass(frozen=True)
class Augment:
    """Random changes of a batch; with the defaults the batch is returned unchanged.

    rotate, shear: largest angle in either direction, in degrees.
    translate: largest shift in either direction, as a share of the side.
    scale: largest relative change; 0.1 draws a factor between 1/1.1 and 1.1, uniform in its logarithm.
    crop: pad by this many pixels on every side and crop the original size at a random offset (whole pixels).
    elastic: standard deviation of a smooth displacement, in pixels (Simard et al. 2003).
    elastic_sigma: smoothness: sigma of the Gaussian that blurs the displacement, in pixels; above 0.
    brightness, contrast, saturation: largest relative change; 0.2 draws a factor between 0.8 and 1.2.
        Saturation applies to images with three channels only.
    noise: standard deviation of Gaussian noise, on a scale where white is 1.
    blur: largest sigma of a Gaussian blur, in pixels.
    erase: side of a square, as a share of the shorter side, that is filled with the image's mean color.
        Its center may lie anywhere, so part of it may be outside (cutout, DeVries & Taylor 2017).
    hflip, vflip: flip half of the images horizontally, vertically.
    """

    rotate: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    crop: int = 0
    elastic: float = 0.0
    elastic_sigma: float = 4.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    erase: float = 0.0
    hflip: bool = False
    vflip: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether nothing is enabled."""
        return not any(getattr(self, field.name) for field in fields(self) if field.name != "elastic_sigma")

    def __call__(
        self, images: Tensor, seed_key: int, rows: Rows | None = None, window: Window | None = None
    ) -> Tensor:
        """Change a batch; all draws come from `seed_key` alone.

        Args:
            images: float32 (B, C, H, W) in [0, 1], contiguous or channels_last; not modified.
            seed_key: an integer of `rng.key`, different for every batch.
            rows: which images of a larger batch these are; None: they are a whole batch.
            window: what is wanted of the result. What moves pixels may fetch some from outside of it.

        Returns:
            float32 (B, C, H, W) in [0, 1], or the window's height and width; `images` itself if nothing is
            enabled and there is no window.
        """
        if self.is_identity:
            return images if window is None else window.of(images)
        rows = rows or Rows(len(images))
        draw = self._draws(seed_key, rows, images.device)
        field = rng.torch_generator(seed_key, "fields", device=images.device)
        if self._moves or self.elastic:
            shift = None
            if self.elastic:
                height, width = images.shape[2:] if window is None else (window.height, window.width)
                smooth = smooth_field(rows, (height, width), self.elastic_sigma, field, images.device)
                shift = smooth.mul_(self.elastic)
            images = warp(images, self._affine(draw, *images.shape[2:]), shift, window)
        elif window is not None:
            images = window.of(images)
        if self.saturation and images.shape[1] == len(LUMA):
            images = saturate(images, 1 + self.saturation * draw["saturation"])
        if self.brightness or self.contrast:
            factors = 1 + self.brightness * draw["brightness"], 1 + self.contrast * draw["contrast"]
            images = relight(images, *factors)
        if self.blur:
            images = blur(images, self.blur * (draw["blur"] + 1) / 2)
        if self.erase:
            images = erase(images, self.erase, draw["erase_x"], draw["erase_y"])
        if self.noise:
            whole = rows.count, *images.shape[1:]
            grain = rows.of(torch.randn(whole, generator=field, device=images.device))
            images = grain.mul_(self.noise).add_(images)
        return images.clamp_(0, 1)  # if nothing changed the given images, this does not either

    def moved(
        self, boxes: Tensor, size: tuple[int, int], seed_key: int, rows: Rows, window: Window | None
    ) -> Tensor:
        """Where boxes (B, L, 4) in images of a size (height, width) lie after what `__call__` does to these.

        Around a rotated or sheared box lies the smallest upright one. Elastic distortion is not followed: it
        moves a box by a pixel or two.

        Args:
            boxes: float32, left, top, right and bottom in pixels; NaN where there is none.
            seed_key, rows, window: as for `__call__`.
        """
        if self._moves:
            height, width = size
            affine = self._affine(self._draws(seed_key, rows, boxes.device), height, width)
            x, y = boxes[..., 0::2] - width / 2, boxes[..., 1::2] - height / 2
            (xx, xy, at_x), (yx, yy, at_y) = (row.unbind(1) for row in affine[..., None, None].unbind(1))
            # the four corners, in coordinates from which the shift is taken: (B, L, 4)
            x, y = x[..., :, None] - at_x[..., None], y[..., None, :] - at_y[..., None]
            x, y = (values.expand(*boxes.shape[:2], 2, 2).flatten(2) for values in (x, y))
            scale = xx * yy - xy * yx
            new_x, new_y = (yy * x - xy * y) / scale + width / 2, (xx * y - yx * x) / scale + height / 2
            boxes = torch.stack([new_x.amin(2), new_y.amin(2), new_x.amax(2), new_y.amax(2)], -1)
        if window is not None:
            corner = to_device(window.corners.to(torch.float32), boxes.device)[:, None].flip(2)
            boxes = boxes - corner.repeat(1, 1, 2)
        return boxes

    @property
    def _moves(self) -> bool:
        """Whether something moves whole images."""
        affine = self.rotate, self.translate, self.scale, self.shear, self.crop, self.hflip, self.vflip
        return any(affine)

    def _draws(self, seed_key: int, rows: Rows, device: torch.device) -> dict[str, Tensor]:
        """The parameters of these images, (b,) each, uniform in [-1, 1)."""
        draws = torch.rand(rows.count, len(COLUMNS), generator=rng.torch_generator(seed_key, "parameters"))
        own = to_device(rows.of(draws) * 2 - 1, device)
        return dict(zip(COLUMNS, own.unbind(1), strict=True))

    def _affine(self, draw: dict[str, Tensor], height: int, width: int) -> Tensor:
        """The matrices (B, 2, 3) that `warp` takes, for draws that are uniform in [-1, 1)."""

        def whole(column: str) -> Tensor:
            places = 2 * self.crop + 1
            return ((draw[column] + 1) / 2 * places).floor().clamp_(max=places - 1) - self.crop

        def sign(column: str, on: bool) -> Tensor:
            return 1 - 2 * (draw[column] < 0).float() if on else torch.ones_like(draw[column])

        return inverse_affine(
            torch.deg2rad(self.rotate * draw["rotate"]),
            torch.deg2rad(self.shear * draw["shear"]),
            torch.exp(math.log1p(self.scale) * draw["scale"]),
            self.translate * width * draw["translate_x"] + whole("crop_x"),
            self.translate * height * draw["translate_y"] + whole("crop_y"),
            sign("hflip", self.hflip),
            sign("vflip", self.vflip),
        )


def inverse_affine(
    angle: Tensor, shear: Tensor, scale: Tensor, right: Tensor, down: Tensor, flip_x: Tensor, flip_y: Tensor
) -> Tensor:
    """Where a pixel of the new image comes from, in pixels relative to the center, as matrices (B, 2, 3).

    The old image is flipped (factor -1), scaled, sheared along x, rotated clockwise and shifted, in this
    order; the matrix inverts that from the last to the first. All arguments are (B,); angles in radians.
    """
    cos, sin, slant = torch.cos(angle) / scale, torch.sin(angle) / scale, torch.tan(shear)
    xx, xy = flip_x * (cos + slant * sin), flip_x * (sin - slant * cos)
    yx, yy = flip_y * -sin, flip_y * cos
    rows = xx, xy, -(xx * right + xy * down), yx, yy, -(yx * right + yy * down)
    return torch.stack(rows, 1).unflatten(1, (2, 3))


def warp(images: Tensor, affine: Tensor, shift: Tensor | None = None, window: Window | None = None) -> Tensor:
    """Resample images once, bilinearly; locations outside repeat the nearest edge pixel.

    Reflection was tried: it adds mirrored pieces of strokes beside the digit, which look like other digits.

    Args:
        images: float32 (B, C, H, W).
        affine: (B, 2, 3) from new to old coordinates (x, y), in pixels relative to the center.
        shift: (B, 2, H, W) of the result is added to the old coordinates (x, y), in pixels; None: no shift.
        window: the part of the new images that is wanted; None: as much as there was of the old ones.
    """
    count, _, height, width = images.shape
    x, y = (torch.arange(side, device=images.device) + 0.5 - side / 2 for side in (width, height))
    if window is not None:
        corners = to_device(window.corners.to(torch.float32), images.device)[:, None]
        affine = torch.cat([affine[:, :, :2], affine[:, :, 2:] + affine[:, :, :2] @ corners.flip(2).mT], 2)
        x, y = x[: window.width], y[: window.height]
    grid = torch.empty(count, len(y), len(x), 2, device=images.device)
    for axis, side in enumerate((width, height)):
        # grid_sample measures from -1 to 1 along each side
        along_x, along_y, at_center = (affine[:, axis] * (2 / side)).unbind(1)
        across = along_x[:, None] * x + at_center[:, None]
        torch.add(across[:, None, :], (along_y[:, None] * y)[:, :, None], out=grid[..., axis])
        if shift is not None:
            grid[..., axis].add_(shift[:, axis], alpha=2 / side)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def gaussian_rows(side: int, sigma: Tensor) -> Tensor:
    """A Gaussian around every pixel of a side: (..., side, side) for sigmas (...) in pixels; peak 1."""
    place = torch.arange(side, device=sigma.device, dtype=torch.float32)
    distance = (place[:, None] - place) / sigma.clamp(min=1e-3)[..., None, None]
    return torch.exp(-0.5 * distance.square())


def smooth_field(
    drawn: Rows, size: tuple[int, int], sigma: float, generator: torch.Generator, device: torch.device
) -> Tensor:
    """A random displacement (B, 2, H, W): white noise blurred by a Gaussian, every value of variance 1.

    drawn: the images; those of a larger batch get what they have in it.
    """
    height, width = size
    noise = drawn.of(torch.randn(drawn.count, 2, height, width, generator=generator, device=device))
    sigmas = torch.full((), sigma, device=device)
    # rows of unit norm keep the variance at 1, even at the edges, where part of the Gaussian is cut off
    rows, columns = (functional.normalize(gaussian_rows(side, sigmas), dim=-1) for side in (height, width))
    return rows @ noise @ columns.T


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with sigma (B,) in pixels; near an edge the weights of existing pixels are rescaled."""
    rows, columns = (gaussian_rows(side, sigma) for side in images.shape[2:])
    rows, columns = (weights / weights.sum(-1, keepdim=True) for weights in (rows, columns))
    return rows[:, None] @ images @ columns[:, None].mT


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the distance of colors (B, 3, H, W) from the gray of equal luma by factor (B,)."""
    return torch.lerp(luma(images), images, factor[:, None, None, None])


def relight(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Multiply by brightness (B,), and the distance from the image's mean by contrast (B,)."""
    mean = images.mean((1, 2, 3))
    gain, offset = brightness * contrast, brightness * (1 - contrast) * mean
    return torch.addcmul(offset[:, None, None, None], images, gain[:, None, None, None])


def erase(images: Tensor, share: float, x: Tensor, y: Tensor) -> Tensor:
    """Fill a square with the image's mean color; x, y (B,) in [-1, 1) give its center."""
    height, width = images.shape[2:]
    side = max(1, round(share * min(height, width)))

    def inside(length: int, center: Tensor) -> Tensor:
        first = ((center + 1) / 2 * length).floor() - side // 2
        place = torch.arange(length, device=images.device)
        return (place >= first[:, None]) & (place < first[:, None] + side)

    square = inside(height, y)[:, None, :, None] & inside(width, x)[:, None, None, :]
    return torch.where(square, images.mean((2, 3), keepdim=True), images)
