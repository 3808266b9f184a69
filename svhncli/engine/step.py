"""One training step: augment, mix, forward, loss and penalties, backward, update."""

from __future__ import annotations

import torch
from torch import nn

from svhncli.core.rng import key
from svhncli.engine.batches import Batch
from svhncli.engine.mixing import MixedBatch, mix
from svhncli.engine.objective import PENALTIES, objective
from svhncli.engine.optimizers import step_optimizer
from svhncli.engine.state import Plan, State


def train_step(plan: Plan, state: State, batch: Batch) -> torch.Tensor:
    """Take one step on a batch, with the lr of the optimizer's groups; keyed by the state's epoch and step.

    Returns:
        The minimized loss including penalties: float32, 0-dimensional, on the device.
    """
    where = (state.epoch, state.step)
    _seed_dropout(plan, where)
    images, labels = batch
    pixels = plan.preprocess.normalize(augmented(plan, images, where))
    inputs, labels, partner_labels, share = mixed(plan, pixels, labels, where)

    state.optimizer.zero_grad(set_to_none=True)
    with plan.machine.autocast():
        logits = state.train_model(inputs.contiguous(memory_format=torch.channels_last))
    logits = logits.float()
    options = plan.label_smoothing, plan.position_weights
    losses = objective(logits, labels, *options)
    if share < 1:
        losses = share * losses + (1 - share) * objective(logits, partner_labels, *options)
    loss = losses.mean()

    total = loss
    for name, strength in plan.penalties.items():
        if strength:
            total = total + strength * PENALTIES[name](state.model)
    _update(plan, state, total)
    if state.ema is not None:
        state.ema.update(state.model)
    state.tally.add(losses.detach(), logits.detach(), labels if share >= 0.5 else partner_labels)
    return total.detach()


def _update(plan: Plan, state: State, loss: torch.Tensor) -> None:
    """Backward, and a step of the optimizer, which the scaler of fp16 leaves out if gradients overflow."""
    (loss if state.scaler is None else state.scaler.scale(loss)).backward()
    if plan.clip:
        if state.scaler is not None:
            state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.model.parameters(), plan.clip)
    if state.scaler is None:
        step_optimizer(state.optimizer)
    else:
        state.scaler.step(state.optimizer)
        state.scaler.update()


def augmented(plan: Plan, images: torch.Tensor, where: tuple[int, int]) -> torch.Tensor:
    """Stored images, uint8 (B, C, H, W), as training at (epoch, step) sees them before normalization.

    Returns:
        float32 (B, C, height, width) in [0, 1].
    """
    pixels = plan.preprocess.floats(images)
    if plan.policy is not None:
        pixels = plan.policy(pixels, key(plan.seed, "policy", *where))
    pixels = plan.augment(pixels, key(plan.seed, "augment", *where))
    return plan.preprocess.seen(pixels, key(plan.seed, "view", *where))


def mixed(plan: Plan, images: torch.Tensor, labels: torch.Tensor, where: tuple[int, int]) -> MixedBatch:
    """Images float32 (B, C, H, W) and labels int64 (B, L), combined by mixup or CutMix at (epoch, step)."""
    return mix(images, labels, plan.mixup, plan.cutmix, key(plan.seed, "mixup", *where))


def _seed_dropout(plan: Plan, where: tuple[int, int]) -> None:
    """Dropout draws from the device's global generator, so that generator is seeded by the step."""
    seed = key(plan.seed, "dropout", *where)
    torch.default_generator.manual_seed(seed)
    if plan.machine.device.type == "cuda":
        torch.cuda.manual_seed(seed)
