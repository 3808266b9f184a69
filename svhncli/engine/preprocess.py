"""The only way from a stored image to the input of a network; kept in the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from svhncli.core.color import luma
from svhncli.core.plain import from_plain
from svhncli.core.rng import numpy_generator
from svhncli.data.framing import Framing
from svhncli.engine.augment import Window
from svhncli.engine.collective import Rows
from svhncli.engine.device import to_device

SAMPLE = 20_000
"""Mean and standard deviation are measured on at most this many training images: their error is far below
one gray level, and half a million memory-mapped images need not be loaded before the first step."""

LARGEST_SIDE = 10_000
"""Pixels of an image's side that a checkpoint may ask for."""


def as_uint8(pixels: torch.Tensor) -> np.ndarray:
    """Images to be looked at: float32 (B, C, H, W) in [0, 1] on any device -> uint8 of the same shape."""
    return (255 * pixels).round().to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class Preprocess:
    """Resizing, cropping and normalization, measured on the training part alone.

    framing: which part of a photograph is stored, and which part of that the network sees.
    grey: whether the network sees luma only, in one channel.
    mean, std: of each channel that the network sees, for values in [0, 1].
    """

    framing: Framing
    grey: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measure(
        cls, images: np.ndarray, indices: np.ndarray, framing: Framing | None = None, grey: bool = False
    ) -> Preprocess:
        """Measured on the training images `images[indices]`, uint8 (N, C, H, W).

        framing: None if images are seen as they are stored.
        """
        framing = Framing(*images.shape[2:]) if framing is None else framing
        chosen = np.sort(indices[:: -(-len(indices) // SAMPLE)])
        unscaled = cls(framing, grey, (0.0,), (1.0,))
        channels = 1 if grey else images.shape[1]
        counts = np.zeros((channels, 256), np.int64)  # integers: exact in any order
        for start in range(0, len(chosen), 1000):
            block = unscaled.seen(unscaled.floats(torch.from_numpy(images[chosen[start : start + 1000]])))
            for channel, values in enumerate(block.mul(255).round_().to(torch.uint8).unbind(1)):
                counts[channel] += np.bincount(values.numpy().ravel(), minlength=256)
        levels = np.arange(256) / 255
        shares = counts / counts.sum(1, keepdims=True)
        mean = shares @ levels
        std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
        # a constant channel must not cause a division by zero
        return cls(framing, grey, tuple(mean.tolist()), tuple(np.maximum(std, 1 / 255).tolist()))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the network's input."""
        return len(self.mean), self.framing.height, self.framing.width

    def floats(self, images: torch.Tensor) -> torch.Tensor:
        """Stored images, uint8 (B, C, H, W) of any size -> float32 (B, C, *framing.stored) in [0, 1]."""
        out = images.to(torch.float32).div_(255)
        if self.grey and out.shape[1] > 1:
            out = luma(out)
        if out.shape[2:] != self.framing.stored:
            out = functional.interpolate(
                out, self.framing.stored, mode="bilinear", antialias=True, align_corners=False
            ).clamp_(0, 1)
        return out

    def seen(self, images: torch.Tensor) -> torch.Tensor:
        """Stored images (B, C, *framing.stored) without their margin: (B, C, height, width)."""
        top, left = self.framing.room
        return images[:, :, top : top + self.framing.height, left : left + self.framing.width]

    def window(self, seed_key: int, rows: Rows) -> Window | None:
        """A random part of each of the stored images, of the size that the network sees; None: all of it.

        seed_key: an integer of `rng.key`.
        """
        room = np.array(self.framing.room)
        if not room.any():
            return None
        corners = numpy_generator(seed_key).integers(2 * room + 1, size=(rows.count, 2))
        return Window(self.framing.height, self.framing.width, rows.of(torch.from_numpy(corners)))

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """float32 in [0, 1] -> zero mean and unit variance over the training part; in the memory format in
        which convolutions are fast, channels_last."""
        mean, std = to_device(torch.tensor((self.mean, self.std)), images.device).view(2, 1, -1, 1, 1)
        return (images - mean).div_(std).contiguous(memory_format=torch.channels_last)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Stored images, uint8 (B, C, H, W) -> the network's input, float32 (B, C, height, width)."""
        return self.normalize(self.seen(self.floats(images)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, flat; see `from_dict`."""
        return asdict(self.framing) | {
            "grey": self.grey,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """The inverse of `to_dict`; keys that an older checkpoint lacks get their defaults.

        Raises:
            ValueError: they are none of a preprocessing.
        """
        made = cls(
            from_plain(Framing, values, "preprocess"),
            from_plain(bool, values.get("grey", False), "preprocess.grey"),
            tuple(from_plain(list[float], values["mean"], "preprocess.mean")),
            tuple(from_plain(list[float], values["std"], "preprocess.std")),
        )
        framing = made.framing
        if not (0 < framing.height <= LARGEST_SIDE and 0 < framing.width <= LARGEST_SIDE):
            raise ValueError(f"images of {framing.height}×{framing.width} pixels")
        if not (0 <= framing.widen < 10 and 0 <= framing.jitter < 10):
            raise ValueError(f"a margin of {framing.widen:g} and {framing.jitter:g}")
        if (
            len(made.mean) != len(made.std)
            or not np.isfinite([*made.mean, *made.std]).all()
            or min(made.std) <= 0
        ):
            raise ValueError(f"means {list(made.mean)} and deviations {list(made.std)}")
        return made
