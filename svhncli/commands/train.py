"""`svhn train`: load the data, split it, train every fold, sum up; or resume a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import RenderableType

from svhncli import registry
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.loading import FREE, from_dict
from svhncli.config.verbs.training import TrainConfig
from svhncli.config.words import value_text, word
from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.files import write_json
from svhncli.core.plain import from_plain, to_plain
from svhncli.core.processes import launched
from svhncli.data.data_sheet import data_sheet
from svhncli.data.dataset import val_digits
from svhncli.engine import device
from svhncli.engine.collective import Group, LostProcessError
from svhncli.engine.compiling import is_worthwhile
from svhncli.report.diagnosis import beside_guessing, diagnose_together
from svhncli.report.html.page import write_report
from svhncli.report.next_commands import after_training
from svhncli.report.run_table import train_table
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.runs.environment import DataUsed, Environment, MachineUsed, Status, version
from svhncli.runs.locate import checkpoint_file, run_folder
from svhncli.runs.reader import Run
from svhncli.runs.results import (
    BestEpoch,
    Diagnosis,
    EnsembleSummary,
    Failure,
    FoldSummary,
    RunSummary,
    TrainResult,
    failure,
)
from svhncli.runs.run_dir import RunDir
from svhncli.runs.run_summary import write_run_summary
from svhncli.training import jobs, ranks
from svhncli.training.fold import is_finished, read_or_warn
from svhncli.training.header import say_header


def run(config: TrainConfig, run_dir: Path, is_resumed: bool = False) -> TrainResult:
    """Train in `run_dir`; resume where it holds this very run already, or report that it is finished.

    Returns:
        The summary, as it stands in summary.json, with the report and the commands to go on with.

    Raises:
        SvhnError: of every kind; what was reached is saved and status.json says why it ended.
    """
    record, show = RunDir(run_dir), Show()
    if (devices := _devices(config, is_resumed)) != launched()[1]:
        try:
            return ranks.start(devices, _again(record), config.plugins, run, config, run_dir, is_resumed)
        except LostProcessError as error:  # rank 0 may not have lived to say it
            if record.started:
                _note_end(error, record)
            raise
    config = replace(config, devices=devices)
    with record.held():
        summary = read_or_warn(record.summary, show, "it is written anew")
        if isinstance(summary, EnsembleSummary):
            raise UsageError(f"'{run_dir}' is an ensemble, which is not trained", "name a run of its members")
        config = _settled(config, record)
        if record.has_weights:
            saved = rules.with_absolute_paths(from_dict(TrainConfig, record.config()))  # new keys: defaults
            _refuse_changes(rules.to_dict(saved), rules.to_dict(config), run_dir, is_resumed)
        if isinstance(summary, (FoldSummary, RunSummary)) and is_finished(summary, config):
            if record.config() != (settings := rules.to_dict(config)):
                record.write_settings(settings)  # where the data lies now, for later commands
            show.say(f"'{run_dir}' is finished: {summary.reason}")
            with ranks.joined() as group:
                group.shared(None)  # nothing is to be done
            return TrainResult(summary=summary, next=after_training(Run.of(run_dir), summary))
        try:
            with ranks.joined() as group:
                summary = _train(config, record, show, group)
        except BaseException as error:
            if record.started:
                ended = _note_end(error, record)
                if ended.status != "interrupted":  # which can be resumed
                    _report(config, record, show)
            raise
        report = _report(config, record, show)
        return TrainResult(summary=summary, next=after_training(Run.of(run_dir), summary), report=report)


def table(result: TrainResult) -> Iterator[RenderableType]:
    return train_table(result)


def _report(config: TrainConfig, record: RunDir, show: Show) -> str | None:
    """Write report.html where it is asked for; its path."""
    if not config.report:
        return None
    try:
        with show.bars():
            show.step("write the report", 0, None)
            return str(write_report(record.path))
    except Exception as error:  # whatever it is, what was trained stands and is worth more than its report
        show.warn(
            f"no report was written: {error}; try again with: svhn report {shlex.quote(str(record.path))}"
        )
        return None


def _note_end(error: BaseException, record: RunDir) -> Failure:
    """Record why a run ended before its time, but for the summary of a run that had finished before."""
    best = before = None
    with suppress(CheckpointError):  # a damaged one is not why the run ended
        if record.best.is_file():
            with checkpoint.fitting(record.best):
                best = BestEpoch.of(checkpoint.load(record.best)["row"])
    summary = failure(error, record.path, best)
    record.write_status(Status.now(summary.status, reason=summary.reason))
    with suppress(CheckpointError):
        before = record.summary()
    if before is None or isinstance(before, Failure):
        record.write_summary(summary)
    return summary


def resume(target: str | None, changes: dict[str, Any]) -> TrainResult:
    """Resume a run with its saved config and the few keys that may change.

    Args:
        target: a run's folder, a file in it, or None for the latest run.
        changes: dotted key -> value, from the command line; a group's key has the choice's name.

    Raises:
        CheckpointError: there is no such run.
        UsageError: a change that would make it another run.
    """
    path = run_folder(target)
    saved = _saved_config(RunDir(path))
    changes = {"plugins": []} | changes  # modules are imported as this command line names them, not the run
    config = from_dict(TrainConfig, _changed(saved, changes))
    rules.validate(config)
    return run(config, path, is_resumed=True)


def _saved_config(record: RunDir) -> dict[str, Any]:
    """A run's config; where its file is damaged, as the checkpoints know it."""
    try:
        return record.config()
    except CheckpointError as error:
        with record.held():
            meta = record.kept_meta()
            if meta is None:
                raise
            record.write_settings(meta["config"])
        Show().warn(f"{error}; the config in its checkpoints takes its place")
        return record.config()


