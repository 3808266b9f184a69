"""One training step: augment, mix, forward, loss and penalties, backward, update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from svhncli.core.rng import key
from svhncli.engine.batches import Batch
from svhncli.engine.collective import Rows
from svhncli.engine.mixing import Mixed, mix, partners
from svhncli.engine.objective import PENALTIES, objective
from svhncli.engine.optimizers import step_optimizer
from svhncli.engine.state import Plan, State
from svhncli.models.output import LearnsBoxes, Output


@dataclass(frozen=True)
class Targets:
    """What the images of a batch show.

    labels: int64 (B, L). boxes: float32 (B, L, 4), the digits' left, top, right and bottom in pixels of the
    network's input, NaN where none is known; None: the data has no boxes.
    """

    labels: torch.Tensor
    boxes: torch.Tensor | None

    def at(self, places: torch.Tensor) -> Targets:
        """The targets of the images at these places of the batch."""
        return Targets(self.labels[places], None if self.boxes is None else self.boxes[places])


@dataclass(frozen=True)
class Forward:
    """The forward pass of a step: the output for this process's images, which these are, and the whole batch
    as the network sees it."""

    output: Output
    rows: Rows
    mixed: Mixed
    targets: Targets

    @property
    def logits(self) -> torch.Tensor:
        """float32 (b, L, K)."""
        return (self.output if isinstance(self.output, torch.Tensor) else self.output.logits).float()


def train_step(plan: Plan, state: State, batch: Batch) -> torch.Tensor:
    """Take one step on a batch, with the lr of the optimizer's groups; keyed by the state's epoch and step.

    Returns:
        The minimized loss including penalties: float32, 0-dimensional, on the device.
    """
    state.optimizer.zero_grad(set_to_none=True)
    done = forward(plan, state, batch, state.train_model)
    rows, targets, share = done.rows, done.targets, done.mixed.share
    losses = _losses(plan, state.model, done, targets)
    if share < 1:
        partners = _losses(plan, state.model, done, targets.at(done.mixed.partner))
        losses = share * losses + (1 - share) * partners

    # of the whole batch, to which other processes add their shares: exact where shares differ in size
    total = losses.mean() * (len(losses) / rows.count)
    for name, strength in plan.penalties.items():
        if strength:
            total = total + strength / plan.group.size * PENALTIES[name](state.model)
    minimized = _update(plan, state, total)
    if state.ema is not None:
        state.ema.update(state.model)
    shares = [stop - start for start, stop in pairwise(plan.group.bounds(rows.count))]
    losses, logits = plan.group.gathered(shares, losses.detach(), done.logits.detach())
    shown = targets.labels if share >= 0.5 else targets.labels[done.mixed.partner]
    state.tally.add(losses, logits, shown)
    return minimized


def _losses(plan: Plan, network: nn.Module, done: Forward, targets: Targets) -> torch.Tensor:
    """The loss of each of this process's images, float32 (b,). targets: those of the whole batch."""
    labels = done.rows.of(targets.labels)

    def classify(logits: torch.Tensor) -> torch.Tensor:
        return objective(logits, labels, plan.label_smoothing, plan.position_weights)

    if isinstance(done.output, torch.Tensor):
        return classify(done.output)
    assert isinstance(network, LearnsBoxes)
    assert targets.boxes is not None, "assembly demands them"
    return network.losses(done.output, labels, done.rows.of(targets.boxes), classify)


def forward(plan: Plan, state: State, batch: Batch, network: Callable[[torch.Tensor], Output]) -> Forward:
    """The forward pass of a step, whose dropout, augmentation and mixing are keyed by epoch and step.

    network: the model of the state, or what computes the same.
    """
    where = (state.epoch, state.step)
    _seed_dropout(plan, where)
    rows = plan.group.rows(len(batch.images))
    seen = _with_partners(plan, rows, where)
    pixels = plan.preprocess.normalize(augmented(plan, seen.of(batch.images), where, seen))
    whole = mixed(plan, seen.placed(pixels), where)
    boxes = None
    if batch.boxes is not None and isinstance(state.model, LearnsBoxes):
        boxes = _moved(plan, batch.boxes, where)
    with plan.machine.autocast(), plan.group.norms():
        output = network(rows.of(whole.images))
    return Forward(output, rows, whole, Targets(batch.labels, boxes))


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


def mixed(plan: Plan, images: torch.Tensor, where: tuple[int, int]) -> Mixed:
    """Images float32 (B, C, H, W), combined by mixup or CutMix at (epoch, step)."""
    return mix(images, plan.mixup, plan.cutmix, key(plan.seed, "mixup", *where))


def _moved(plan: Plan, boxes: torch.Tensor, where: tuple[int, int]) -> torch.Tensor:
    """Boxes float32 (B, L, 4) in pixels of a whole batch's stored images -> of what `augmented` makes."""
    rows = Rows(len(boxes))
    window = plan.preprocess.window(key(plan.seed, "view", *where), rows)
    stored = plan.preprocess.framing.stored
    return plan.augment.moved(boxes, stored, key(plan.seed, "augment", *where), rows, window)


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
