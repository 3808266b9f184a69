"""The one way from a stored picture to what a network sees; kept in the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

SAMPLE = 20_000
"""Mean and standard deviation are taken from at most this many training pictures: their error is far
below one grey level, and half a million memory-mapped pictures need not be read before the first step."""


@dataclass(frozen=True)
class Preprocess:
    """height, width in pixels; mean and std a channel, of values in [0, 1], from the training part alone."""

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measure(cls, images: np.ndarray, indices: np.ndarray) -> Preprocess:
        """From the training pictures `images[indices]`, uint8 (N, C, H, W)."""
        chosen = np.sort(indices[:: -(-len(indices) // SAMPLE)])
        counts = np.zeros((images.shape[1], 256), np.int64)  # whole numbers: exact in any order
        for start in range(0, len(chosen), 1000):
            block = images[chosen[start : start + 1000]]
            for channel in range(images.shape[1]):
                counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
        levels = np.arange(256) / 255
        shares = counts / counts.sum(1, keepdims=True)
        mean = shares @ levels
        std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
        return cls(
            images.shape[2],
            images.shape[3],
            tuple(mean.tolist()),
            tuple(np.maximum(std, 1 / 255).tolist()),  # a blank channel must not divide by zero
        )

    def floats(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) of any size -> float32 in [0, 1], (B, C, height, width), channels last."""
        out = images.to(torch.float32, memory_format=torch.channels_last).div_(255)
        if out.shape[2:] != (self.height, self.width):
            out = functional.interpolate(
                out, (self.height, self.width), mode="bilinear", antialias=True, align_corners=False
            ).clamp_(0, 1)
        return out

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """float32 in [0, 1] -> zero mean and unit variance over the training part."""
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1)
        return (images - mean) / std

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, C, H, W) -> what the network sees, float32 (B, C, height, width)."""
        return self.normalise(self.floats(images))

    def to_dict(self) -> dict[str, Any]:
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        return cls(values["height"], values["width"], tuple(values["mean"]), tuple(values["std"]))
