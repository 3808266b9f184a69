"""Whether a training can be trusted, checked by small trainings of the config's own parts (Karpathy 2019).

Every check measures one thing that must hold whatever the data and the network are. They run the real
training loop, `fit` and `evaluate`, on a few images; where they remove something from the config
(regularization, where images have to be memorized), their docstring says so.
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
    one_preprocessing,
    resume,
    same_seed,
    validation_size,
)

CHECKS: dict[str, Callable[[Bench], CheckResult]] = {
    "validation size": validation_size,
    "loss at start": loss_at_start,
    "one preprocessing": one_preprocessing,
    "independent samples": independent_samples,
    "gradients": gradients,
    "one seed": same_seed,
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
