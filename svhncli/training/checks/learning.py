"""Checks of what a network learns: from a few images, from blanked ones, from shuffled labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import torch
from torch import nn

from svhncli import registry
from svhncli.config.groups.model import LinearConfig
from svhncli.config.groups.optim import AdamConfig
from svhncli.config.groups.reg import AugmentConfig, RegConfig
from svhncli.config.groups.schedule import OneCycleConfig
from svhncli.core.rng import numpy_generator
from svhncli.data.split import Fold
from svhncli.engine.forward import evaluate
from svhncli.engine.preprocess import as_uint8
from svhncli.engine.state import Plan, State
from svhncli.engine.step import augmented
from svhncli.models.head import Head
from svhncli.runs.contact_sheet import Block, draw_sheet
from svhncli.stats.intervals import wilson
from svhncli.training.checks.bench import NEAR_ZERO, SHUFFLED_STEPS, Bench, CheckResult, losses

FEW, MEMORY = 16, 1_000
"""Images that are memorized, and the most steps for it."""
PRIOR = 0.05
"""How far below that of guessing the loss on blanked images may fall, as a share of it: a small training
part is always overfitted a little."""
GROWN = 0.02
"""By what share the training loss must fall when the layers below the head train, too."""
LINEAR_LRS = (1e-4, 1e-3, 1e-2)
"""Of these, the linear model gets the lr with which it does best: the network's own may be far off for it."""
SURE = 2.0
"""Standard errors by which the network must beat what it is compared with."""
KEPT, KEPT_ALONE = 0.35, 0.5
"""Share of the correctly classified digits that must stay correct when augmented: by all changes, and by each
alone among those that it changes. After 160 steps reg=strong keeps 47%, RandAugment 44%; translate=0.1 alone
62%, hflip 42%, labels of other images 10%."""
SHEET = "augmented.png"


def overfit_one_batch(bench: Bench) -> CheckResult:
    """A few images can be memorized, without regularization."""
    some = Fold("few", bench.fold.train[:FEW], bench.fold.train[:FEW])
    _, state = bench.train(bench.plain, MEMORY, fold=some, until=NEAR_ZERO)
    loss = state.history[-1]["train_loss"]
    return CheckResult(
        f"can {len(some.train)} images be memorized?",
        f"loss {loss:.3f} after {len(state.history)} steps",
        f"{NEAR_ZERO:g} or less within {MEMORY}",
        loss <= NEAR_ZERO,
        "labels do not belong to their images, the loss does not reach the weights, or lr is far too low "
        "(svhn lr-find) or too high",
    )


def learns(bench: Bench) -> CheckResult:
    """The network predicts better than guessing without images, and than a linear model."""
    labels = bench.data.train.labels[bench.fold.val]

    def read(plan: Plan, state: State) -> tuple[np.ndarray, np.ndarray]:
        _, probabilities = evaluate(state.eval_model, plan.val, plan.preprocess, bench.machine)
        return losses(probabilities, labels), (probabilities.argmax(-1) == labels).mean(1)

    own, hits = read(*bench.learned)
    majority = np.mean([np.bincount(column).max() for column in labels.T]) / len(labels)
    rivals = {"guessing by frequency": (bench.guessing(bench.fold.val), np.full(len(labels), majority))}
    if bench.config.model.name != "linear":
        linear = replace(bench.plain, model=LinearConfig(), optim=AdamConfig(), reg=RegConfig())
        tried = (read(*bench.train(replace(linear, lr=lr), bench.steps)) for lr in LINEAR_LRS)
        rivals["a linear model"] = min(tried, key=lambda scores: scores[0].mean())
    # a network that also fits noise may be more accurate and overconfident
    beaten = [_is_above(loss - own) or _is_above(hits - right) for loss, right in rivals.values()]
    figures = ", ".join(
        f"{name} {loss.mean():.3f} ({right.mean():.1%})" for name, (loss, right) in rivals.items()
    )
    return CheckResult(
        "does it predict better than guessing, the most common class and a linear model?",
        f"after {bench.steps} steps loss on {len(labels):,} val images {own.mean():.3f} "
        f"(digit accuracy {hits.mean():.1%}); {figures}",
        f"a lower loss or a higher accuracy than each, by {SURE:g} standard errors",
        all(beaten),
        "lr is far too low or too high (svhn lr-find), it needs more steps (check.steps=…), or the network "
        "does not get the images as they are",
    )


def _is_above(gains: np.ndarray) -> bool:
    """Whether the mean of gains (n,) is above 0 by `SURE` standard errors."""
    return bool(gains.mean() > SURE * gains.std(ddof=1) / math.sqrt(len(gains)))


