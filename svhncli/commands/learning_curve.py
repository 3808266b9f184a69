"""`svhn learning-curve`: train on ever more of the training part; would more data help, or a larger model?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from svhncli import registry
from svhncli.config import rules
from svhncli.config.loading import FREE
from svhncli.config.verbs import LearningCurveConfig, TrainConfig, TrainingConfig
from svhncli.core.errors import UsageError
from svhncli.core.files import write_json
from svhncli.data.dataset import DataSet
from svhncli.data.split import Fold, growing
from svhncli.engine import device
from svhncli.report.figures.learning_curve import draw_learning_curve
from svhncli.report.terminal import Show, percent
from svhncli.runs.record import RunDir
from svhncli.stats.intervals import mean_interval
from svhncli.stats.power_law import PowerLaw, fit, predicted
from svhncli.training import jobs
from svhncli.training.jobs import Job, with_seed

RESULT, PICTURE = "result.json", "learning_curve.png"
AHEAD = (2, 10)
"""Times as many pictures as there are, at which the curve is continued."""
HELPS = 0.1
"""Share of the error that twice as many pictures take away, from which on more data is said to help."""
UNFIT = 0.5
"""Share of the validation error that training pictures have, too, from which on the model is to blame."""


def run(config: LearningCurveConfig) -> dict[str, Any]:
    """Train on each size several times, each time on another draw, with the same validation part.

    All sizes train for as many steps as the whole does: what differs is how many pictures there are. The
    smaller draws are parts of the larger ones.

    Returns:
        {"sizes": [{"n", "fraction", "errors", "error" (mean), "low", "high" (None for one draw),
        "train_error"}], "law": {"floor", "scale", "exponent"}, "ahead": [{"n", "error", "low", "high"}],
        "expected_before": what the law of the smaller sizes expects of the largest, or None, "says":
        sentences, "n_val", "run_dir", "plot"}.

    Raises:
        UsageError: fewer than 3 sizes, or `out` holds another curve.
        Interrupted: a signal came; the same command goes on.
        SvhnError: as for training.
    """
    fractions = sorted(set(config.sizes))
    if len(fractions) < 3:
        raise UsageError(f"sizes={config.sizes}: a curve needs 3 or more", "such as sizes=[0.1,0.3,1]")
    record, show = RunDir(Path(config.out).expanduser()), Show()
    with record.held():
        if record.started:
            _refuse_another(record, config)
        machine = device.resolve(config.device, config.precision, config.threads)
        with show.bars():
            data = registry.data(config.data, config.split, config.cache, show.work)
        fold = registry.folds(config.split, data, config.seed)[0]
        todo = _plan(config, data, fold, fractions)
        threads = record.env()["machine"]["threads"] if record.started else config.threads
        at_once, machine = jobs.share_out(config.jobs, len(todo), machine, threads)
        show.log = record.path / "train.log"
        record.write_config(
            rules.to_dict(config),
            {"device": machine.device.type, "precision": machine.precision, "threads": machine.threads},
            {"name": data.name, "fingerprint": data.fingerprint, "train": len(data.train)},
        )
        show.say(
            f"data     {data.name}: {len(fold.train):,} pictures to train on, {len(fold.val):,} validate; "
            f"{len(todo)} trainings, {at_once} at once"
        )
        again = "the same command"
        summaries = jobs.train(todo, at_once, machine, data, record, show, again)
        result = {**_curve(fractions, summaries, config.seed), "n_val": len(fold.val)}
        result |= {"run_dir": str(record.path), "plot": str(record.path / PICTURE)}
        law = PowerLaw(**result["law"])
        draw_learning_curve(record.path / PICTURE, result["sizes"], law, result["ahead"])
        write_json(record.path / RESULT, result)
    return result


def _refuse_another(record: RunDir, config: LearningCurveConfig) -> None:
    before = rules.flat(record.config())
    now = rules.flat(rules.to_dict(config))
    free = FREE | {"out", "sizes"}
    changed = [
        name for name in sorted(before | now) if name not in free and before.get(name) != now.get(name)
    ]
    if changed:
        told = "; ".join(f"{name} was {before.get(name)}, not {now.get(name)}" for name in changed)
        raise UsageError(f"'{record.path}' holds another curve: {told}", "name another folder with out=")


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


def _curve(fractions: Sequence[float], summaries: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """The measurements of each size, the law through them, and what it says."""
    sizes = [_size(f, [one for one in summaries if one["fold"] == f"{100 * f:g}pct"]) for f in fractions]
    n = [one["n_train"] for one in summaries]
    errors = [1 - one["best"]["val_accuracy"] for one in summaries]
    law = fit(n, errors)
    most = sizes[-1]["n"]
    wanted = [most, *(times * most for times in AHEAD)]
    low, high = predicted(n, errors, wanted, seed)
    ahead = [
        {"n": round(one), "error": float(law.at(one)), "low": float(low[i]), "high": float(high[i])}
        for i, one in enumerate(wanted)
    ]
    before = None
    if len(fractions) > 3:
        smaller = [i for i, one in enumerate(n) if one < min(sizes[-1]["counts"])]
        before = float(fit([n[i] for i in smaller], [errors[i] for i in smaller]).at(most))
    return {
        "sizes": sizes,
        "law": asdict(law),
        "ahead": ahead,
        "expected_before": before,
        "says": _says(sizes[-1], ahead, before),
    }


def _size(fraction: float, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    errors = [1 - one["best"]["val_accuracy"] for one in summaries]
    counts = [one["n_train"] for one in summaries]
    interval = mean_interval(errors) if len(errors) > 1 else None
    return {
        "fraction": fraction,
        "n": round(math.fsum(counts) / len(counts)),
        "counts": counts,
        "errors": errors,
        "error": math.fsum(errors) / len(errors),
        "low": max(0.0, interval.low) if interval else None,
        "high": min(1.0, interval.high) if interval else None,
        "train_error": math.fsum(1 - one["train"]["accuracy"] for one in summaries) / len(summaries),
    }


def _says(last: dict[str, Any], ahead: Sequence[dict[str, Any]], before: float | None) -> list[str]:
    """Would more data help, or a larger model?"""
    now, twice = ahead[0], ahead[1]
    gain = 1 - twice["error"] / now["error"]
    data_helps = gain >= HELPS
    unfit = last["train_error"] >= UNFIT * last["error"]
    told = [
        f"With twice as many pictures ({twice['n']:,}) the error would be about {percent(twice['error'])} "
        f"[{percent(twice['low'])}, {percent(twice['high'])}] instead of {percent(now['error'])}: more data "
        f"would {'help' if data_helps else 'hardly help'}."
    ]
    misread = percent(last["train_error"])
    if unfit:
        told.append(
            f"It misreads {misread} of the very pictures that it trained on: a larger model, longer training "
            "or less regularisation would help."
        )
    elif data_helps:
        told.append(f"It misreads {misread} of what it trained on: pictures are what it lacks, not size.")
    else:
        told.append(
            f"It misreads {misread} of what it trained on: more regularisation or augmentation would help, "
            "or a network of another kind."
        )
    if before is not None:
        told.append(
            f"How far to trust this: the smaller sizes alone would have let expect {percent(before)} for "
            f"{last['n']:,} pictures; {percent(last['error'])} was measured."
        )
    return told
