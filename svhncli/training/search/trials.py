"""The trials that one process runs: each is a run in a folder of its own, which may be stopped early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from svhncli import registry
from svhncli.config import rules
from svhncli.config.loading import NEUTRAL
from svhncli.config.space import words
from svhncli.config.verbs.training import TrainConfig, TrainingConfig
from svhncli.config.verbs.tuning import TuneConfig
from svhncli.config.words import overrides
from svhncli.core.errors import Interrupted, SvhnError, disk_error
from svhncli.data.dataset import DataSet
from svhncli.data.split import ALL
from svhncli.engine.device import Machine
from svhncli.report.diagnosis import diagnose_together
from svhncli.report.terminal import Show
from svhncli.runs.environment import DataUsed, Environment, MachineUsed, Status
from svhncli.runs.results import FoldSummary, RunSummary, failure
from svhncli.runs.run_dir import RunDir
from svhncli.runs.run_summary import write_run_summary
from svhncli.training import jobs
from svhncli.training.search.study import Study, Trial, epochs_done

Compose = Callable[[Sequence[str]], TuneConfig]
"""The config with these words after those of the command line; it can be sent to another process."""
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "DefaultCPUAllocator")


class Pruned(SvhnError):
    """The pruner stopped a trial."""


@dataclass(frozen=True)
class Setting:
    """What all trials have in common. again: the command that goes on with the study."""

    compose: Compose
    machine: Machine
    data: DataSet
    again: str


def run_trials(study: Study, setting: Setting, show: Callable[[], Show], look: Callable[[], object]) -> None:
    """Run trials until the study has enough or its budget is spent.

    show: makes the `Show` of a trial. look: called after every epoch and every trial.

    Raises:
        Interrupted: a signal came; the trial is saved, and goes on when the study does.
        SvhnError: several trials in a row failed in the same way.
    """
    while (trial := study.begin()) is not None:
        with trial.held:
            _run(study, trial, setting, show(), look)
        look()


def _run(study: Study, trial: Trial, setting: Setting, show: Show, look: Callable[[], object]) -> None:
    """Run one trial and record what became of it."""
    began = time.monotonic()
    try:
        config = train_config(setting.compose(words(trial.drawn)))
        summary = train_run(config, trial.record, setting, show, _Judge(trial, config, study.folds, look))
        score = summary.score.value
        if not math.isfinite(score):
            raise SvhnError(f"{config.metric} is {score}")
        study.complete(trial, score, time.monotonic() - began)
    except Interrupted:
        raise
    except Pruned as pruned:
        _note_end(trial.record, pruned, "pruned")
        study.prune(trial, pruned.message)
    except Exception as error:  # whatever it is, other trials are not concerned
        known = error if isinstance(error, SvhnError) else disk_error(error) or _explained(error)
        show.note(f"failed: {known.message}")
        _note_end(trial.record, known, "failed")
        study.fail(trial, known.message)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _explained(error: Exception) -> SvhnError:
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
        return SvhnError(f"out of memory: {text}")
    return SvhnError(text)


def _note_end(record: RunDir, error: SvhnError, status: str) -> None:
    record.write_summary(replace(failure(error, record.path), status=status))
    record.write_status(Status.now(status, epochs_done(record), reason=error.message))


def train_config(config: TuneConfig) -> TrainConfig:
    """The run that a config of `svhn tune` makes: without a report, and without a look at the test part."""
    shared: dict[str, Any] = {item.name: getattr(config, item.name) for item in fields(TrainingConfig)}
    return TrainConfig(**shared, metric=config.metric, test=False, watch=0, report=False, jobs=1)


def train_run(
    config: TrainConfig,
    record: RunDir,
    setting: Setting,
    show: Show,
    watcher: jobs.Watcher | None = None,
    at_once: int = 1,
) -> FoldSummary | RunSummary:
    """Train a whole run in its folder, or what is left of it.

    Raises:
        SvhnError: as for training.
    """
    data, machine = setting.data, setting.machine
    if record.has_weights and (threads := record.env().machine.threads) is not None:
        machine = replace(machine, threads=threads)
    todo = jobs.plan(config, registry.folds(config.split, data, config.seed))
    show.log = record.path / "train.log"
    environment = Environment.of(
        MachineUsed.of(machine),
        DataUsed(data.name, data.fingerprint, len(data.train), data.whole),
    )
    values = rules.to_dict(config)
    record.write_config(values, replace(environment, command=["svhn", "train", *_words(values)]))
    record.write_status(Status.now("running", epochs_done(record)))
    summaries = jobs.train(todo, at_once, machine, data, record, show, setting.again, watcher=watcher)
    if len(todo) == 1:
        return summaries[0]
    summary = write_run_summary(record, summaries, diagnose_together(record.path, summaries, values))
    record.write_status(Status.now("done", epochs_done(record)))
    return summary


def _words(values: Mapping[str, Any]) -> list[str]:
    """The words that train such a run by itself."""
    return overrides(values, "train", [name for name in values if name not in NEUTRAL or name == "repeats"])


class _Judge(jobs.Watcher):
    """Reports a trial's scores as they come in, those of its epochs or of its folds, and asks the pruner."""

    def __init__(self, trial: Trial, config: TrainConfig, folds: int, look: Callable[[], object]) -> None:
        self.trial = trial
        self.metric = config.metric
        self.epochs = config.epochs
        self.folds = folds
        self.look = look
        before = trial.handle.storage.get_trial(trial.handle._trial_id)
        self.reported = {*before.intermediate_values}

    def epoch(self, history: Sequence[Mapping[str, Any]]) -> None:
        if self.folds == 1:
            for row in history:
                self._report(row[self.metric], row["epoch"])
            if len(history) < self.epochs and self.trial.handle.should_prune():
                best = max if self.trial.handle.study.direction.name == "MAXIMIZE" else min
                reached = best(row[self.metric] for row in history)
                raise Pruned(
                    f"after epoch {len(history)} of {self.epochs}: {self.metric} {reached:.4g} so far"
                )
        self.look()

    def job(self, number: int, summary: FoldSummary) -> None:
        if self.folds > 1 and summary.fold != ALL:
            self._report(summary.score.value, number)
            if number + 1 < self.folds and self.trial.handle.should_prune():
                raise Pruned(
                    f"after fold {number + 1} of {self.folds}: {self.metric} {summary.score.value:.4g}"
                )

    def _report(self, value: float, step: int) -> None:
        if step not in self.reported:
            self.reported.add(step)
            self.trial.handle.report(value, step)
