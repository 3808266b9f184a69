"""One training step: augment, mix, forward, loss and penalties, backward, update."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from svhncli.core.rng import key
from svhncli.engine.batches import Batch
from svhncli.engine.collective import Rows
from svhncli.engine.mixing import MixedBatch, mix, partners
from svhncli.engine.objective import PENALTIES, objective
from svhncli.engine.optimizers import step_optimizer
from svhncli.engine.state import Plan, State


def train_step(plan: Plan, state: State, batch: Batch) -> torch.Tensor:
    """Take one step on a batch, with the lr of the optimizer's groups; keyed by the state's epoch and step.

    Returns:
        The minimized loss including penalties: float32, 0-dimensional, on the device.
    """
    state.optimizer.zero_grad(set_to_none=True)
    logits, rows, (_, labels, partner_labels, share) = forward(plan, state, batch, state.train_model)
    options = plan.label_smoothing, plan.position_weights
    losses = objective(logits, rows.of(labels), *options)
    if share < 1:
        losses = share * losses + (1 - share) * objective(logits, rows.of(partner_labels), *options)

    # of the whole batch, to which other processes add their shares: exact where shares differ in size
    total = losses.mean() * (len(losses) / rows.count)
    for name, strength in plan.penalties.items():
        if strength:
            total = total + strength / plan.group.size * PENALTIES[name](state.model)
    minimized = _update(plan, state, total)
    if state.ema is not None:
        state.ema.update(state.model)
    shares = [stop - start for start, stop in pairwise(plan.group.bounds(rows.count))]
    losses, logits = plan.group.gathered(shares, losses.detach(), logits.detach())
    state.tally.add(losses, logits, labels if share >= 0.5 else partner_labels)
    return minimized


def forward(
    plan: Plan, state: State, batch: Batch, network: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, Rows, MixedBatch]:
    """The forward pass of a step, whose dropout, augmentation and mixing are keyed by epoch and step.

    network: the model of the state, or what computes the same.

    Returns:
        Logits float32 (B, L, K) of this process's images, which images these are, and the whole batch as the
        network sees it.
    """
    where = (state.epoch, state.step)
    _seed_dropout(plan, where)
    images, labels = batch
    rows = plan.group.rows(len(images))
    seen = _with_partners(plan, rows, where)
    pixels = plan.preprocess.normalize(augmented(plan, seen.of(images), where, seen))
    inputs = mixed(plan, seen.placed(pixels), labels, where)
    with plan.machine.autocast(), plan.group.norms():
        logits = network(rows.of(inputs[0]))
    return logits.float(), rows, inputs


def _update(plan: Plan, state: State, loss: torch.Tensor) -> torch.Tensor:
    """Backward, and a step of the optimizer, which the scaler of fp16 leaves out if gradients overflow.

    A loss that is not finite spoils no weights on a CPU, where nothing waits for it to be read: they show
    which layer it came from.

    Returns:
        The loss of the whole batch.
    """
    (loss if state.scaler is None else state.scaler.scale(loss)).backward()
    minimized = plan.group.reduced(state.model, loss.detach())
    if plan.machine.device.type == "cpu" and not minimized.isfinite():
        return minimized
    if plan.clip:
        if state.scaler is not None:
            state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.model.parameters(), plan.clip)
    if state.scaler is None:
        step_optimizer(state.optimizer)
    else:
        state.scaler.step(state.optimizer)
        state.scaler.update()
    return minimized


def augmented(
    plan: Plan, images: torch.Tensor, where: tuple[int, int], rows: Rows | None = None
) -> torch.Tensor:
    """Stored images, uint8 (B, C, H, W), as training at (epoch, step) sees them before normalization.

    rows: which images of a larger batch these are; None: they are a whole batch.

    Returns:
        float32 (B, C, height, width) in [0, 1].
    """
    pixels = plan.preprocess.floats(images)
    if plan.policy is not None:
        pixels = plan.policy(pixels, key(plan.seed, "policy", *where), rows)
    window = plan.preprocess.window(key(plan.seed, "view", *where), rows or Rows(len(images)))
    return plan.augment(pixels, key(plan.seed, "augment", *where), rows, window)


def mixed(plan: Plan, images: torch.Tensor, labels: torch.Tensor, where: tuple[int, int]) -> MixedBatch:
    """Images float32 (B, C, H, W) and labels int64 (B, L), combined by mixup or CutMix at (epoch, step)."""
    return mix(images, labels, plan.mixup, plan.cutmix, key(plan.seed, "mixup", *where))


def _with_partners(plan: Plan, rows: Rows, where: tuple[int, int]) -> Rows:
    """The images whose pixels this process needs: its own, and those that they are mixed with."""
    if plan.group.size == 1:
        return rows
    return rows.joined(partners(rows.count, plan.mixup, plan.cutmix, key(plan.seed, "mixup", *where)))


def _seed_dropout(plan: Plan, where: tuple[int, int]) -> None:
    """Dropout draws from the device's global generator, so that generator is seeded by the step.

    And, but for the first, by the process: images at one place of two shares must not drop the same units.
    """
    rank = [plan.group.rank] if plan.group.rank else []
    seed = key(plan.seed, "dropout", *where, *rank)
    torch.default_generator.manual_seed(seed)
    if plan.machine.device.type == "cuda":
        torch.cuda.manual_seed(seed)
