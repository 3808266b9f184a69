"""Checks of the training loop: its initial loss, gradients, reproducibility, averages and validation part."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from torch import nn

from svhncli.core.labels import BLANK
from svhncli.engine.batches import Batches
from svhncli.engine.forward import evaluate, logits
from svhncli.engine.loop import Tick, fit
from svhncli.engine.preprocess import Preprocess
from svhncli.engine.state import Plan, State
from svhncli.engine.step import train_step
from svhncli.runs import checkpoint
from svhncli.stats.scores import is_right
from svhncli.training.checks.bench import Bench, CheckResult, losses

START = 0.15
"""How far the loss of a fresh network may be from that of guessing, as a fraction of it. The logits of a
fresh head are a few tenths, which costs some hundredths of a nat."""
STEPS = 10
"""Steps of the runs that must be bit-identical."""
POWER = 0.8
"""The power of a test at the 5% level to detect a real difference of `check.delta`."""


def validation_size(bench: Bench) -> CheckResult:
    """The validation part is large enough to show a difference in accuracy of `check.delta`.

    Two networks with an error rate of `check.error` that share half of their mistakes disagree on a fraction
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
        f"{n:,} images, with which {seen:.2%} is detected in {POWER:.0%} of all cases",
        f"{needed:,} images or more, at an error rate of {bench.config.check.error:.0%} (check.error)",
        n >= needed,
        "validate on more images (split.fraction, split=kfold), or do not rely on differences below "
        f"{seen:.2%}",
    )


def loss_at_start(bench: Bench) -> CheckResult:
    """The loss of a fresh network is that of guessing."""
    plan, state = bench.start(bench.config)
    plan = replace(plan, penalties={}, label_smoothing=0.0, position_weights=None)
    take = plan.train.of_epoch(plan.seed, 0)
    loss = train_step(plan, state, take(0, min(len(plan.train), 512))).item()
    expected, what = math.log(bench.data.train.classes), f"ln {bench.data.train.classes}"
    if getattr(bench.config.model, "init_bias", False):
        expected, what = float(bench.guessing(bench.fold.train).mean()), "guessing by class frequencies"
    return CheckResult(
        "is the initial loss that of guessing?",
        f"{loss:.3f}",
        f"{what} = {expected:.3f}, ±{START:.0%}",
        abs(loss - expected) <= START * expected,
        "check that the loss is a plain mean, that the labels are class indices, and that the head's initial "
        "weights are small; model.init_bias=true sets its bias to the class frequencies",
    )


def same_preprocessing(bench: Bench) -> CheckResult:
    """Training (without augmentation), validation and later use feed the network the same numbers."""
    plan, _ = bench.start(bench.plain)
    digits, worst = bench.data.train, 0.0
    for row in bench.fold.val[:4]:
        seen: list[torch.Tensor] = []
        recorder = _Recorder(seen, digits.labels.shape[1], digits.classes)
        single = Batches(digits, np.array([row]), bench.machine.device)
        state = bench.start(bench.plain)[1]
        state.model = recorder
        train_step(plan, state, single.take(np.array([0])))
        evaluate(recorder, single, plan.preprocess, bench.machine)
        again = Preprocess.from_dict(plan.preprocess.to_dict())
        logits(recorder, single.take(np.array([0]))[0], again, bench.machine)
        unlike = any(inputs.shape != seen[0].shape for inputs in seen)
        worst = math.inf if unlike else max(worst, *(float((x - seen[0]).abs().max()) for x in seen))
    return CheckResult(
        "do training, validation and test feed the network the same numbers for an image?",
        f"they differ by at most {worst:.2g}",
        "exactly 0",
        worst == 0,
        "use the same Preprocess for all three: one of them resizes, crops or normalizes differently",
    )


