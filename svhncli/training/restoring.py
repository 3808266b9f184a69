"""From last.pt to the state of a fold, with all that has to fit first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from svhncli.core.errors import DataError
from svhncli.core.plain import from_plain
from svhncli.core.text import counted
from svhncli.data.data_sheet import DataSheet
from svhncli.data.dataset import DataSet
from svhncli.data.split import Fold
from svhncli.engine.batches import batch_bounds
from svhncli.engine.matching import demand_count, form_of
from svhncli.engine.state import Plan, State
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.runs.reader import Run
from svhncli.runs.results import BestEpoch, EpochRow
from svhncli.runs.run_dir import RunDir


def restore(
    run: RunDir, data: DataSet, fold: Fold, plan: Plan, state: State, meta: dict[str, Any], show: Show
) -> None:
    """Load last.pt into a fresh state, and say where the training goes on.

    meta: what a checkpoint of this fold would say beside its tensors.

    Raises:
        DataError: the data or its split is not what the run was trained on.
        CheckpointError: last.pt is damaged, or not of this run.
    """
    content = checkpoint.load_of_run(run.last)
    if content["meta"]["fingerprint"] != meta["fingerprint"]:
        raise DataError(
            f"the data is not what '{run.last}' was trained on: images or labels have changed"
            + _changed(Run.of(run.path).sheet, data, fold),
            "put the old data back, or start a new run with init_from",
        )
    if content["meta"].get("boxes") != meta["boxes"]:  # files of before networks learned from boxes have none
        raise DataError(
            f"the data is not what '{run.last}' was trained on: boxes have changed",
            "put the old boxes back, or start a new run with init_from",
        )
    if content["meta"]["split"] != meta["split"]:
        raise DataError(
            f"the split comes out differently now than '{run.last}' has it: training images would be used "
            "for validation",
            "resume with the versions of svhn and NumPy that began it (env.json), or start a new run",
        )
    with checkpoint.fitting(run.last):
        state.load_state_dict(content["state"])
        _demand_course(plan, state)
        before = from_plain(int, content["meta"]["config"]["epochs"])
    step = f", step {state.step}" if state.step else ""
    show.say(f"resumed  after epoch {state.epoch}{step}")
    if before != plan.epochs:
        steps = len(batch_bounds(len(plan.train), plan.batch_size)) - 1
        factor = state.schedule.factor(state.epoch * steps + state.step, plan.epochs * steps)
        show.say(f"schedule stretched from {before} to {plan.epochs} epochs: lr is {plan.lr * factor:.1e}")


def _changed(sheet: DataSheet | None, data: DataSet, fold: Fold) -> str:
    """How many images and how many of each digit the training part had when the run began, and has now."""
    if sheet is None or len(np.unique(fold.train)) < len(
        fold.train
    ):  # a bootstrap's sheet counts repetitions
        return ""
    before = [sheet.parts[name] for name in ("train", "val")[: 1 + (fold.val_part == "train")]]
    counts, now = np.sum([part.classes for part in before], 0), data.train.class_counts()
    changed = [
        f"digit {digit}: {a:,}, now {b:,}"
        for digit, (a, b) in enumerate(zip(counts, now, strict=True))
        if a != b
    ]
    if (n := sum(part.n for part in before)) != len(data.train):
        changed.insert(0, f"{n:,} images, now {len(data.train):,}")
    return "\n" + "\n".join(changed or ["there are as many images of each digit as before"])


def _demand_course(plan: Plan, state: State) -> None:
    """Refuse a state that no training of this plan reaches.

    Raises:
        KeyError, ValueError: it is none.
    """
    demand_count(state.step, "step", high=len(batch_bounds(len(plan.train), plan.batch_size)) - 1)
    rows = [from_plain(EpochRow, row, "history") for row in state.history]
    if [row.epoch for row in rows] != [*range(1, state.epoch + 1)]:
        raise ValueError(f"its history is not one of {counted(state.epoch, 'epoch')}")
    if state.best is not None:
        BestEpoch.among(state.history, state.best)
    shape = (len(plan.watch), *plan.val.digits.labels.shape[1:])
    for epoch, seen in enumerate(state.watched):
        if not isinstance(seen, torch.Tensor) or seen.dtype != torch.float32 or seen.shape[:2] != shape:
            raise ValueError(f"'watched[{epoch}]' is {form_of(seen)}")
