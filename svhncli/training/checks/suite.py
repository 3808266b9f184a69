"""Whether training with a config can be trusted, checked in short runs with its own parts (Karpathy 2019).

Every check measures one thing that must hold for any data and any network. The checks use the real training
loop, `fit` and `evaluate`, on a few images. Where a check changes the config (it removes regularization to
memorize images, for instance), its code says so.
"""

from __future__ import annotations

from collections.abc import Callable

from svhncli.training.checks.bench import Bench, CheckResult
from svhncli.training.checks.learning import (
    augmented_images,
    blank_images,
    capacity,
    learns,
    overfit_one_batch,
    shuffled_labels,
)
from svhncli.training.checks.loop import (
    averages,
    gradients,
    independent_samples,
    loss_at_start,
    resume,
    same_preprocessing,
    same_seed,
    validation_size,
)

CHECKS: dict[str, Callable[[Bench], CheckResult]] = {
    "validation size": validation_size,
    "loss at start": loss_at_start,
    "same preprocessing": same_preprocessing,
    "independent samples": independent_samples,
    "gradients": gradients,
    "same seed": same_seed,
    "resume": resume,
    "one batch": overfit_one_batch,
    "learns": learns,
    "averages": averages,
    "capacity": capacity,
    "blank images": blank_images,
    "shuffled labels": shuffled_labels,
    "augmentation": augmented_images,
}
"""Name -> check, the fastest first."""
