"""Whether a training can be trusted, asked by small trainings of the config's own parts (Karpathy 2019).

Every check measures one thing that must hold whatever the data and the network are. They run the loop that
trains, `fit` and `evaluate`, on a few pictures; what they take away of the config (regularisation, where
something is to be memorised) is said where it happens.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from torch import nn

from svhncli import build, checkpoint, schema
from svhncli.batches import Batches
from svhncli.data.digits import BLANK, DataSet, Digits, Numbered
from svhncli.device import Machine
from svhncli.forward import logits
from svhncli.loop import Epoch, Plan, State, Tick, augmented, evaluate, fit, train_step
from svhncli.models.head import Head
from svhncli.preprocess import Preprocess
from svhncli.report.sheet import draw_sheet
from svhncli.rng import numpy_generator
from svhncli.scores import is_right
from svhncli.show import Show
from svhncli.split import Fold
from svhncli.stats import wilson
from svhncli.trainer import assemble, val_digits

N_TRAIN, N_VAL = 10_240, 1_040
"""Pictures that the small trainings see at most; validation ends with a small batch."""
FEW = 16
"""Pictures that are learned by heart, in at most MEMORY steps, to a loss of NEAR_ZERO."""
MEMORY, NEAR_ZERO = 1_000, 0.1
N_SHUFFLED, SHUFFLED_STEPS = 256, 400
"""Pictures with shuffled labels, on either side, and for how many steps they are learned."""
ROUNDS, LEARNED = 3, 0.1
"""A network whose loss is not below guessing by this share is trained again, for twice as long."""
START = 0.15
"""How far the loss of a fresh network may be from guessing, as a share of it. Fresh heads answer with logits
of a few tenths, which costs some hundredths of a nat."""
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
STEPS = 10
"""Steps of the trainings that must agree in every bit."""
POWER = 0.8
"""Chance with which a real difference of `check.delta` is to be seen at the level of 5 %."""
SHEET = "augmented.png"


@dataclass(frozen=True)
class Result:
    """What a check found. question: what it asks. measured, expected: in words with figures. mend:
    what to do where it failed. sheet: the name of a picture in the folder of the checks."""

    question: str
    measured: str
    expected: str
    passed: bool
    mend: str
    sheet: str | None = None


class Bench:
    """A few pictures of a fold, and trainings on them.

    Args:
        folder: where sheets are drawn.
    """

    def __init__(
        self,
        config: schema.Check,
        machine: Machine,
        data: DataSet,
        folds: list[Fold],
        folder: Path,
        show: Show,
    ) -> None:
        self.config = replace(config, init_from=None)
        self.machine = machine
        self.folder = folder
        self.show = show
        self.n_val = len(np.unique(np.concatenate([fold.val for fold in folds])))
        self.data, self.fold = _few(data, folds[0], N_TRAIN, N_VAL, config.seed)
        self.shuffled, self.shuffled_fold = _few(data, folds[0], N_SHUFFLED, N_SHUFFLED, config.seed)

    @property
    def plain(self) -> schema.Check:
        """The config without regularisation, which makes learning by heart harder."""
        reg = schema.Reg(position_weights=self.config.reg.position_weights)
        return replace(self.config, reg=reg, schedule=schema.OneCycle())

    def start(
        self, config: schema.Training, data: DataSet | None = None, fold: Fold | None = None
    ) -> tuple[Plan, State]:
        """A fresh training, on the bench's pictures where no others are given."""
        data, fold = data or self.data, fold or self.fold
        pictures = Batches(data.train, fold.train, self.machine.device)
        return assemble(config, self.machine, data, fold, pictures, self.show)

    def train(
        self,
        config: schema.Training,
        steps: int,
        data: DataSet | None = None,
        fold: Fold | None = None,
        prepare: Callable[[nn.Module], None] = lambda network: None,
        until: float = 0.0,
    ) -> tuple[Plan, State]:
        """Train for so many steps, or until the loss of an epoch is `until`.

        prepare: what is done to the network before.
        """
        count = len((fold or self.fold).train)
        epochs = -(-steps // -(-count // config.batch_size))
        plan, state = self.start(replace(config, epochs=epochs), data, fold)
        prepare(state.model)
        for event in fit(plan, state):
            if isinstance(event, Epoch) and event.row["train_loss"] <= until:
                break
        return plan, state

    @cached_property
    def learned(self) -> tuple[Plan, State]:
        """The config's network after a short training without regularisation; after a longer one where that
        has not learned the training pictures better than guessing."""
        for number in range(ROUNDS):
            plan, state = self.train(self.plain, 2**number * self.config.check.steps)
            if state.history[-1]["train_loss"] < (1 - LEARNED) * self.guessing(self.fold.train).mean():
                break
        return plan, state

    @property
    def steps(self) -> int:
        """For how many steps that was."""
        plan, state = self.learned
        return state.epoch * -(-len(plan.train) // plan.batch_size)

    def guessing(self, rows: np.ndarray) -> np.ndarray:
        """The loss (n,) of one who knows the classes' shares of the training part, and no picture."""
        labels, classes = self.data.train.labels, self.data.train.classes
        counts = [np.bincount(column, minlength=classes) + 1 for column in labels[self.fold.train].T]
        shares = np.stack([one / one.sum() for one in counts])
        return -np.log(shares[np.arange(labels.shape[1]), labels[rows]]).mean(1)


def _few(data: DataSet, fold: Fold, n_train: int, n_val: int, seed: int) -> tuple[DataSet, Fold]:
    """A small data set of a fold's pictures, as they are seen where no view is moved.

    A picture that stands on both sides, as none should, is taken for both.
    """
    draw = numpy_generator(seed, "check")
    val = draw.permutation(fold.val)[:n_val]
    trains = np.unique(fold.train)
    both = np.intersect1d(trains, val) if fold.val_part == "train" else val[:0]
    train = np.concatenate([both, draw.permutation(np.setdiff1d(trains, both))])[:n_train]
    parts = (data.train, train), (val_digits(data, fold), val)
    images = np.concatenate([part.images[np.sort(rows)] for part, rows in parts])
    labels = np.concatenate([part.labels[np.sort(rows)] for part, rows in parts])
    framing = data.framing
    if framing is not None:
        images, framing = np.ascontiguousarray(framing.middle(images)), replace(framing, jitter=0.0)
    digits = Digits(images, labels, np.arange(len(images)), Numbered("check", len(images)))
    places = np.arange(len(train)), np.arange(len(train), len(images))
    return DataSet(data.name, digits, data.fingerprint, framing=framing), Fold(fold.name, *places)


def _steps(plan: Plan, state: State, count: int) -> State:
    """Go on for so many steps of training."""
    done = 0
    for event in fit(plan, state):
        done += isinstance(event, Tick) and event.phase == "train"
        if done == count:
            break
    return state


def _losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy (n,) of probabilities (n, L, K), the mean over positions."""
    right = np.take_along_axis(probabilities, labels[..., None], 2)[..., 0]
    return -np.log(np.maximum(right, 1e-30)).mean(1)


def _is_head(network: nn.Module) -> set[int]:
    return {id(p) for one in network.modules() if isinstance(one, Head) for p in one.parameters()}


# ----------------------------------------------------------------------------- before the first step


def loss_at_start(bench: Bench) -> Result:
    """A fresh network knows nothing: its first loss is that of guessing."""
    plan, state = bench.start(bench.config)
    plan = replace(plan, l0=0.0, l1=0.0, l2=0.0)
    take = plan.train.of_epoch(plan.seed, 0)
    loss = train_step(plan, state, take(0, min(len(plan.train), 512))).item()
    expected, what = math.log(bench.data.train.classes), f"ln {bench.data.train.classes}"
    if getattr(bench.config.model, "init_bias", False):
        expected, what = float(bench.guessing(bench.fold.train).mean()), "guessing by the classes' shares"
    return Result(
        "is the first loss that of guessing?",
        f"{loss:.3f}",
        f"{what} = {expected:.3f}, give or take {START:.0%}",
        abs(loss - expected) <= START * expected,
        "the loss is summed or weighted, the labels are not the classes, or the head starts too sure: its "
        "weights should be small; model.init_bias=true sets its bias by the classes' shares",
    )


def one_preprocessing(bench: Bench) -> Result:
    """Training without augmentation, validation and later use give the network the same numbers."""
    plan, _ = bench.start(bench.plain)
    digits, worst = bench.data.train, 0.0
    for row in bench.fold.val[:4]:
        seen: list[torch.Tensor] = []
        recorder = _Recorder(seen, digits.labels.shape[1], digits.classes)
        one = Batches(digits, np.array([row]), bench.machine.device)
        state = bench.start(bench.plain)[1]
        state.model = recorder
        train_step(plan, state, one.take(np.array([0])))
        evaluate(recorder, one, plan.preprocess, bench.machine)
        again = Preprocess.from_dict(plan.preprocess.to_dict())
        logits(recorder, one.take(np.array([0]))[0], again, bench.machine)
        unlike = any(other.shape != seen[0].shape for other in seen)
        worst = math.inf if unlike else max(worst, *(float((one - seen[0]).abs().max()) for one in seen))
    return Result(
        "do training, validation and test give the network the same numbers for one picture?",
        f"they differ by {worst:.2g} at most",
        "0, exactly",
        worst == 0,
        "one of the three resizes, crops or normalises otherwise: all must go through one Preprocess",
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


def independent_samples(bench: Bench) -> Result:
    """The answer for a picture has no gradient with respect to another picture of its batch.

    Batch norm mixes a batch on purpose while it trains, so it uses its running statistics here.
    """
    plan, state = bench.start(bench.plain)
    network = state.model.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    images, _ = plan.val.take(np.arange(min(8, len(plan.val))))
    inputs = plan.preprocess(images).requires_grad_()
    network(inputs)[0].logsumexp(-1).sum().backward()
    assert inputs.grad is not None
    own, others = float(inputs.grad[0].abs().max()), float(inputs.grad[1:].abs().max())
    return Result(
        "does the answer for a picture depend on that picture alone?",
        f"gradient {own:.2g} to itself, {others:.2g} to the others of its batch",
        "above 0 and exactly 0",
        own > 0 and others == 0,
        "something in the network mixes the batch: look for view, reshape or a mean over the wrong dimension",
    )


def gradients(bench: Bench) -> Result:
    """After a few steps every parameter has a finite gradient that is not all zero."""
    plan, state = bench.start(bench.config)
    _steps(plan, state, 3)  # a part that begins with zeros passes none on in the first step
    named = list(state.model.named_parameters())
    without = [name for name, p in named if p.grad is None or not bool(p.grad.any())]
    wild = [name for name, p in named if p.grad is not None and not bool(p.grad.isfinite().all())]
    bad = [*without, *wild]
    measured = f"all {len(named)} tensors have one"
    if bad:
        measured = f"{len(without)} of {len(named)} tensors have none, {len(wild)} one that is not finite"
        measured += f": {', '.join(bad[:3])}"
    return Result(
        "does every parameter get a finite, non-zero gradient?",
        measured,
        "all have",
        not bad,
        "a layer is frozen, detached or unused; or lr is far too high",
    )


# ----------------------------------------------------------------------------- bits


def same_seed(bench: Bench) -> Result:
    """Two trainings with one seed are the same."""
    digests = {checkpoint.digest(_steps(*bench.start(bench.config), STEPS).state_dict()) for _ in range(2)}
    return Result(
        f"are two trainings of {STEPS} steps with one seed the same?",
        "every bit is" if len(digests) == 1 else "they differ",
        "every bit",
        len(digests) == 1,
        "something draws random numbers that are not keyed by the seed",
    )


def resume(bench: Bench) -> Result:
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
    return Result(
        f"is a training that is saved and loaded after {STEPS // 2} steps the same as one that ran through?",
        "every bit is" if same else "they differ",
        "every bit",
        same,
        "a part keeps state that its state_dict does not hold",
    )


# ----------------------------------------------------------------------------- what is learned


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


def blank_pictures(bench: Bench) -> Result:
    """From blanked pictures nothing can be learned but how frequent the classes are."""
    grey = replace(bench.data.train, images=np.full_like(bench.data.train.images, 128))
    config = replace(bench.config, schedule=schema.OneCycle())
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


def learns(bench: Bench) -> Result:
    """The network reads better than one who sees no pictures, and than a linear model."""
    labels = bench.data.train.labels[bench.fold.val]

    def read(plan: Plan, state: State) -> tuple[np.ndarray, np.ndarray]:
        _, said = evaluate(state.eval_model, plan.val, plan.preprocess, bench.machine)
        return _losses(said, labels), (said.argmax(-1) == labels).mean(1)

    own, hits = read(*bench.learned)
    majority = max(np.bincount(column).max() for column in labels.T) / len(labels)
    rivals = {"guessing by shares": (bench.guessing(bench.fold.val), np.full(len(labels), majority))}
    if bench.config.model.name != "linear":
        linear = replace(bench.plain, model=schema.Linear())
        rivals["a linear model"] = read(*bench.train(linear, bench.steps))
    # one that fits noise, too, may read more and be too sure of it
    beaten = [_is_above(losses - own) or _is_above(hits - right) for losses, right in rivals.values()]
    figures = ", ".join(
        f"{name} {losses.mean():.3f} ({right.mean():.1%})" for name, (losses, right) in rivals.items()
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


def averages(bench: Bench) -> Result:
    """Loss and accuracy of a part are the plain means over its pictures, however they are batched."""
    plan, state = bench.learned
    score, said = evaluate(state.eval_model, plan.val, plan.preprocess, bench.machine)
    labels = bench.data.train.labels[bench.fold.val]
    loss = float(_losses(said, labels).mean())
    right = float(is_right(said.argmax(-1), labels, BLANK).mean())
    row = state.history[-1]  # the training's own validation of these very weights
    told = score["loss"], row["val_loss"], score["accuracy"], row["val_accuracy"]
    off = max(abs(one - true) for one, true in zip(told, (loss, loss, right, right), strict=True))
    return Result(
        "are loss and accuracy the plain means over pictures?",
        f"they are off by {off:.1e}",
        "1e-4 or less",
        bool(off <= 1e-4 * max(1.0, loss)),
        "means of batches were averaged, padding was counted, or a batch was left out",
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
            return network(plan.preprocess.normalise(pixels)).argmax(-1) == labels

    clean = plan.preprocess.seen(plan.preprocess.floats(images))
    readable = right(clean)

    def kept(augment: schema.Augment) -> tuple[float, torch.Tensor]:
        own = replace(plan, augment=build.augment(augment), policy=build.policy(augment))
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


def _each_alone(augment: schema.Augment) -> Iterator[tuple[str, schema.Augment]]:
    """Every change that is on, and an augmentation with it alone; a policy is none of these."""
    for item in fields(augment):
        value = getattr(augment, item.name)
        if value and item.name != "elastic_sigma" and not item.name.startswith("policy"):
            one = schema.Augment(elastic_sigma=augment.elastic_sigma)
            yield item.name, replace(one, **{item.name: value})


def validation_size(bench: Bench) -> Result:
    """Whether the validation pictures can tell apart two networks that differ by `check.delta`.

    Of two networks with an error of `check.error`, which share half of their mistakes, one alone is right on
    `check.error` of the pictures; n for McNemar's test as in Connor (1987), one term.
    """
    delta, discordant = bench.config.check.delta, max(bench.config.check.error, bench.config.check.delta)
    normal = NormalDist()
    z = normal.inv_cdf(0.975) + normal.inv_cdf(POWER)
    needed = math.ceil(z**2 * (discordant - delta**2) / delta**2)
    n = bench.n_val
    seen = math.sqrt(z**2 * discordant / (n + z**2))
    return Result(
        f"can a difference of {delta:.2%} be seen (check.delta)?",
        f"{n:,} pictures, which show {seen:.2%} in {POWER:.0%} of all cases",
        f"{needed:,} or more, at an error of {bench.config.check.error:.0%} (check.error)",
        n >= needed,
        "validate on more (split.fraction, split=kfold), or do not trust smaller differences than that",
    )


CHECKS: dict[str, Callable[[Bench], Result]] = {
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