def _changed(saved: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    saved = rules.to_dict(from_dict(TrainConfig, saved))  # with keys that are newer than the run
    values: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in saved.items()}
    known = rules.flat(saved)
    for name, value in changes.items():
        if name in CHOICES:
            if value != saved[name]["name"]:
                raise _other_run([f"{name}={saved[name]['name']} in that run, not {value}"])
            continue
        if name not in known:
            near = rules.closest(name, known)
            raise UsageError(f"unknown key '{name}'", f"did you mean '{near}'?" if near else "")
        *path, last = name.split(".")
        place = values
        for step in path:
            place[step] = dict(place[step])
            place = place[step]
        place[last] = value
    return values


def _settled(config: TrainConfig, record: RunDir) -> TrainConfig:
    """Absolute paths, so that the current folder does not matter later, and `init_from` as the file that
    `latest` or a folder meant when the run started."""
    config = rules.with_absolute_paths(config)
    if (source := config.init_from) is not None:
        if not record.has_weights:
            path = checkpoint_file(source).absolute()
            checkpoint.load_weights(path)  # a damaged one is refused before there is a run
            config = replace(config, init_from=str(path))
        elif source == "latest" or not Path(source).is_file():
            config = replace(config, init_from=record.config()["init_from"])
    return config


def _refuse_changes(saved: dict[str, Any], now: dict[str, Any], run_dir: Path, is_resumed: bool) -> None:
    before, after = rules.flat(saved), rules.flat(now)
    changed = [
        f"{word(name, before.get(name))} in that run, not {value_text(after.get(name))}"
        for name in sorted(before | after)
        if name not in FREE and before.get(name) != after.get(name)
    ]
    if changed and not is_resumed:
        raise UsageError(
            f"'{run_dir}' holds a run with another config:\n" + "\n".join(changed),
            "name another folder with out=, or start from its weights: svhn train init_from=RUN …",
        )
    if changed:
        raise _other_run(changed)
    for name in ("epochs", "repeats"):
        if after[name] < before[name]:
            raise UsageError(
                f"{name}={after[name]}: this run was started with {before[name]}",
                f"{name} can be raised, not lowered",
            )
    if before["repeats"] == 1 < after["repeats"]:
        raise UsageError(
            f"repeats={after['repeats']}: this run has one seed, and its files lie in the run's own folder",
            f"start a new run with repeats={after['repeats']}; one with 2 or more can be given more",
        )


def _other_run(changed: list[str]) -> UsageError:
    return UsageError(
        "a resumed run keeps its config:\n" + "\n".join(changed),
        "to train with other settings, start a new run from its weights: svhn train init_from=RUN …",
    )


def _again(record: RunDir) -> str:
    """The command that resumes a run."""
    return f"svhn train --resume {shlex.quote(str(record.path))}"


def _devices(config: TrainConfig, is_resumed: bool) -> int:
    """How many processes train: as torchrun has started them, or as the config says.

    Raises:
        UsageError: both say it differently.
    """
    size = launched()[1]
    if size > 1 and config.devices not in (1, size) and not is_resumed:
        raise UsageError(
            f"devices={config.devices}, but torchrun has started {size} processes",
            f"leave devices out, or use torchrun --nproc-per-node={config.devices}",
        )
    return config.devices if size == 1 else size


