"""One fold, from built parts to a finished run directory: start or resume, train, finish.

`fit` in loop.py trains; what happens at its yields - record, save, show, stop - happens here, in plain sight.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from svhncli.config import rules
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import CheckpointError, Interrupted, UsageError
from svhncli.core.plain import from_plain, to_plain
from svhncli.core.rng import numpy_generator
from svhncli.core.signals import noted, save_requests
from svhncli.core.text import counted
from svhncli.data.dataset import DataSet
from svhncli.data.split import Fold
from svhncli.engine.batches import Batches, batch_bounds, training_images
from svhncli.engine.collective import ALONE, Group
from svhncli.engine.device import Machine
from svhncli.engine.forward import evaluate
from svhncli.engine.loop import Epoch, Tick, fit
from svhncli.engine.matching import demand_form
from svhncli.engine.state import Plan, State
from svhncli.models.gates import count_open
from svhncli.models.output import LearnsBoxes
from svhncli.report.diagnosis import Course, diagnose
from svhncli.report.figures.curves import draw_curves
from svhncli.report.figures.dynamics import jumps
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.runs.environment import MachineUsed, Status
from svhncli.runs.mistakes import keep_mistakes
from svhncli.runs.predictions import write_predictions
from svhncli.runs.results import DIVERGED, Achieved, BestEpoch, EpochRow, FoldSummary, OpenUnits, RunSummary
from svhncli.runs.run_dir import RunDir, Timing
from svhncli.stats.score import Score
from svhncli.training.assembly import assemble
from svhncli.training.restoring import restore
from svhncli.training.room import require_room
from svhncli.training.sheets import draw_augmented, draw_predictions, draw_watched

T = TypeVar("T")
CLEAN_SAMPLE = 5_000
"""Training images, without augmentation, on which the best weights are scored for the diagnosis."""

SNAPSHOTS = "snapshots"
"""Folder of the weights that are kept on the way."""

WAIT_WORTH_REPORTING = 0.01
"""Share of the time spent waiting for rendered images from which on it is reported."""


def train_fold(
    config: TrainConfig,
    machine: Machine,
    data: DataSet,
    fold: Fold,
    run: RunDir,
    show: Show,
    *,
    name: str,
    again: str,
    seen: Callable[[Sequence[Mapping[str, Any]]], None],
    left: int = 1,
    group: Group = ALONE,
) -> FoldSummary:
    """Train one fold in `run`'s directory, or resume it; returns its summary.

    Args:
        name: the name of the fold; where there are several, also of its folder.
        again: the command that resumes it.
        seen: called with the rows of all epochs after each of them; what it raises ends the training.
        left: how many folds of the run are still to be trained, this included.
        group: the processes that train it together; this is the first of them, which the others follow.

    Raises:
        Interrupted: a signal came; the state is saved.
        NotFiniteError: the loss became NaN or infinite.
        CheckpointError: last.pt or init_from does not fit or is damaged.
        DiskError: there is no room for what it will write.
        UsageError: the model or reg.position_weights does not fit the images or labels.
    """
    before = read_or_warn(run.summary, show, "it is written anew")
    if isinstance(before, FoldSummary) and is_finished(before, config):
        return before
    with training_images(data, fold.train, config.epochs, machine.device) as images, show.bars():
        show.step("prepare the network", 0, None)
        _refuse_small_batches(len(images), config, group)
        plan, state = assemble(
            config, machine, data, fold, images, show, metric=config.metric, fresh=not run.last.is_file()
        )
        plan = replace(plan, watch=_watched(config, len(fold.val)), group=group)
        meta = _meta(config, data, fold, plan, isinstance(state.model, LearnsBoxes))
        _say_fold(name, fold, plan, state, show)
        if run.last.is_file():
            restore(run, data, fold, plan, state, meta, show)
        require_room(config, plan, state, run, left)
        read_or_warn(
            lambda: run.load_timing(state.epoch), show, "the times of the epochs before are not known"
        )
        run.write_history(state.history)
        run.write_status(Status.now("running", state.epoch))
        reason = _train(config, plan, state, meta, run, show, again, seen)
        show.step("score the best weights", 0, None)
        summary = _finish(config, plan, state, fold, data, run, name, reason)
    if (units := summary.units) is not None:
        show.say(f"l0       {units.open:,} of {units.of:,} units remain open")
    return summary


def _refuse_small_batches(count: int, config: TrainConfig, group: Group) -> None:
    smallest = int(np.diff(batch_bounds(count, config.batch_size)).min())
    if smallest < group.size:
        raise UsageError(
            f"{group.size} processes cannot share batches of {counted(smallest, 'image')}",
            "raise batch_size, or use fewer devices",
        )


def read_or_warn(read: Callable[[], T], show: Show, instead: str) -> T | None:
    """What a file of a run that is resumed says; None, with a warning, where it is damaged.

    instead: what is done without it.
    """
    try:
        return read()
    except CheckpointError as error:
        show.warn(f"{error}; {instead}")
        return None


def is_finished(summary: FoldSummary | RunSummary, config: TrainConfig) -> bool:
    """Whether nothing is left to do: all epochs and seeds, and the score of the test part if asked for."""
    seeds = {fold.seed for fold in summary.folds} if isinstance(summary, RunSummary) else {config.seed}
    folds = summary.folds if isinstance(summary, RunSummary) else [summary]
    return (
        summary.epochs >= config.epochs
        and not any(_may_go_on(fold, config) for fold in folds)
        and len(seeds) >= config.repeats
        and (summary.test is not None or not config.test or not summary.has_test)
    )


def _may_go_on(summary: FoldSummary, config: TrainConfig) -> bool:
    """Whether early stopping ended a training that more patience lets go on."""
    return summary.patience is not None and not 0 < config.reg.patience <= summary.patience


# ----------------------------------------------------------------------------- start


def _meta(config: TrainConfig, data: DataSet, fold: Fold, plan: Plan, boxed: bool) -> dict[str, Any]:
    """What a checkpoint holds besides its tensors; boxed: whether the network learns from boxes."""
    boxes = data.train.boxes
    return {
        "config": rules.to_dict(config),
        "fold": fold.name,
        "fingerprint": data.fingerprint,
        "split": fold.digest,
        "boxes": hashlib.sha256(boxes.tobytes()).hexdigest() if boxed and boxes is not None else None,
        "preprocess": plan.preprocess.to_dict(),
        "in_shape": list(plan.preprocess.shape),
        # any GPU of this kind computes the same bits
        "machine": to_plain(replace(MachineUsed.of(plan.machine), device=plan.machine.device.type)),
        "positions": data.train.labels.shape[1],
        "classes": data.train.classes,
    }


def _watched(config: TrainConfig, count: int) -> np.ndarray:
    """Positions of the validation images that are watched, drawn by the seed."""
    drawn = numpy_generator(config.seed, "watch").permutation(count)[: config.watch]
    return np.sort(drawn)


def _say_fold(name: str, fold: Fold, plan: Plan, state: State, show: Show) -> None:
    rendered = len(plan.train) - len(fold.train)
    beside = f" with {rendered:,} rendered ones per epoch" if rendered else ""
    parameters = sum(p.numel() for p in state.model.parameters())
    images = len(np.unique(fold.train))
    drawn = "" if images == len(fold.train) else f", drawn {len(fold.train):,} times"
    show.say(
        f"{name:8} {images:,} train{drawn}{beside}, {len(fold.val):,} validate; {parameters:,} parameters"
    )


# ----------------------------------------------------------------------------- train


class Clock:
    """How long a run will go on at most: early stopping may end it sooner.

    epochs, done: of the run, and those that were done when the clock was started.
    """

    def __init__(self, epochs: int, done: int) -> None:
        self.epochs = epochs
        self.done = done
        self.began = time.monotonic()

    def left(self, done: float) -> float | None:
        """Seconds, after so many epochs; None before a hundredth of one."""
        if done - self.done < 0.01:
            return None
        return (time.monotonic() - self.began) / (done - self.done) * (self.epochs - done)


def _train(
    config: TrainConfig,
    plan: Plan,
    state: State,
    meta: dict[str, Any],
    run: RunDir,
    show: Show,
    again: str,
    seen: Callable[[Sequence[Mapping[str, Any]]], None],
) -> str:
    """Train to the end; returns in words why it ended."""
    saved_at = time.monotonic()
    seconds = waited = 0.0

    def save() -> None:
        nonlocal saved_at
        checkpoint.save(run.last, {"meta": meta, "state": state.state_dict()})
        saved_at = time.monotonic()

    if state.stopper.should_stop:
        show.say(
            f"{config.reg.patience} epochs without improvement had ended this training: nothing is left to "
            "do; it goes on with a larger reg.patience, or with reg.patience=0"
        )
    clock = Clock(plan.epochs, state.epoch)
    # a process that has a parent gets a signal to the group twice: the parent's passes it on, and ends it
    is_alone = plan.group.size == 1 and multiprocessing.parent_process() is None
    with noted(show.stopping, again=is_alone) as signalled, save_requests() as asked:
        events = () if state.stopper.should_stop else fit(plan, state)
        for event in events:
            if isinstance(event, Tick):
                trained = event.done / event.of if event.phase == "train" else 1.0
                what = f"epoch {state.epoch + 1}/{plan.epochs} {event.phase}"
                show.step(what, event.done, event.of, clock.left(state.epoch + trained))
            elif isinstance(event, Epoch):
                _keep_weights(config, event, state, meta, run)
                save()  # the epoch is done with it; the tables follow, and a resumed run writes them anew
                _record(event, plan, state, run, show)
                seen(state.history)
                seconds, waited = seconds + event.seconds, waited + event.waited
            if (code := plan.group.agreed(signalled())) is not None:
                save()
                run.write_status(Status.now("interrupted", state.epoch, state.step))
                raise Interrupted(
                    f"stopped in epoch {state.epoch + 1} of {plan.epochs}, step {state.step}; "
                    "everything is saved",
                    f"resume with: {again}",
                    code,
                )
            if (on_request := asked()) or time.monotonic() - saved_at > 60 * config.save_minutes:
                save()
                if on_request:
                    show.say(f"saved    in epoch {state.epoch + 1}, step {state.step}, as SIGUSR1 asks")
            if isinstance(event, Epoch) and state.stopper.should_stop:
                break
    if waited > WAIT_WORTH_REPORTING * seconds:
        show.tell(
            f"{waited:.0f} of {seconds:.0f} s ({waited / seconds:.0%}) were spent waiting "
            "for newly rendered images"
        )
    if state.stopper.should_stop and state.epoch < plan.epochs:
        return f"early stop: {plan.metric.name} has not improved for {config.reg.patience} epochs"
    return f"all {plan.epochs} epochs done"


def _record(event: Epoch, plan: Plan, state: State, run: RunDir, show: Show) -> None:
    show.epoch(event.row, plan.epochs, event.images_per_second, event.improved)
    run.write_history(state.history)
    run.add_timing(Timing(event.row["epoch"], event.seconds, event.images_per_second))
    run.write_status(Status.now("running", state.epoch))


def _keep_weights(config: TrainConfig, event: Epoch, state: State, meta: dict[str, Any], run: RunDir) -> None:
    """Keep the best weights, and those where one of `snapshots` equal stretches of the run ends (Huang et al.
    2017).

    A stretch ends with the last epoch that lies within it whole, since cosine.cycles restart lr right after
    it. The stretches are those of the run's present length: where epochs were raised, what was kept before
    stays, and an end that had gone by is left out.
    """
    content = {"meta": meta, "row": event.row, "weights": state.eval_model.state_dict()}
    if event.improved:
        checkpoint.save(run.best, content)
    if state.epoch in {end * config.epochs // config.snapshots for end in range(1, config.snapshots + 1)}:
        (run.path / SNAPSHOTS).mkdir(exist_ok=True)
        checkpoint.save(run.path / SNAPSHOTS / f"epoch{state.epoch:03d}.pt", content)


# ----------------------------------------------------------------------------- finish


def _finish(
    config: TrainConfig,
    plan: Plan,
    state: State,
    fold: Fold,
    data: DataSet,
    run: RunDir,
    name: str,
    reason: str,
) -> FoldSummary:
    """Score the best weights, on the test part too, draw the figures, judge the run, sum up."""
    network = state.eval_model
    saved = checkpoint.load_of_run(run.best)
    with checkpoint.fitting(run.best):
        demand_form(network.state_dict(), saved["weights"], "weights")
        network.load_state_dict(saved["weights"])
        best = BestEpoch.among(state.history, saved["row"])
    history = [from_plain(EpochRow, row) for row in state.history]

    def score(batches: Batches) -> tuple[Score, np.ndarray]:
        return evaluate(network, batches, plan.preprocess, plan.machine)

    seen = np.unique(fold.train)  # a bootstrap repeats images
    clean = seen[:: -(-len(seen) // CLEAN_SAMPLE)]
    train_score, _ = score(Batches(data.train, clean, plan.machine.device))
    val_score, probabilities = score(plan.val)
    write_predictions(run.path / "val_predictions.csv", plan.val.digits, plan.val.indices, probabilities)
    test_score = None
    if config.test and data.test is not None:
        everything = np.arange(len(data.test))
        test_score, _ = score(Batches(data.test, everything, plan.machine.device))

    plots = run.path / "plots"
    draw_curves(run.path, best.epoch)
    draw_augmented(plots, plan)
    draw_predictions(plots, plan, probabilities)
    keep_mistakes(plots, plan.val.digits, plan.val.indices, probabilities)
    watched = np.stack([images.numpy() for images in state.watched])
    if len(plan.watch):
        draw_watched(plots, plan, watched)
    seconds, images_per_second = run.speed()
    course = Course.scored(history, best, train_score, val_score)
    summary = FoldSummary(
        status=DIVERGED if course.has_diverged else "done",
        reason=f"{reason}, and the loss diverged" if course.has_diverged else reason,
        patience=config.reg.patience if len(history) < config.epochs else None,
        name=name,
        fold=fold.name,
        seed=config.seed,
        epochs=config.epochs,
        best=best,
        last=history[-1],
        score=Achieved(config.metric, best.scores[config.metric]),
        train=train_score,
        val=val_score,
        test=test_score,
        has_test=data.test is not None,
        diagnosis=diagnose([course], rules.to_dict(config)),
        watch=jumps(watched) if len(plan.watch) else None,
        units=OpenUnits(*count_open(network)) if config.reg.l0 else None,
        parameters=sum(p.numel() for p in network.parameters()),
        seconds=seconds,
        images_per_second=images_per_second,
        n_train=len(seen),
        n_val=len(fold.val),
        run_dir=str(run.path),
    )
    run.write_summary(summary)
    run.write_status(Status.now(summary.status, state.epoch))
    return summary
