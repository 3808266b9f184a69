"""Checks of what a network learns: from a few images, from blank images, from shuffled labels."""

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
from svhncli.training.checks.bench import NEAR_ZERO, SHUFFLED_STEPS, Bench, CheckResult, losses

FEW, MEMORY = 16, 1_000
"""The number of images to memorize, and the most steps that this may take."""
PRIOR = 0.05
"""How far the loss on blank images may fall below that of guessing, as a fraction of it: a small training
part is always fitted a little."""
GROWN = 0.02
"""The fraction by which the training loss must fall when the layers below the head are trained as well."""
SURE = 2.0
"""The number of standard errors by which the network must beat each baseline."""
KEPT, KEPT_ALONE = 0.35, 0.5
"""Fractions of the correctly classified digits that must stay correct under augmentation: with all changes
together, and with each change alone (counting the images that it changes). After 160 steps, reg=strong keeps
47%, RandAugment 44%, translate=0.1 alone 62%, hflip 42%, and labels of other images 10%."""
SHEET = "augmented.png"


def overfit_one_batch(bench: Bench) -> CheckResult:
    """A few images can be memorized without regularization."""
    some = Fold("few", bench.fold.train[:FEW], bench.fold.train[:FEW])
    _, state = bench.train(bench.plain, MEMORY, fold=some, until=NEAR_ZERO)
    loss = state.history[-1]["train_loss"]
    return CheckResult(
        f"can the network memorize {len(some.train)} images?",
        f"loss {loss:.3f} after {len(state.history)} steps",
        f"{NEAR_ZERO:g} or less within {MEMORY} steps",
        loss <= NEAR_ZERO,
        "check that the labels belong to their images, that the loss has a gradient for the weights, and "
        "that lr is not far too low or too high (svhn lr-find)",
    )


def learns(bench: Bench) -> CheckResult:
    """The network beats guessing, the most frequent class and a linear model on the validation part."""
    labels = bench.data.train.labels[bench.fold.val]

    def scores(plan: Plan, state: State) -> tuple[np.ndarray, np.ndarray]:
        _, probabilities = evaluate(state.eval_model, plan.val, plan.preprocess, bench.machine)
        return losses(probabilities, labels), (probabilities.argmax(-1) == labels).mean(1)

    own, hits = scores(*bench.learned)
    majority = np.mean([np.bincount(column).max() for column in labels.T]) / len(labels)
    baselines = {"guessing": (bench.guessing(bench.fold.val), np.full(len(labels), majority))}
    if bench.config.model.name != "linear":
        linear = replace(bench.plain, model=LinearConfig())
        baselines["a linear model"] = scores(*bench.train(linear, bench.steps))
    # A network that also fits noise may have a higher accuracy but be overconfident.
    beaten = [_is_above(loss - own) or _is_above(hits - right) for loss, right in baselines.values()]
    figures = ", ".join(
        f"{name} {loss.mean():.3f} ({right.mean():.1%})" for name, (loss, right) in baselines.items()
    )
    return CheckResult(
        "does the network beat guessing, the most frequent class and a linear model?",
        f"after {bench.steps} steps, loss {own.mean():.3f} on {len(labels):,} validation images "
        f"({hits.mean():.1%} of the digits correct); {figures}",
        f"a lower loss or a higher accuracy than each of them, by {SURE:g} standard errors",
        all(beaten),
        "find a better lr (svhn lr-find), train for longer (check.steps=…), or check that the network gets "
        "the images unchanged",
    )


def _is_above(gains: np.ndarray) -> bool:
    """Whether the mean of gains (n,) is more than `SURE` standard errors above 0."""
    return bool(gains.mean() > SURE * gains.std(ddof=1) / math.sqrt(len(gains)))


def capacity(bench: Bench) -> CheckResult:
    """The training loss falls further when all layers are trained than when only the head is."""
    _, state = bench.learned
    head = _head_parameters(state.model)
    all_layers = state.history[-1]["train_loss"]
    below = sum(p.numel() for p in state.model.parameters() if id(p) not in head)
    question = "is the training loss lower when more of the network is trained?"
    fix = "make the layers below the head learn: give them to the optimizer, with an lr above 0"
    if not below or not head:
        return CheckResult(question, "the network consists of a head only", "nothing to compare", True, fix)

    def freeze(network: nn.Module) -> None:
        keep = _head_parameters(network)
        for parameter in network.parameters():
            parameter.requires_grad_(id(parameter) in keep)

    _, few = bench.train(bench.plain, bench.steps, prepare=freeze)
    head_only = few.history[-1]["train_loss"]
    return CheckResult(
        question,
        f"{all_layers:.3f} with all layers, {head_only:.3f} with the head alone",
        f"lower by {GROWN:.0%} or more",
        all_layers <= (1 - GROWN) * head_only,
        fix,
    )