def capacity(bench: Bench) -> CheckResult:
    """The training loss falls further when all layers train than when the head alone does."""
    _, state = bench.learned
    head = _is_head(state.model)
    every = state.history[-1]["train_loss"]
    below = sum(p.numel() for p in state.model.parameters() if id(p) not in head)
    question = "does the training loss fall when more of the network trains?"
    fix = "the layers below the head do not learn: they are not in the optimizer, or their lr is 0"
    if not below or not head:
        what = "the network is only a head" if head else "the network has no head of its own"
        return CheckResult(question, what, "nothing to compare", True, fix)

    def freeze(network: nn.Module) -> None:
        keep = _is_head(network)
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in keep)

    _, few = bench.train(bench.plain, bench.steps, prepare=freeze)
    alone = few.history[-1]["train_loss"]
    return CheckResult(
        question,
        f"{every:.3f} with all layers, {alone:.3f} with the head alone",
        f"lower by {GROWN:.0%} or more",
        every <= (1 - GROWN) * alone,
        fix,
    )


def _is_head(network: nn.Module) -> set[int]:
    return {id(p) for layer in network.modules() if isinstance(layer, Head) for p in layer.parameters()}


def blank_images(bench: Bench) -> CheckResult:
    """From blanked images nothing can be learned but the class frequencies."""
    blank = replace(bench.data.train, images=np.full_like(bench.data.train.images, 128))
    reg = replace(bench.config.reg, position_weights=[])  # by which guessing would have to be weighed, too
    config = replace(bench.config, reg=reg, schedule=OneCycleConfig())
    _, state = bench.train(config, bench.config.check.steps // 2, data=replace(bench.data, train=blank))
    last, rows = state.history[-1], bench.fold
    floors = bench.guessing(rows.train).mean(), bench.guessing(rows.val).mean()
    reached = last["train_loss"], last["val_loss"]
    passed = all(bool(loss >= (1 - PRIOR) * floor) for loss, floor in zip(reached, floors, strict=True))
    return CheckResult(
        "do blank images teach nothing but the class frequencies?",
        f"loss {reached[0]:.3f} on train, {reached[1]:.3f} on val",
        f"not below guessing, {floors[0]:.3f} and {floors[1]:.3f}, by more than {PRIOR:.0%}",
        passed,
        "the label reaches the network other than through the image",
    )


def shuffled_labels(bench: Bench) -> CheckResult:
    """Labels that have nothing to do with their images cannot be predicted on the validation part.

    A label is drawn for every distinct image, so an image on both sides of the fold has one label.
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
    return CheckResult(
        "are shuffled labels unpredictable on the validation part?",
        f"{row['val_accuracy']:.1%} correct on {n} val images (train {row['train_accuracy']:.1%})",
        f"no more than by chance, {chance:.1%}",
        low <= chance,
        "validation images are also trained on (svhn inspect), or the validation uses the labels",
    )


def augmented_images(bench: Bench) -> CheckResult:
    """Augmented images still show their labels: a network that learned without augmentation recognizes them.

    A flip leaves half of the images unchanged, and symmetric digits, so that its effect would be hidden among
    other changes. So every change is also measured alone, and images that it does not change do not count.
    """
    plan, state = bench.learned
    images, labels, _ = plan.val.take(np.arange(len(plan.val)))
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
    alone = {name: kept(single)[0] for name, single in _one_at_a_time(augment)}
    together, changed = kept(augment)
    blocks = ("original", clean), ("as in training", changed)
    draw_sheet(bench.folder / SHEET, [Block(caption, as_uint8(pixels[:64])) for caption, pixels in blocks])
    worst = min(alone, key=lambda name: alone[name], default=None)
    measured = f"{together:.1%} of the digits that are recognized without augmentation"
    if worst is not None:
        measured += f"; with reg.augment.{worst} alone, the worst, {alone[worst]:.1%}"
    return CheckResult(
        "do augmented images still show their labels?",
        measured,
        f"{KEPT:.0%} or more, and {KEPT_ALONE:.0%} with each change alone; it was trained without any",
        bool(readable.any()) and together >= KEPT and all(share >= KEPT_ALONE for share in alone.values()),
        f"look at {SHEET}: what turns a digit into another one (hflip, vflip, a wide rotate) must go, the "
        "rest may be milder",
        SHEET,
    )


def _one_at_a_time(augment: AugmentConfig) -> Iterator[tuple[str, AugmentConfig]]:
    """Every change that is on, and an augmentation with it alone; policies are not included."""
    for item in fields(augment):
        value = getattr(augment, item.name)
        if value and item.name != "elastic_sigma" and not item.name.startswith("policy"):
            nothing = AugmentConfig(elastic_sigma=augment.elastic_sigma)
            yield item.name, replace(nothing, **{item.name: value})
