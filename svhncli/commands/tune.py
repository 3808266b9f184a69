"""`svhn tune`: search for better values of keys, then test on other images what the search gained."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType

from svhncli import registry
from svhncli.config.space import Space
from svhncli.config.verbs.tuning import TuneConfig
from svhncli.core.errors import BusyError
from svhncli.core.files import write_json, write_text
from svhncli.core.plain import to_plain
from svhncli.core.text import counted
from svhncli.data.split import ALL
from svhncli.engine import device
from svhncli.engine.compiling import is_worthwhile
from svhncli.report.data_notes import say_notes
from svhncli.report.figures.search import draw_search
from svhncli.report.html.page import write_report
from svhncli.report.study_board import StudyBoard
from svhncli.report.study_table import best_experiment, study_tables
from svhncli.report.terminal import Show, Silent
from svhncli.runs.studies import BEST, PLOTS, RESULT, VERDICT, StudyRecord, StudyResult, Verdict
from svhncli.runs.sweeps import SweepJob, ranked, write_table
from svhncli.training import jobs
from svhncli.training.search import recorded
from svhncli.training.search.trials import Compose, Setting, train_config

if TYPE_CHECKING:
    from svhncli.training.search.study import Study


def run(
    config: TuneConfig, folder: Path, record: StudyRecord, space: Space, compose: Compose, again: str
) -> StudyResult:
    """Run the trials of a study, or those that are left, and judge the best.

    Args:
        config: without the values that a trial draws.
        compose: the config of a trial, with its words.
        again: the command that goes on with the study.

    Raises:
        UsageError: the storage cannot be used, packages are missing, or the pruner does not fit.
        Interrupted: a signal came; everything is saved.
        SvhnError: several trials in a row failed in the same way.
    """
    from svhncli.training.search.study import Study
    from svhncli.training.search.trials import run_trials
    from svhncli.training.search.workers import run_side_by_side

    show = Show()
    with show.bars():
        show.step("prepare images", 0, None)
        data = registry.data(config.data, config.split, config.cache, show.work)
    folds = [fold for fold in registry.folds(config.split, data, config.seed) if fold.name != ALL]
    opened = (folder, record.name, config, space, len(folds))
    study = Study(*opened)
    machine = device.resolve(config.device, config.precision, config.threads, config.deterministic)
    images = config.epochs * len(data.train)
    machine = replace(machine, compiled=is_worthwhile(config.compile, machine, images))
    at_once, machine = jobs.share_out(config.jobs, study.count, machine, config.threads)
    setting = Setting(compose, machine, data, again)
    show.log = folder / "tune.log"
    _header(config, study, setting, at_once, show)
    say_notes(data, show)
    with recorded.in_use(config.storage):
        with StudyBoard(show, config.metric, study.count, config.epochs * len(folds)) as board:

            def look() -> int:
                return board.update(study.lines())

            look()
            if at_once > 1:
                run_side_by_side(opened, at_once, machine, compose, again, show.stopping, look)
            else:
                device.prepare(machine)
                run_trials(study, setting, _Stoppable, look)
            look()
        return _concluded(study, config, setting, show)


class _Stoppable(Silent):
    """The `Show` of a trial in this process: silent, but for what Ctrl-C does."""

    def stopping(self) -> None:
        Show.stopping(self)


def table(result: StudyResult) -> Iterator[RenderableType]:
    yield from study_tables(result)


def _header(config: TuneConfig, study: Study, setting: Setting, at_once: int, show: Show) -> None:
    data, folder = setting.data, study.folder
    show.say(f"data     {data.name}: {len(data.train):,} training images")
    for dimension in study.space.dimensions:
        of = f"  (with {dimension.group}={','.join(sorted(dimension.owners))})" if dimension.owners else ""
        show.say(f"space    {dimension.key}={dimension.text}{of}")
    per_trial = (
        f"{study.folds} folds of {config.epochs} epochs" if study.folds > 1 else f"{config.epochs} epochs"
    )
    show.say(f"study    {counted(study.count, 'trial')} of {per_trial}, {at_once} at once")
    storage = recorded.shown(config.storage)
    show.say(f"search   sampler {config.sampler}, pruner {config.pruner}, storage {storage}")
    show.say(f"run      {folder}")


def _concluded(study: Study, config: TuneConfig, setting: Setting, show: Show) -> StudyResult:
    """Sum the trials up, judge the best ones, and write the study's files."""
    folder, rows = study.folder, ranked(study.rows())
    if rows:
        write_table(folder, rows)
    done = [row for row in rows if row.is_done]
    pending = study.count - sum(row.status in ("done", "pruned", "failed") for row in rows)
    importance = study.importance()
    configs = _configs(study, done, setting.compose)
    verdict = None
    if done and pending <= 0 and config.finalists:
        verdict = _verdict(study, config, configs[: config.finalists], setting, show)
    best: str | None = None
    if done:
        job, chosen = configs[0]
        if verdict is not None and verdict.chosen is not None:
            job, chosen = next(pair for pair in configs if pair[0].job == verdict.chosen)
        best = str(folder / BEST)
        (folder / BEST).parent.mkdir(exist_ok=True)
        write_text(folder / BEST, best_experiment(job, chosen, len(rows)))
    result = StudyResult(
        study=str(folder),
        metric=config.metric,
        trials=rows,
        epochs=study.epochs(),
        pending=max(0, pending),
        importance=importance,
        best=best,
        plots=[str(file) for file in draw_search(folder / PLOTS, rows, config.metric, importance)],
        verdict=verdict,
        next=_next(folder, best, max(0, pending), setting.again, verdict),
    )
    write_json(folder / RESULT, to_plain(result))
    if not config.report or not done:
        return result
    try:
        return replace(result, report=str(write_report(folder)))
    except Exception as error:  # whatever it is, the trials stand and are worth more than their report
        show.warn(f"no report was written: {error}")
        return result


def _configs(study: Study, done: Sequence[SweepJob], compose: Compose) -> list[tuple[SweepJob, TuneConfig]]:
    words = {
        trial.number: trial.user_attrs["words"] for trial in study.trials() if "words" in trial.user_attrs
    }
    most = max(study.config.finalists, 1)
    return [(row, compose(words[row.job])) for row in done[:most]]


def _verdict(
    study: Study,
    config: TuneConfig,
    finalists: Sequence[tuple[SweepJob, TuneConfig]],
    setting: Setting,
    show: Show,
) -> Verdict | None:
    """Judge the finalists, unless another process does so now."""
    from svhncli.training.search.verdict import judge

    runs = [(row, train_config(chosen)) for row, chosen in finalists]
    wide = jobs.how_many(config.jobs, config.repeats, setting.machine.device, config.threads)
    try:
        return judge(study.folder / VERDICT, train_config(config), runs, config.repeats, setting, wide, show)
    except BusyError:
        show.warn("another process trains the finalists now; it will write the result")
        return None


def _next(folder: Path, best: str | None, pending: int, again: str, verdict: Verdict | None) -> list[str]:
    commands = [again] if pending else []
    if best is not None:
        commands.append(f"svhn train --config-dir {shlex.quote(str(folder))} experiment=best")
    if verdict is not None:
        runs = " ".join(shlex.quote(row.run_dir) for row in verdict.retrained)
        commands.append(
            f"svhn compare {runs}" + (" part=test" if verdict.retrained[0].val is not None else "")
        )
    return commands