class _Recorder(nn.Module):
    """Records its inputs; its output is a bias."""

    def __init__(self, seen: list[torch.Tensor], positions: int, classes: int) -> None:
        super().__init__()
        self.seen = seen
        self.bias = nn.Parameter(torch.zeros(positions, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.detach().cpu())
        return self.bias.to(images.device).expand(len(images), -1, -1)


def independent_samples(bench: Bench) -> CheckResult:
    """The output for an image has no gradient with respect to other images of its batch.

    Batch norm mixes the images of a batch by design in training, so it uses its running statistics here.
    """
    plan, state = bench.start(bench.plain)
    network = state.model.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    images, _ = plan.train.of_epoch(plan.seed, 0)(0, min(8, len(plan.train)))
    inputs = plan.preprocess(images).requires_grad_()
    network(inputs)[0].logsumexp(-1).sum().backward()
    assert inputs.grad is not None
    own, others = float(inputs.grad[0].abs().max()), float(inputs.grad[1:].abs().max())
    return CheckResult(
        "does the output for an image depend on that image alone?",
        f"gradient {own:.2g} for the image itself, {others:.2g} for the others of its batch",
        "above 0 for the image itself, exactly 0 for the others",
        own > 0 and others == 0,
        "look in the network for a view, reshape or mean over the wrong dimension, which mixes the batch",
    )


def gradients(bench: Bench) -> CheckResult:
    """After a few steps, every parameter has a finite gradient that is not all zero."""
    plan, state = bench.start(bench.config)
    _steps(plan, state, 3)  # layers initialized to zero pass no gradient on in the first step
    named = list(state.model.named_parameters())
    without = [name for name, p in named if p.grad is None or not bool(p.grad.any())]
    wild = [name for name, p in named if p.grad is not None and not bool(p.grad.isfinite().all())]
    bad = [*without, *wild]
    measured = f"all {len(named)} tensors have one"
    if bad:
        measured = f"of {len(named)} tensors, {len(without)} have none and {len(wild)} one that is not finite"
        measured += f": {', '.join(bad[:3])}"
    return CheckResult(
        "does every parameter get a finite, non-zero gradient?",
        measured,
        "all tensors have one",
        not bad,
        "look for layers that are frozen, detached or unused, or use a lower lr",
    )


def same_seed(bench: Bench) -> CheckResult:
    """Two runs with the same seed are bit-identical."""
    digests = {checkpoint.digest(_steps(*bench.start(bench.config), STEPS).state_dict()) for _ in range(2)}
    return CheckResult(
        f"are two runs of {STEPS} steps with the same seed bit-identical?",
        "they are" if len(digests) == 1 else "they differ",
        "bit-identical",
        len(digests) == 1,
        "look for random numbers whose generator does not depend on the seed",
    )


def resume(bench: Bench) -> CheckResult:
    """A run that is saved, loaded into a fresh state and continued equals an uninterrupted one."""
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
        f"is a run that is saved and resumed after {STEPS // 2} steps bit-identical to an uninterrupted one?",
        "it is" if same else "they differ",
        "bit-identical",
        same,
        "look for state that is missing from a state_dict",
    )


def averages(bench: Bench) -> CheckResult:
    """Loss and accuracy of a part are plain means over its images, however they are batched."""
    plan, state = bench.learned
    score, probabilities = evaluate(state.eval_model, plan.val, plan.preprocess, bench.machine)
    labels = bench.data.train.labels[bench.fold.val]
    loss = float(losses(probabilities, labels).mean())
    right = float(is_right(probabilities.argmax(-1), labels, BLANK).mean())
    row = state.history[-1]  # the run's own validation of the same weights
    reported = score.loss, row["val_loss"], score.accuracy, row["val_accuracy"]
    off = max(abs(value - true) for value, true in zip(reported, (loss, loss, right, right), strict=True))
    return CheckResult(
        "are loss and accuracy plain means over all images?",
        f"they are off by {off:.1e}",
        "1e-4 or less",
        bool(off <= 1e-4 * max(1.0, loss)),
        "look for an average of batch means, for padding that is counted, or for a batch that is left out",
    )


def _steps(plan: Plan, state: State, count: int) -> State:
    """Train for `count` more steps."""
    done = 0
    for event in fit(plan, state):
        done += isinstance(event, Tick) and event.phase == "train"
        if done == count:
            break
    return state