def _head_parameters(network: nn.Module) -> set[int]:
    return {id(p) for module in network.modules() if isinstance(module, Head) for p in module.parameters()}


def blank_images(bench: Bench) -> CheckResult:
    """Only the class frequencies can be learned from blank images."""
    blank = replace(bench.data.train, images=np.full_like(bench.data.train.images, 128))
    reg = replace(bench.config.reg, position_weights=[])  # guessing is not weighted either
    config = replace(bench.config, reg=reg, schedule=OneCycleConfig())
    _, state = bench.train(config, bench.config.check.steps // 2, data=replace(bench.data, train=blank))
    last, rows = state.history[-1], bench.fold
    floors = bench.guessing(rows.train).mean(), bench.guessing(rows.val).mean()
    measured = last["train_loss"], last["val_loss"]
    passed = all(bool(loss >= (1 - PRIOR) * floor) for loss, floor in zip(measured, floors, strict=True))
    return CheckResult(
        "are the class frequencies all that is learned from blank images?",
        f"loss {measured[0]:.3f} on train, {measured[1]:.3f} on val",
        f"at most {PRIOR:.0%} below guessing, which has {floors[0]:.3f} and {floors[1]:.3f}",
        passed,
        "find the way, other than the image, by which the label reaches the network",
    )


def shuffled_labels(bench: Bench) -> CheckResult:
    """Shuffled labels cannot be predicted on the validation part.

    Equal images get equal labels, so an image that is on both sides of the split has the same label on both.
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
    counts = np.unique(labels[fold.val], axis=0, return_counts=True)[1]
    chance = float(counts.max() / n)
    low = wilson(round(row["val_accuracy"] * n), n, 0.999).low
    return CheckResult(
        "are shuffled labels unpredictable on the validation part?",
        f"{row['val_accuracy']:.1%} correct of {n} validation images (train {row['train_accuracy']:.1%})",
        f"no more than by chance, {chance:.1%}",
        low <= chance,
        "look for training images in the validation part (svhn inspect), or for labels that reach the "
        "network in validation",
    )


def augmented_images(bench: Bench) -> CheckResult:
    """Augmented images keep their labels: a network trained without augmentation still classifies them.

    A flip changes only half of the images, and not the symmetric digits, so its effect could go unnoticed
    among other changes. That is why each change is also measured alone, on the images that it changes.
    """
    plan, state = bench.learned
    images, labels = plan.val.take(np.arange(len(plan.val)))
    network = state.eval_model.eval()

    def right(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), bench.machine.autocast():
            return network(plan.preprocess.normalize(pixels)).argmax(-1) == labels

    clean = plan.preprocess.seen(plan.preprocess.floats(images))
    correct = right(clean)

    def kept(augment: AugmentConfig) -> tuple[float, torch.Tensor]:
        own = replace(plan, augment=registry.augment(augment), policy=registry.policy(augment))
        pixels = augmented(own, images, (0, 0))
        changed = correct & ((pixels - clean).abs().amax((1, 2, 3)) > 1 / 255)[:, None]
        counted = changed if bool(changed.any()) else correct
        return float(right(pixels)[counted].float().mean()), pixels

    augment = bench.config.reg.augment
    alone = {name: kept(change)[0] for name, change in _each_alone(augment)}
    together, augmented_all = kept(augment)
    blocks = ("original", clean), ("augmented", augmented_all)
    drawn = [
        (caption, (255 * pixels[:64]).round().to(torch.uint8).cpu().numpy()) for caption, pixels in blocks
    ]
    draw_sheet(bench.folder / SHEET, drawn)
    worst = min(alone, key=lambda name: alone[name], default=None)
    measured = f"{together:.1%} of the correctly classified digits stay correct"
    if worst is not None:
        measured += f"; the worst single change is reg.augment.{worst}, with {alone[worst]:.1%}"
    return CheckResult(
        "do augmented images keep their labels?",
        measured,
        f"{KEPT:.0%} or more, and {KEPT_ALONE:.0%} or more with each change alone, by a network trained "
        "without augmentation",
        bool(correct.any()) and together >= KEPT and all(kept >= KEPT_ALONE for kept in alone.values()),
        f"look at {SHEET}; remove changes that turn a digit into another one (hflip, vflip, a large rotate), "
        "and reduce the others",
        SHEET,
    )


def _each_alone(augment: AugmentConfig) -> Iterator[tuple[str, AugmentConfig]]:
    """Every active change, and an augmentation that consists of it alone; policies are not included."""
    for item in fields(augment):
        value = getattr(augment, item.name)
        if value and item.name != "elastic_sigma" and not item.name.startswith("policy"):
            off = AugmentConfig(elastic_sigma=augment.elastic_sigma)
            yield item.name, replace(off, **{item.name: value})