def _train(config: TrainConfig, record: RunDir, show: Show, group: Group) -> FoldSummary | RunSummary:
    machine = _machine(config, record, show)
    with show.bars():
        show.step("prepare images", 0, None)
        data = registry.data(config.data, config.split, config.cache, show.work)
    if not record.has_weights:
        images = config.epochs * len(data.train)
        machine = replace(machine, compiled=is_worthwhile(config.compile, machine, images))
    folds = registry.folds(config.split, data, config.seed)
    todo = jobs.plan(config, folds)
    threads = machine.threads if record.has_weights else config.threads
    at_once, machine = jobs.share_out(config.jobs, len(todo), machine, threads, group.size)
    group = ranks.lead(group, ranks.Orders(config, machine, todo[0].fold, record.last))
    # Whatever can be refused has been: from here on there is a run.
    show.log = record.path / "train.log"
    record.write_config(
        rules.to_dict(config),
        Environment.of(
            replace(MachineUsed.of(machine), devices=group.size if group.size > 1 else None),
            DataUsed(data.name, data.fingerprint, len(data.train), data.whole),
        ),
    )
    record.write_status(Status.now("running"))
    if Run.of(record.path).sheet is None:  # there is none, or a damaged one
        sheet = data_sheet(data, folds[0], val_digits(data, folds[0]))
        write_json(record.path / "data.json", to_plain(sheet))
    say_header(config, machine, data, folds, record.path, show)
    if len(todo) > 1:
        show.say(f"jobs     {len(todo)}, {at_once} at once")
    summaries = jobs.train(todo, at_once, machine, data, record, show, _again(record), group=group)
    group.meet()
    if len(todo) == 1:
        _say_diagnosis(summaries[0].diagnosis, record, show)
        return summaries[0]
    diagnosis = diagnose_together(record.path, summaries, rules.to_dict(config))
    _say_diagnosis(diagnosis, record, show)
    return write_run_summary(record, summaries, diagnosis)


def _machine(config: TrainConfig, record: RunDir, show: Show) -> device.Machine:
    """A run that is resumed computes as it did before, whatever `auto` would mean today."""
    if not record.has_weights:
        return device.resolve(config.device, config.precision, config.threads, config.deterministic)
    saved = _machine_before(record, show)
    if (devices := saved.devices or 1) != config.devices:
        show.warn(
            f"devices was {devices} when this run started and is {config.devices} now: results will not be "
            "bit-identical"
        )
    if (saved.device or "").startswith("cuda") and not torch.cuda.is_available():
        raise CheckpointError(
            "this run was started on a GPU, but torch finds no GPU here",
            f"resume it on a machine with a GPU, or start a new run: svhn train init_from={record.path}",
        )
    if saved.device is None or saved.precision is None or saved.threads is None:
        raise CheckpointError(
            f"'{record.path / 'env.json'}' does not say on which machine the run was started",
            "start a new run",
        )
    # what began before these two could be chosen was deterministic and not compiled
    machine = device.resolve(saved.device, saved.precision, saved.threads, saved.deterministic is not False)
    return replace(machine, compiled=saved.compiled is True)


def _machine_before(record: RunDir, show: Show) -> MachineUsed:
    """Where the run was started; a warning of each package that was another version then."""
    env = read_or_warn(record.env, show, "the machine is taken from its checkpoints")
    if env is None:
        meta = record.kept_meta()
        return (
            from_plain(MachineUsed, meta["machine"]) if meta and "machine" in meta else record.env().machine
        )
    for package in ("svhncli", "torch", "numpy"):
        old, new = env.versions.get(package), version(package)
        if old != new:
            show.warn(
                f"{package} was {old} when this run started and is {new} now: results will not be "
                "bit-identical"
            )
    return env.machine


def _say_diagnosis(diagnosis: Diagnosis, record: RunDir, show: Show) -> None:
    """The verdict and what to try."""
    show.tell(f"{diagnosis.verdict}: {diagnosis.why}")
    if warning := beside_guessing(diagnosis, Run.of(record.path).majority):
        show.tell(f"warning: {warning}")
    for advice in diagnosis.advice:
        show.tell(f"  try {advice}")
