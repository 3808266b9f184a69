"""Checks by what a network learns: from a few pictures, from blanked ones, from shuffled labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import torch
from torch import nn

from svhncli import registry
from svhncli.config.groups.model import LinearConfig
from svhncli.config.groups.reg import AugmentConfig
from svhncli.config.groups.schedule import OneCycleConfig
from svhncli.core.rng import numpy_generator
from svhncli.data.split import Fold
from svhncli.engine.forward import evaluate
from svhncli.engine.state import Plan, State
from svhncli.engine.step import augmented
from svhncli.models.head import Head
from svhncli.runs.contact_sheet import draw_sheet
from svhncli.stats.intervals import wilson
from svhncli.training.checks.bench import NEAR_ZERO, SHUFFLED_STEPS, Bench, Result, losses

FEW, MEMORY = 16, 1_000
"""Pictures that are learned by heart, and in how many steps at most."""
PRIOR = 0.05
"""How far below guessing by the classes' shares blanked pictures may train, as a share of it: by chance alone
a small training part is fitted a little."""
GROWN = 0.02
"""By what share the training loss must fall when the layers below the head train, too."""
SURE = 2.0
"""Standard errors by which the network must beat what it is compared with."""
KEPT, KEPT_ALONE = 0.35, 0.5
"""Share of the digits that are read rightly as they are which must be so when augmented, by all changes and
by each alone, of those that it changes. After 160 steps reg=strong keeps 47 %, RandAugment
44 %; translate=0.1 alone 62 %, hflip 42 %, labels of other pictures 10 %."""
SHEET = "augmented.png"


def overfit_one_batch(bench: Bench) -> Result:
    """A few pictures can be learned by heart, without regularisation."""
    some = Fold("few", bench.fold.train[:FEW], bench.fold.train[:FEW])
    _, state = bench.train(bench.plain, MEMORY, fold=some, until=NEAR_ZERO)
    loss = state.history[-1]["train_loss"]
    return Result(
        f"can {len(some.train)} pictures be learned by heart?",
        f"loss {loss:.3f} after {len(state.history)} steps",
        f"{NEAR_ZERO:g} or less within {MEMORY}",
        loss <= NEAR_ZERO,
        "labels do not belong to their pictures, the loss does not reach the weights, or lr is far too low "
        "(svhn lr-find) or too high",
    )


def learns(bench: Bench) -> Result:
    """The network reads better than one who sees no pictures, and than a linear model."""
    labels = bench.data.train.labels[bench.fold.val]

    def read(plan: Plan, state: State) -> tuple[np.ndarray, np.ndarray]:
        _, said = evaluate(state.eval_model, plan.val, plan.preprocess, bench.machine)
        return losses(said, labels), (said.argmax(-1) == labels).mean(1)

    own, hits = read(*bench.learned)
    majority = np.mean([np.bincount(column).max() for column in labels.T]) / len(labels)
    rivals = {"guessing by shares": (bench.guessing(bench.fold.val), np.full(len(labels), majority))}
    if bench.config.model.name != "linear":
        linear = replace(bench.plain, model=LinearConfig())
        rivals["a linear model"] = read(*bench.train(linear, bench.steps))
    # one that fits noise, too, may read more and be too sure of it
    beaten = [_is_above(loss - own) or _is_above(hits - right) for loss, right in rivals.values()]
    figures = ", ".join(
        f"{name} {loss.mean():.3f} ({right.mean():.1%})" for name, (loss, right) in rivals.items()
    )
    return Result(
        "does it read better than guessing, the commonest class and a linear model?",
        f"after {bench.steps} steps loss on {len(labels):,} val pictures {own.mean():.3f} "
        f"({hits.mean():.1%} of the digits right); {figures}",
        f"a lower loss or more right than each, by {SURE:g} standard errors",
        all(beaten),
        "lr is far too low or too high (svhn lr-find), it takes longer (check.steps=…), or the network does "
        "not see the pictures as they are",
    )


def _is_above(gains: np.ndarray) -> bool:
    """Whether the mean of gains (n,) is above 0 by `SURE` standard errors."""
    return bool(gains.mean() > SURE * gains.std(ddof=1) / math.sqrt(len(gains)))


def capacity(bench: Bench) -> Result:
    """The training loss falls further when all layers train than when the head alone does."""
    _, state = bench.learned
    head = _is_head(state.model)
    every = state.history[-1]["train_loss"]
    below = sum(p.numel() for p in state.model.parameters() if id(p) not in head)
    question = "does the training loss fall when more of the network trains?"
    mend = "the layers below the head do not learn: they are not in the optimiser, or their lr is 0"
    if not below or not head:
        return Result(question, "the network is a head alone", "nothing to compare", True, mend)

    def freeze(network: nn.Module) -> None:
        keep = _is_head(network)
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in keep)

    _, few = bench.train(bench.plain, bench.steps, prepare=freeze)
    alone = few.history[-1]["train_loss"]
    return Result(
        question,
        f"{every:.3f} with all layers, {alone:.3f} with the head alone",
        f"lower by {GROWN:.0%} or more",
        every <= (1 - GROWN) * alone,
        mend,
    )


def _is_head(network: nn.Module) -> set[int]:
    return {id(p) for one in network.modules() if isinstance(one, Head) for p in one.parameters()}


def blank_pictures(bench: Bench) -> Result:
    """From blanked pictures nothing can be learned but how frequent the classes are."""
    grey = replace(bench.data.train, images=np.full_like(bench.data.train.images, 128))
    reg = replace(bench.config.reg, position_weights=[])  # by which guessing would have to be weighed, too
    config = replace(bench.config, reg=reg, schedule=OneCycleConfig())
    _, state = bench.train(config, bench.config.check.steps // 2, data=replace(bench.data, train=grey))
    last, rows = state.history[-1], bench.fold
    floors = bench.guessing(rows.train).mean(), bench.guessing(rows.val).mean()
    found = last["train_loss"], last["val_loss"]
    passed = all(bool(one >= (1 - PRIOR) * floor) for one, floor in zip(found, floors, strict=True))
    return Result(
        "is nothing learned from blanked pictures but the classes' shares?",
        f"loss {found[0]:.3f} on train, {found[1]:.3f} on val",
        f"not below guessing, {floors[0]:.3f} and {floors[1]:.3f}, by more than {PRIOR:.0%}",
        passed,
        "the label reaches the network otherwise than through the picture",
    )


def shuffled_labels(bench: Bench) -> Result:
    """Labels that have nothing to do with their pictures cannot be read on validation.

    A label is drawn for every different picture, so one that stands on both sides has it on both.
    """
    digits, fold = bench.shuffled.train, bench.shuffled_fold
    _, which = np.unique(digits.images.reshape(len(digits), -1), axis=0, return_inverse=True)
    order = numpy_generator(bench.config.seed, "check", "labels").permutation(len(digits))
    labels = digits.labels[order[which.ravel()]]
    data = replace(bench.shuffled, train=replace(digits, labels=labels))
    _, state = bench.train(
        replace(bench.plain, batch_size=32), SHUFFLED_STEPS, data=data, fold=fold, until=NEAR_ZERO
    )
    row, n = state.history[-1], len(fold.val)
    spelt = np.unique(labels[fold.val], axis=0, return_counts=True)[1]
    chance = float(spelt.max() / n)
    low = wilson(round(row["val_accuracy"] * n), n, 0.999).low
    return Result(
        "are shuffled labels unreadable on validation?",
        f"{row['val_accuracy']:.1%} right on {n} val pictures (train {row['train_accuracy']:.1%})",
        f"no more than by chance, {chance:.1%}",
        low <= chance,
        "validation pictures train, too (svhn inspect), or the validation sees the labels",
    )


def augmented_pictures(bench: Bench) -> Result:
    """Augmented pictures still carry their labels: a network that learned without augmentation reads them.

    A flip leaves half of the pictures, and those digits that are symmetrical: among other changes it would
    hide. So every change is looked at alone, too, and the pictures that it leaves as they are do not count.
    """
    plan, state = bench.learned
    images, labels = plan.val.take(np.arange(len(plan.val)))
    network = state.eval_model.eval()

    def right(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), bench.machine.autocast():
            return network(plan.preprocess.normalize(pixels)).argmax(-1) == labels

    clean = plan.preprocess.seen(plan.preprocess.floats(images))
    readable = right(clean)

    def kept(augment: AugmentConfig) -> tuple[float, torch.Tensor]:
        own = replace(plan, augment=registry.augment(augment), policy=registry.policy(augment))
        pixels = augmented(own, images, (0, 0))
        moved = readable & ((pixels - clean).abs().amax((1, 2, 3)) > 1 / 255)[:, None]
        count = moved if bool(moved.any()) else readable
        return float(right(pixels)[count].float().mean()), pixels

    augment = bench.config.reg.augment
    alone = {name: kept(one)[0] for name, one in _each_alone(augment)}
    together, changed = kept(augment)
    blocks = ("as they are", clean), ("as the training sees them", changed)
    drawn = [
        (caption, (255 * pixels[:64]).round().to(torch.uint8).cpu().numpy()) for caption, pixels in blocks
    ]
    draw_sheet(bench.folder / SHEET, drawn)
    worst = min(alone, key=lambda name: alone[name], default=None)
    measured = f"{together:.1%} of the digits that are read as they are"
    if worst is not None:
        measured += f"; with reg.augment.{worst} alone, the worst, {alone[worst]:.1%}"
    return Result(
        "do augmented pictures still carry their labels?",
        measured,
        f"{KEPT:.0%} or more, and {KEPT_ALONE:.0%} with each change alone, of a network that has seen none",
        bool(readable.any()) and together >= KEPT and all(one >= KEPT_ALONE for one in alone.values()),
        f"look at {SHEET}: what turns a digit into another one (hflip, vflip, a wide rotate) must go, "
        "the rest may be milder",
        SHEET,
    )


def _each_alone(augment: AugmentConfig) -> Iterator[tuple[str, AugmentConfig]]:
    """Every change that is on, and an augmentation with it alone; a policy is none of these."""
    for item in fields(augment):
        value = getattr(augment, item.name)
        if value and item.name != "elastic_sigma" and not item.name.startswith("policy"):
            one = AugmentConfig(elastic_sigma=augment.elastic_sigma)
            yield item.name, replace(one, **{item.name: value})
