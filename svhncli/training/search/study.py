"""A study: its trials in Optuna's storage, which of them begins next, and what became of each.

Several processes, on several machines, may work on one study. A trial belongs to the process that holds the
lock of its folder; one that is running by the storage, while nobody holds its folder, was left behind by a
process that ended, and whoever asks next goes on with it. Which trial begins is decided under the lock of the
study's folder. So no trial runs twice and none is lost, whenever a process is killed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from svhncli.config.space import Dimension, Space, Value, words
from svhncli.config.verbs.tuning import TuneConfig
from svhncli.core.errors import BusyError, SvhnError
from svhncli.core.locks import locked
from svhncli.report.study_board import TrialLine
from svhncli.runs.run_dir import RunDir
from svhncli.runs.studies import Importance
from svhncli.runs.sweeps import SweepJob, sweep_job
from svhncli.stats.metrics import METRICS
from svhncli.training.search.recorded import make_pruner, make_sampler, open_storage

STATUS = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
DEATHS = 3
"""Times that a trial's process may be killed before another epoch is done; then the trial has failed."""
LEAST = 8
"""Trials from which on fANOVA is computed; of fewer it says nothing."""
ALIKE = 3
"""Trials in a row that failed for the same reason, after which the study stops."""

optuna.logging.set_verbosity(optuna.logging.ERROR)  # the board says what happens


@dataclass
class Trial:
    """A trial that this process runs; its folder is held until it is closed. handle: Optuna's."""

    number: int
    drawn: dict[str, Value]
    record: RunDir
    handle: optuna.Trial
    held: ExitStack


