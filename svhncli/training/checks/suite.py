"""Whether a training can be trusted, asked by small trainings of the config's own parts (Karpathy 2019).

Every check measures one thing that must hold whatever the data and the network are. They run the loop that
trains, `fit` and `evaluate`, on a few pictures; what they take away of the config (regularisation, where
something is to be memorised) is said where it happens.
"""

from __future__ import annotations

from collections.abc import Callable

from svhncli.training.checks.bench import Bench, CheckResult
from svhncli.training.checks.learning import (
    augmented_pictures,
    blank_pictures,
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
    "samples alone": independent_samples,
    "gradients": gradients,
    "one seed": same_seed,
    "resume": resume,
    "one batch": overfit_one_batch,
    "learns": learns,
    "averages": averages,
    "capacity": capacity,
    "blank pictures": blank_pictures,
    "shuffled labels": shuffled_labels,
    "augmentation": augmented_pictures,
}
"""Name -> check, those that take least first."""
