"""`svhn learning-curve`: train on growing parts of the data; would more data help, or a larger model?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from rich.console import RenderableType
from rich.table import Table

from svhncli import registry
from svhncli.config import rules
from svhncli.config.loading import FREE
from svhncli.config.verbs.training import LearningCurveConfig, TrainConfig, TrainingConfig
from svhncli.core.errors import UsageError
from svhncli.core.files import write_json
from svhncli.core.paths import expanded
from svhncli.core.plain import to_plain
from svhncli.core.text import bounds, percent
from svhncli.data.dataset import DataSet
from svhncli.data.split import Fold, growing
from svhncli.engine import device
from svhncli.engine.compiling import is_worthwhile
from svhncli.report.data_notes import say_notes
from svhncli.report.figures.learning_curve import draw_learning_curve
from svhncli.report.terminal import Show, facts, labeled
from svhncli.runs.environment import DataUsed, Environment, MachineUsed
from svhncli.runs.learning_curve import CurveSize, ExpectedError, LearningCurve
from svhncli.runs.results import FoldSummary
from svhncli.runs.run_dir import RunDir
from svhncli.stats.intervals import mean_interval, wilson
from svhncli.stats.power_law import fit, predicted
from svhncli.training import jobs
from svhncli.training.jobs import Job, with_seed

RESULT, PLOT = "result.json", "learning_curve.png"
AHEAD = (2, 10)
"""How many times the available images the curve is extrapolated to."""
HELPS = 0.1
"""More data helps if twice as many images would remove at least this share of the error, and hardly helps if
they would not; where the interval of the error has both, nobody can tell."""
UNLEARNED = 0.75
"""Error of the networks of the largest size above which nothing can be concluded from the curve."""
UNDERFITS = 0.5
"""The model underfits if the training error is at least this share of the validation error."""


def run(config: LearningCurveConfig) -> LearningCurve:
    """Train on each size several times, each time on another draw, with the same validation part.

    All sizes train for as many steps as the whole does: only the number of images differs. The
    smaller draws are parts of the larger ones.

    Raises:
        UsageError: `out` holds another curve.
        Interrupted: a signal came; the same command resumes.
        SvhnError: as for training.
    """
    fractions = sorted(set(config.sizes))
    record, show = RunDir(expanded(config.out)), Show()
    with record.held():
        if record.has_weights:
            _refuse_another(record, config)
        machine = device.resolve(config.device, config.precision, config.threads, config.deterministic)
        with show.bars():
            data = registry.data(config.data, config.split, config.cache, show.work)
        images = config.epochs * len(data.train)
        machine = replace(machine, compiled=is_worthwhile(config.compile, machine, images))
        fold = registry.folds(config.split, data, config.seed)[0]
        say_notes(data, show, fold)
        todo = _plan(config, data, fold, fractions)
        threads = record.env().machine.threads or config.threads if record.has_weights else config.threads
        at_once, machine = jobs.share_out(config.jobs, len(todo), machine, threads)
        show.log = record.path / "train.log"
        record.write_config(
            rules.to_dict(config),
            Environment.of(
                MachineUsed.of(machine),
                DataUsed(data.name, data.fingerprint, len(data.train)),
            ),
        )
        show.say(
            f"data     {data.name}: {len(fold.train):,} training images, {len(fold.val):,} validation; "
            f"{len(todo)} jobs, {at_once} at once"
        )
        counts = {job.fold.name: f"{len(np.unique(job.fold.train)):,}" for job in todo}
        show.say(f"sizes    of the {len(fold.train):,} training images: {', '.join(counts.values())}")
        again = "the same command"
        summaries = jobs.train(todo, at_once, machine, data, record, show, again)
        result = _curve(fractions, summaries, config.seed, len(fold.val), record.path)
        draw_learning_curve(record.path / PLOT, result.sizes, result.law, result.ahead)
        write_json(record.path / RESULT, to_plain(result))
    return result


def table(result: LearningCurve) -> Iterator[RenderableType]:
    """One row per measured size, then the sizes that the power law predicts; then the conclusions."""
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("train on", "val error", "95%", "train error", ""):
        rows.add_column(name, justify="left" if name == "" else "right")
    for size in result.sizes:
        draws = len(size.errors)
        ends = "" if size.low is None or size.high is None else _range(size.low, size.high)
        averaged = f"mean of {draws}" if draws > 1 else ""
        rows.add_row(f"{size.n:,}", percent(size.error), ends, percent(size.train_error), averaged)
    for further in result.ahead[1:]:
        ends = _range(further.low, further.high)
        rows.add_row(f"{further.n:,}", percent(further.error), ends, "", "expected")
    yield rows
    heads = ["conclusion", *[""] * (len(result.says) - 1)]
    yield facts([*zip(heads, result.says, strict=True), ("plot", result.plot)])
    yield labeled("run", result.run_dir)


def _range(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"


def _refuse_another(record: RunDir, config: LearningCurveConfig) -> None:
    before = rules.flat(record.config())
    now = rules.flat(rules.to_dict(config))
    free = FREE | {"out", "sizes"}
    changed = [
        name for name in sorted(before | now) if name not in free and before.get(name) != now.get(name)
    ]
    if changed:
        changes = "; ".join(f"{name} was {before.get(name)}, not {now.get(name)}" for name in changed)
        raise UsageError(f"'{record.path}' holds another curve: {changes}", "name another folder with out=")


def _plan(config: LearningCurveConfig, data: DataSet, fold: Fold, fractions: Sequence[float]) -> list[Job]:
    """Every size with every seed, the smallest first."""
    shared = {item.name: getattr(config, item.name) for item in fields(TrainingConfig)}
    first = TrainConfig(**shared, metric=config.metric, test=False, watch=0)
    draws = {
        seed: growing(fold, data.train.groups, fractions=fractions, seed=seed)
        for seed in range(config.seed, config.seed + config.repeats)
    }
    return [
        Job(f"{draw[size].name}-seed{seed}", draw[size], with_seed(first, seed))
        for size in range(len(fractions))
        for seed, draw in draws.items()
    ]


def _curve(
    fractions: Sequence[float], summaries: Sequence[FoldSummary], seed: int, n_val: int, folder: Path
) -> LearningCurve:
    """The measurements of each size, the law through them, and what follows from it."""
    sizes = [_size(f, [run for run in summaries if run.fold == f"{100 * f:g}pct"]) for f in fractions]
    n = [run.n_train for run in summaries]
    errors = [1 - run.best.val_accuracy for run in summaries]
    law = fit(n, errors)
    most = sizes[-1].n
    wanted = [most, *(times * most for times in AHEAD)]
    low, high = predicted(n, errors, wanted, seed)
    ahead = [
        _expected(round(count), float(law.at(count)), float(low[i]), float(high[i]), n_val)
        for i, count in enumerate(wanted)
    ]
    before = None
    if len(fractions) > 3:
        smaller = [i for i, count in enumerate(n) if count < min(sizes[-1].counts)]
        before = float(fit([n[i] for i in smaller], [errors[i] for i in smaller]).at(most))
    says = _says(sizes[-1], ahead, before)
    return LearningCurve(sizes, law, ahead, before, says, n_val, str(folder), str(folder / PLOT))


def _expected(n: int, error: float, low: float, high: float, n_val: int) -> ExpectedError:
    """The interval of the draws of training images, widened by that of Wilson for the validation images."""
    chance = wilson(error * n_val, n_val)
    below, above = math.hypot(error - low, error - chance.low), math.hypot(high - error, chance.high - error)
    return ExpectedError(n, error, max(0.0, error - below), min(1.0, error + above))


def _size(fraction: float, summaries: Sequence[FoldSummary]) -> CurveSize:
    errors = [1 - run.best.val_accuracy for run in summaries]
    counts = [run.n_train for run in summaries]
    interval = mean_interval(errors) if len(errors) > 1 else None
    return CurveSize(
        fraction=fraction,
        n=round(math.fsum(counts) / len(counts)),
        counts=counts,
        errors=errors,
        error=math.fsum(errors) / len(errors),
        low=max(0.0, interval.low) if interval else None,
        high=min(1.0, interval.high) if interval else None,
        train_error=math.fsum(1 - run.train.accuracy for run in summaries) / len(summaries),
    )


def _says(last: CurveSize, ahead: Sequence[ExpectedError], before: float | None) -> list[str]:
    """Would more data help, or a larger model?"""
    now, twice = ahead[0], ahead[1]
    if min(last.error, last.train_error) > UNLEARNED:
        return [
            f"The networks have hardly learned anything: {percent(last.train_error)} of the training images "
            "are wrong. Train for more epochs before you conclude anything."
        ]
    enough = (1 - HELPS) * now.error
    on_the_curve = now.low <= last.error <= now.high  # or else it says nothing about this model
    data_helps = None if not on_the_curve or twice.low <= enough < twice.high else twice.high <= enough
    underfits = last.train_error >= UNDERFITS * last.error
    verdict = {
        True: "more data would help.",
        False: "more data would hardly help.",
        None: "these measurements cannot tell whether more data would help; more draws of each size "
        "(repeats=...), or more validation images, narrow the interval.",
    }
    says = [
        f"With twice as many images ({twice.n:,} instead of {now.n:,}) the error would be about "
        f"{percent(twice.error)} {bounds(twice.low, twice.high)} instead of {percent(now.error)} by the "
        f"curve, {percent(last.error)} as measured: "
        f"{verdict[data_helps]}"
    ]
    train_error = percent(last.train_error)
    if underfits:
        says.append(
            f"The training error is {train_error}, not far below that of the held-out images: try a larger "
            "model, longer training or less regularization."
        )
    elif data_helps or data_helps is None:
        data = "" if data_helps is None else "data, "
        lacks = f"the model lacks {data}not capacity" if data else "the model does not lack capacity"
        says.append(f"The training error is {train_error}: {lacks}.")
    else:
        says.append(
            f"The training error is {train_error}: more regularization or augmentation would help, "
            "or a different kind of network."
        )
    if before is not None:
        says.append(
            f"How far to trust this: extrapolating from the smaller sizes alone predicted an error of "
            f"{percent(before)} for {last.n:,} images; {percent(last.error)} was measured."
        )
    return says