class Study:
    """The trials of a study, as this process and others record them.

    name: in the storage. folds: of a trial.

    Raises:
        UsageError: the storage cannot be used, or a pruner that does not fit.
    """

    def __init__(self, folder: Path, name: str, config: TuneConfig, space: Space, folds: int) -> None:
        self.folder = folder
        self.config = config
        self.space = space
        self.folds = folds
        self.points = space.grid() if config.sampler == "grid" else []
        self.began = datetime.now()
        self.deadline = time.monotonic() + 60 * (config.max_minutes or float("inf"))
        direction = StudyDirection.MINIMIZE
        if METRICS[config.metric].higher_is_better:
            direction = StudyDirection.MAXIMIZE
        self.study = optuna.create_study(
            study_name=name,
            storage=open_storage(config.storage, folder),
            direction=direction,
            load_if_exists=True,
            pruner=make_pruner(config.pruner, config.epochs, folds),
        )

    @property
    def count(self) -> int:
        """How many trials the study is to have."""
        return min(self.config.trials, len(self.points)) if self.points else self.config.trials

    def trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    # ---- the next trial

    def begin(self) -> Trial | None:
        """The next trial, one that was left behind first; None where there is nothing left to begin.

        Raises:
            SvhnError: several trials in a row failed in the same way.
        """
        lock = locked(self.folder / ".lock")
        try:
            trials = self.trials()
            self._refuse_failures(trials)
            for trial in trials:
                if trial.state == TrialState.RUNNING and (left := self._adopted(trial)) is not None:
                    return left
            begun = sum(trial.state != TrialState.WAITING for trial in trials)
            if begun >= self.count or not self._is_within_budget(trials):
                return None
            if self.points and begun == len(trials):
                self.study.enqueue_trial(self.points[begun])
            self.study.sampler = self._sampler(begun)
            handle = self.study.ask()
            return self._begun(handle, self._held(handle.number))
        finally:
            lock.release()

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return make_sampler(self.config.sampler, self.config.trials, self.config.seed, number)

    def _adopted(self, trial: FrozenTrial) -> Trial | None:
        """A trial that was left behind; None where another process runs it, or where it has now failed."""
        try:
            held = self._held(trial.number)
        except BusyError:
            return None
        # it may have ended since the list of trials was read; now that its folder is held, it cannot any more
        if self.study._storage.get_trial(trial._trial_id).state != TrialState.RUNNING:
            held.close()
            return None
        self.study.sampler = self._sampler(trial.number)
        # Optuna's own way to go on with a trial of another process
        mine = self._begun(optuna.Trial(self.study, trial._trial_id), held)
        starts = mine.handle.user_attrs["starts"]
        if len(starts) > DEATHS and len({*starts[-DEATHS - 1 :]}) == 1:
            with mine.held:
                times = f"{DEATHS} times before another epoch was done"
                self.fail(mine, f"its process ended {times}, as when memory runs out")
            return None
        return mine

    def _record(self, number: int) -> RunDir:
        return RunDir(self.folder / f"trial-{number:03d}")

    def _held(self, number: int) -> ExitStack:
        held = ExitStack()
        held.enter_context(self._record(number).held())
        return held

    def _begun(self, handle: optuna.Trial, held: ExitStack) -> Trial:
        """Draw the values of a trial whose folder is held, where they are not drawn yet; note its start."""
        record = self._record(handle.number)
        drawn = self.space.draw(lambda dimension: _suggest(handle, dimension))
        status = record.status()
        was_stopped = status is not None and status.status == "interrupted"  # it saved its state
        starts = [] if was_stopped else handle.user_attrs.get("starts", [])
        handle.set_user_attr("starts", [*starts, epochs_done(record)])
        handle.set_user_attr("words", words(drawn))
        return Trial(handle.number, drawn, record, handle, held)

    def _is_within_budget(self, trials: Sequence[FrozenTrial]) -> bool:
        if time.monotonic() >= self.deadline:
            return False
        if self.config.max_epochs is None:
            return True
        most = self.config.epochs * self.folds
        spent = sum(
            trial.user_attrs.get("epochs", 0) if trial.state in FINISHED else most
            for trial in trials
            if trial.state != TrialState.WAITING
        )
        return spent + most <= self.config.max_epochs

    def _refuse_failures(self, trials: Sequence[FrozenTrial]) -> None:
        """Stop where the last trials that ended since this process began failed in the same way."""
        ended = [
            t
            for t in trials
            if t.state in FINISHED and t.datetime_complete and t.datetime_complete > self.began
        ]
        last = sorted(ended, key=lambda trial: trial.datetime_complete or self.began)[-ALIKE:]
        reasons = {re.sub(r"[\d.e+-]+", "#", str(trial.user_attrs.get("reason"))) for trial in last}
        if len(last) == ALIKE and len(reasons) == 1 and all(t.state == TrialState.FAIL for t in last):
            raise SvhnError(
                f"{ALIKE} trials in a row failed in the same way: {last[-1].user_attrs.get('reason')}",
                f"look into {self.folder / f'trial-{last[-1].number:03d}' / 'train.log'}; once the reason is "
                f"gone: svhn tune --resume {self.folder}",
            )

    # ---- what became of it

    def complete(self, trial: Trial, score: float, seconds: float) -> None:
        self._end(trial, TrialState.COMPLETE, score, seconds=seconds)

    def prune(self, trial: Trial, reason: str) -> None:
        self._end(trial, TrialState.PRUNED, reason=reason)

    def fail(self, trial: Trial, reason: str) -> None:
        self._end(trial, TrialState.FAIL, reason=reason)

    def _end(self, trial: Trial, state: TrialState, score: float | None = None, **facts: Any) -> None:
        for name, value in {"epochs": epochs_done(trial.record), **facts}.items():
            trial.handle.set_user_attr(name, value)
        self.study.tell(trial.handle, score, state)

    def rows(self) -> list[SweepJob]:
        """A row for every trial that began, as they stand in the trials' folders."""
        keys = [dimension.key for dimension in self.space.dimensions]
        made = []
        for trial in self.trials():
            if trial.state != TrialState.WAITING:
                values = dict(word.partition("=")[::2] for word in trial.user_attrs.get("words", []))
                swept = {key: values.get(key, "") for key in keys}
                made.append(sweep_job(trial.number, self.folder / f"trial-{trial.number:03d}", swept))
        return made

    def lines(self) -> list[TrialLine]:
        """Every trial that began, as the board shows it."""
        return [self._line(trial) for trial in self.trials() if trial.state != TrialState.WAITING]

    def _line(self, trial: FrozenTrial) -> TrialLine:
        values = list(trial.intermediate_values.values())
        higher = METRICS[self.config.metric].higher_is_better
        reached = (max if higher else min)(values) if values else None
        over = trial.datetime_complete or datetime.now()
        began = trial.datetime_start or over
        return TrialLine(
            number=trial.number,
            words=" ".join(trial.user_attrs.get("words", [])),
            status=STATUS[trial.state],
            score=trial.value if trial.state == TrialState.COMPLETE else reached,
            epoch=trial.user_attrs.get("epochs") or (max(trial.intermediate_values, default=0)),
            seconds=(over - began).total_seconds(),
            reason=str(trial.user_attrs.get("reason", "")),
        )

    def epochs(self) -> int:
        """Epochs that all trials trained."""
        return sum(epochs_done(RunDir(row.path)) for row in self.rows())

    def importance(self) -> Importance:
        """The share of the score's variance that each key explains (fANOVA, Hutter et al. 2014).

        Of the keys that every trial has. Trials that were stopped early have no final score, so where there
        are any, all trials count by their score at the last step that each of them reached.
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances
        from optuna.trial import create_trial

        ended = [t for t in self.trials() if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        step = None
        if any(trial.state == TrialState.PRUNED for trial in ended):
            step = min(max(trial.intermediate_values, default=0) for trial in ended)
        values = [trial.value if step is None else trial.intermediate_values.get(step) for trial in ended]
        if len(ended) < LEAST or len({*values}) < 2:
            return Importance({})
        scored = optuna.create_study(direction=self.study.direction)
        scored.add_trials(
            [
                create_trial(params=trial.params, distributions=trial.distributions, value=value)
                for trial, value in zip(ended, values, strict=True)
                if value is not None
            ]
        )
        try:
            shares = get_param_importances(scored, evaluator=FanovaImportanceEvaluator(seed=0))
        except (RuntimeError, ValueError):  # no key has two values
            return Importance({})
        unit = "epoch" if self.folds == 1 else "fold"
        return Importance(dict(shares), "" if step is None else f"{unit} {step + (unit == 'fold')}")


def epochs_done(record: RunDir) -> int:
    """Epochs in the folder of a trial, of all its folds."""
    files = [record.path / "metrics.csv", *sorted(record.path.glob("*/metrics.csv"))]
    lines = [file.read_text(encoding="utf-8").count("\n") for file in files if file.is_file()]
    return sum(max(0, count - 1) for count in lines)


def _suggest(handle: optuna.Trial, dimension: Dimension) -> Value:
    """The value that Optuna draws, in as few digits as a config has."""
    if dimension.values:
        return cast(Value, handle.suggest_categorical(dimension.key, dimension.values))
    if dimension.whole:
        step = int(dimension.step or 1)
        low, high = int(dimension.low), int(dimension.high)
        return handle.suggest_int(dimension.key, low, high, step=step, log=dimension.log)
    step_of = {} if dimension.step is None else {"step": dimension.step}
    return dimension.number(
        handle.suggest_float(dimension.key, dimension.low, dimension.high, log=dimension.log, **step_of)
    )
