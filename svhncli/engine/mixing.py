"""Mixup and cutmix: training images are combined in pairs, and so are their labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from svhncli.core import rng
from svhncli.engine.device import to_device

MixedBatch = tuple[Tensor, Tensor, Tensor, float]
"""Images, their labels, their partners' labels, and the share of the former, in [0, 1]. The loss is
`share * objective(logits, labels) + (1 - share) * objective(logits, partner_labels)`."""


def mix(images: Tensor, labels: Tensor, mixup_alpha: float, cutmix_alpha: float, seed_key: int) -> MixedBatch:
    """Apply mixup or cutmix, whichever has an alpha above 0; if both do, either with equal probability.

    Arguments and result are those of `mixup` and `cutmix`; if both alphas are 0 the batch is unchanged.
    """
    if _chosen(mixup_alpha, cutmix_alpha, seed_key) is cutmix:
        return cutmix(images, labels, cutmix_alpha, seed_key)
    return mixup(images, labels, mixup_alpha, seed_key)


def partners(count: int, mixup_alpha: float, cutmix_alpha: float, seed_key: int) -> Tensor:
    """The position of the image that `mix` combines each of `count` with, int64 (count,)."""
    name, alpha = "mixup", mixup_alpha
    if _chosen(mixup_alpha, cutmix_alpha, seed_key) is cutmix:
        name, alpha = "cutmix", cutmix_alpha
    return _drawn(count, alpha, seed_key, name)[2] if alpha else torch.arange(count)


def _chosen(mixup_alpha: float, cutmix_alpha: float, seed_key: int) -> Callable[..., MixedBatch]:
    if mixup_alpha and cutmix_alpha:
        return cutmix if rng.numpy_generator(seed_key, "which").random() < 0.5 else mixup
    return cutmix if cutmix_alpha else mixup


def mixup(images: Tensor, labels: Tensor, alpha: float, seed_key: int) -> MixedBatch:
    """Blend every image with another one of the batch (Zhang et al. 2018).

    Args:
        images: float (B, C, H, W).
        labels: int64 (B, L).
        alpha: the share is drawn from Beta(alpha, alpha), once per batch; 0 blends nothing.
        seed_key: an integer of `rng.key`, different for every batch.

    Returns:
        `share * images + (1 - share) * partners` and the rest of `MixedBatch`.
    """
    if alpha == 0:
        return images, labels, labels, 1.0
    share, _, partner = _drawn(len(images), alpha, seed_key, "mixup")
    partner = to_device(partner, images.device)
    return torch.lerp(images[partner], images, share), labels, labels[partner], share


def cutmix(images: Tensor, labels: Tensor, alpha: float, seed_key: int) -> MixedBatch:
    """Paste a box of another image of the batch into every image, at the same place (Yun et al. 2019).

    Args:
        images: float (B, C, H, W); not modified.
        labels: int64 (B, L).
        alpha: the share of the image that is kept is drawn from Beta(alpha, alpha), once per batch; 0 pastes
            nothing. The box has the proportions of the image, and its center may lie anywhere, so part of the
            box may fall outside.
        seed_key: an integer of `rng.key`, different for every batch.

    Returns:
        The images with the box and the rest of `MixedBatch`; the share is exactly that of the kept pixels.
    """
    if alpha == 0:
        return images, labels, labels, 1.0
    share, generator, partner = _drawn(len(images), alpha, seed_key, "cutmix")
    partner = to_device(partner, images.device)
    part = math.sqrt(1 - share)
    rows, columns = (_segment(length, part, generator) for length in images.shape[2:])
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[partner, :, rows, columns]
    height, width = images.shape[2:]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, labels, labels[partner], 1 - pasted / (height * width)


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
