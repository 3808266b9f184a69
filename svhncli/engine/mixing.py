"""Mixup and cutmix: training images are combined in pairs, and so are their labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from svhncli.core import rng
from svhncli.engine.device import to_device


class Mixed(NamedTuple):
    """Images combined in pairs.

    images: float (B, C, H, W). partner: int64 (B,), the position of the image that each is combined with.
    share: of its own, in [0, 1]. The loss is `share * own + (1 - share) * that for the partner's labels`.
    """

    images: Tensor
    partner: Tensor
    share: float


def mix(images: Tensor, mixup_alpha: float, cutmix_alpha: float, seed_key: int) -> Mixed:
    """Apply mixup or cutmix, whichever has an alpha above 0; if both do, either with equal probability.

    Arguments and result are those of `mixup` and `cutmix`; if both alphas are 0 the batch is unchanged.
    """
    if _chosen(mixup_alpha, cutmix_alpha, seed_key) is cutmix:
        return cutmix(images, cutmix_alpha, seed_key)
    return mixup(images, mixup_alpha, seed_key)


def partners(count: int, mixup_alpha: float, cutmix_alpha: float, seed_key: int) -> Tensor:
    """The position of the image that `mix` combines each of `count` with, int64 (count,)."""
    name, alpha = "mixup", mixup_alpha
    if _chosen(mixup_alpha, cutmix_alpha, seed_key) is cutmix:
        name, alpha = "cutmix", cutmix_alpha
    return _drawn(count, alpha, seed_key, name)[2] if alpha else torch.arange(count)


def _chosen(mixup_alpha: float, cutmix_alpha: float, seed_key: int) -> Callable[..., Mixed]:
    if mixup_alpha and cutmix_alpha:
        return cutmix if rng.numpy_generator(seed_key, "which").random() < 0.5 else mixup
    return cutmix if cutmix_alpha else mixup


def mixup(images: Tensor, alpha: float, seed_key: int) -> Mixed:
    """Blend every image with another one of the batch (Zhang et al. 2018).

    Args:
        images: float (B, C, H, W).
        alpha: the share is drawn from Beta(alpha, alpha), once per batch; 0 blends nothing.
        seed_key: an integer of `rng.key`, different for every batch.

    Returns:
        Of each image `share * image + (1 - share) * partner`.
    """
    if alpha == 0:
        return _unmixed(images)
    share, _, partner = _drawn(len(images), alpha, seed_key, "mixup")
    partner = to_device(partner, images.device)
    return Mixed(torch.lerp(images[partner], images, share), partner, share)


def cutmix(images: Tensor, alpha: float, seed_key: int) -> Mixed:
    """Paste a box of another image of the batch into every image, at the same place (Yun et al. 2019).

    Args:
        images: float (B, C, H, W); not modified.
        alpha: the share of the image that is kept is drawn from Beta(alpha, alpha), once per batch; 0 pastes
            nothing. The box has the proportions of the image, and its center may lie anywhere, so part of the
            box may fall outside.
        seed_key: an integer of `rng.key`, different for every batch.

    Returns:
        The images with the box; the share is exactly that of the kept pixels.
    """
    if alpha == 0:
        return _unmixed(images)
    share, generator, partner = _drawn(len(images), alpha, seed_key, "cutmix")
    partner = to_device(partner, images.device)
    part = math.sqrt(1 - share)
    rows, columns = (_segment(length, part, generator) for length in images.shape[2:])
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[partner, :, rows, columns]
    height, width = images.shape[2:]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed(mixed, partner, 1 - pasted / (height * width))


def _unmixed(images: Tensor) -> Mixed:
    return Mixed(images, torch.arange(len(images), device=images.device), 1.0)


def _drawn(count: int, alpha: float, seed_key: int, name: str) -> tuple[float, np.random.Generator, Tensor]:
    """The share, the generator for what else is drawn, and the partner of every image."""
    generator = rng.numpy_generator(seed_key, name)
    share = float(generator.beta(alpha, alpha))
    return share, generator, torch.from_numpy(generator.permutation(count))


def _segment(length: int, part: float, generator: np.random.Generator) -> slice:
    """That part of a side around a random pixel of it, clipped at both ends."""
    size = int(length * part)
    start = int(generator.integers(length)) - size // 2
    return slice(max(0, start), max(0, min(length, start + size)))
