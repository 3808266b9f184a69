"""Checks of the loop itself: its first loss, its gradients, its bits, its averages, its validation part."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from torch import nn

from svhncli.config.groups.split import BootstrapConfig, KfoldConfig
from svhncli.core.labels import BLANK
from svhncli.engine.batches import Batches
from svhncli.engine.forward import evaluate, logits
from svhncli.engine.loop import Tick, fit
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.state import Plan, State
from svhncli.engine.step import train_step
from svhncli.models.output import LearnsBoxes
from svhncli.runs import checkpoint
from svhncli.stats.scores import is_right
from svhncli.training.checks.bench import Bench, CheckResult, losses

START = 0.15
"""How far the loss of a fresh network may be from guessing, as a share of it. Fresh heads answer with logits
of a few tenths, which costs some hundredths of a nat."""
STEPS = 10
"""Steps of the trainings that must agree in every bit."""
POWER = 0.8
"""Probability with which a real difference of `check.delta` is to be detected at the 5% level."""


def validation_size(bench: Bench) -> CheckResult:
    """Whether the validation images can distinguish two networks that differ by `check.delta`.

    Of two networks with an error of `check.error`, which share half of their mistakes, one alone is right on
    `check.error` of the images; n for McNemar's test as in Connor (1987), one term.
    """
    delta, discordant = bench.config.check.delta, max(bench.config.check.error, bench.config.check.delta)
    normal = NormalDist()
    z = normal.inv_cdf(0.975) + normal.inv_cdf(POWER)
    needed = math.ceil(z**2 * (discordant - delta**2) / delta**2)
    n = bench.n_val
    seen = math.sqrt(z**2 * discordant / (n + z**2))
    return CheckResult(
        f"can a difference of {delta:.2%} be detected (check.delta)?",
        f"{n:,} images, which detect a difference of {seen:.2%} with {POWER:.0%} power",
        f"{needed:,} or more, at an error of {bench.config.check.error:.0%} (check.error)",
        n >= needed,
        _more_validation(bench.config.split)
        + "do not trust smaller differences; check.delta= says which difference matters to you",
    )


def _more_validation(split: object) -> str:
    """What would hold more images out: no split does where each image validates already."""
    if isinstance(split, (KfoldConfig, BootstrapConfig)):
        return "collect more images, or "
    return "validate on more images (split.fraction, or split=kfold, which validates on all), or "


def loss_at_start(bench: Bench) -> CheckResult:
    """A fresh network knows nothing: its first loss is that of guessing."""
    plan, state = bench.start(bench.config)
    question, fix = (
        "is the first loss that of guessing?",
        "the loss is summed or weighted, the labels are not the classes, or the head starts too confident: "
        "its weights should be small; model.init_bias=true sets its bias to the class frequencies",
    )
    if isinstance(state.model, LearnsBoxes):
        return CheckResult(question, "it is also that of the boxes", "nothing to compare", True, fix)
    plan = replace(plan, penalties={}, label_smoothing=0.0, position_weights=None)
    take = plan.train.of_epoch(plan.seed, 0)
    loss = train_step(plan, state, take(0, min(len(plan.train), 512))).item()
    expected, what = math.log(bench.data.train.classes), f"ln {bench.data.train.classes}"
    if getattr(bench.config.model, "init_bias", False):
        expected, what = float(bench.guessing(bench.fold.train).mean()), "guessing by the class frequencies"
    return CheckResult(
        question,
        f"{loss:.3f}",
        f"{what} = {expected:.3f}, give or take {START:.0%}",
        abs(loss - expected) <= START * expected,
        fix,
    )


def one_preprocessing(bench: Bench) -> CheckResult:
    """Training without augmentation, validation and later use give the network the same numbers."""
    plan, _ = bench.start(bench.plain)
    digits, worst = bench.data.train, 0.0
    for row in bench.fold.val[:4]:
        seen: list[torch.Tensor] = []
        recorder = _Recorder(seen, digits.labels.shape[1], digits.classes)
        image = Batches(digits, np.array([row]), bench.machine.device)
        state = bench.start(bench.plain)[1]
        state.model = recorder
        train_step(plan, state, image.take(np.array([0])))
        evaluate(recorder, image, plan.preprocess, bench.machine)
        again = Preprocess.from_dict(plan.preprocess.to_dict())
        logits(recorder, image.take(np.array([0])).images, again, bench.machine)
        unlike = any(other.shape != seen[0].shape for other in seen)
        worst = (
            math.inf if unlike else max(worst, *(float((tensor - seen[0]).abs().max()) for tensor in seen))
        )
    return CheckResult(
        "do training, validation and test give the network the same numbers for one image?",
        f"they differ by {worst:.2g} at most",
        "0, exactly",
        worst == 0,
        "one of the three resizes, crops or normalizes differently: all must use one Preprocess",
    )


class _Recorder(nn.Module):
    """Keeps what it is given; answers with a bias of its own."""

    def __init__(self, seen: list[torch.Tensor], positions: int, classes: int) -> None:
        super().__init__()
        self.seen = seen
        self.bias = nn.Parameter(torch.zeros(positions, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.detach().cpu())
        return self.bias.to(images.device).expand(len(images), -1, -1)


def independent_samples(bench: Bench) -> CheckResult:
    """The output for an image has no gradient with respect to another image of its batch.

    Batch norm mixes a batch on purpose while it trains, so it uses its running statistics here.
    """
    plan, state = bench.start(bench.plain)
    network = state.model.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    batch = plan.train.of_epoch(plan.seed, 0)(0, min(8, len(plan.train)))
    inputs = plan.preprocess(batch.images).requires_grad_()
    output = network(inputs)
    if not isinstance(output, torch.Tensor):  # a detector's logits are read off, and have no gradient
        output = output.logits if output.logits.requires_grad else output.located[-1]
    output[0].logsumexp(-1).sum().backward()
    assert inputs.grad is not None
    own, others = float(inputs.grad[0].abs().max()), float(inputs.grad[1:].abs().max())
    return CheckResult(
        "does the output for an image depend on that image alone?",
        f"gradient {own:.2g} to itself, {others:.2g} to the others of its batch",
        "above 0 and exactly 0",
        own > 0 and others == 0,
        "something in the network mixes the batch: look for view, reshape or a mean over the wrong dimension",
    )


def gradients(bench: Bench) -> CheckResult:
    """After a few steps every parameter has a finite gradient that is not all zero."""
    plan, state = bench.start(bench.config)
    _steps(plan, state, 3)  # a part that begins with zeros passes none on in the first step
    named = list(state.model.named_parameters())
    without = [name for name, p in named if p.grad is None or not bool(p.grad.any())]
    wild = [name for name, p in named if p.grad is not None and not bool(p.grad.isfinite().all())]
    bad = [*without, *wild]
    measured = f"all {len(named)} do"
    if bad:
        measured = f"{len(without)} of {len(named)} get none, {len(wild)} one that is not finite"
        measured += f": {', '.join(bad[:3])}"
    return CheckResult(
        "does every parameter tensor get a finite, non-zero gradient?",
        measured,
        "all do",
        not bad,
        "a layer is frozen, detached or unused; or lr is far too high",
    )


def same_seed(bench: Bench) -> CheckResult:
    """Two trainings with one seed are the same."""
    digests = {checkpoint.digest(_steps(*bench.start(bench.config), STEPS).state_dict()) for _ in range(2)}
    return CheckResult(
        f"are two runs of {STEPS} steps with one seed the same?",
        "all bits are equal" if len(digests) == 1 else "they differ",
        "all bits are equal",
        len(digests) == 1,
        "something draws random numbers that are not keyed by the seed",
    )


def resume(bench: Bench) -> CheckResult:
    """A training that is saved, loaded into a fresh state and continued is as if it had run through."""
    plan, whole = bench.start(bench.config)
    _steps(plan, whole, STEPS // 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        checkpoint.save(path, {"state": whole.state_dict()})
        second = bench.start(bench.config)[1]
        second.load_state_dict(checkpoint.load(path)["state"])
    for state in (whole, second):
        _steps(plan, state, STEPS - STEPS // 2)
    same = checkpoint.digest(second.state_dict()) == checkpoint.digest(whole.state_dict())
    return CheckResult(
        f"is a run that is saved and loaded after {STEPS // 2} steps the same as one that ran through?",
        "all bits are equal" if same else "they differ",
        "all bits are equal",
        same,
        "a part keeps state that its state_dict does not hold",
    )


def averages(bench: Bench) -> CheckResult:
    """Loss and accuracy of a part are the plain means over its images, however they are batched."""
    plan, state = bench.learned
    score, probabilities = evaluate(state.eval_model, plan.val, plan.preprocess, bench.machine)
    labels = bench.data.train.labels[bench.fold.val]
    loss = float(losses(probabilities, labels).mean())
    right = float(is_right(probabilities.argmax(-1), labels, BLANK).mean())
    row = state.history[-1]  # the training's own validation of these very weights
    reported = score.loss, row["val_loss"], score.accuracy, row["val_accuracy"]
    off = max(abs(value - true) for value, true in zip(reported, (loss, loss, right, right), strict=True))
    return CheckResult(
        "are loss and accuracy the plain means over images?",
        f"they are off by {off:.1e}",
        "1e-4 or less",
        bool(off <= 1e-4 * max(1.0, loss)),
        "means of batches were averaged, padding was counted, or a batch was left out",
    )


def _steps(plan: Plan, state: State, count: int) -> State:
    """Go on for so many steps of training."""
    done = 0
    for event in fit(plan, state):
        done += isinstance(event, Tick) and event.phase == "train"
        if done == count:
            break
    return state
