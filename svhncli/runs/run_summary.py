"""The summary of a run of several folds or seeds: means, held-out accuracy, the bootstrap's estimates.

It reads the folds' files, so folds that were trained anywhere can be summed up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.data.split import ALL
from svhncli.runs.environment import Status
from svhncli.runs.predictions import COLLECTED, PredictionRows, collect_predictions, read_rows
from svhncli.runs.results import (
    DIVERGED,
    Achieved,
    Bootstrap,
    BootstrapAccuracy,
    Diagnosis,
    Estimate,
    FoldSummary,
    HeldOutAccuracy,
    MeanScore,
    RunSummary,
    SeedSpread,
)
from svhncli.runs.run_dir import RunDir
from svhncli.stats import intervals
from svhncli.stats.estimates import (
    Resampled,
    clustered_wilson,
    no_information_rate,
    point632,
    point632plus,
    resampled_intervals,
)
from svhncli.stats.intervals import Interval
from svhncli.stats.metrics import added_metrics, is_percent


def write_run_summary(
    run: RunDir, summaries: Sequence[FoldSummary], diagnosis: Diagnosis | None, place: Path | None = None
) -> RunSummary:
    """Write the summary of a run of several folds, and their held-out predictions in one file; the summary.

    Args:
        summaries: of the folds; `name` is a fold's folder. That of the fit on all data counts in no mean.
        place: where the run's folder will stand; None: where it stands.
    """
    folds = [fold for fold in summaries if fold.fold != ALL]
    collect_predictions(run, [fold.name for fold in folds])
    rows = read_rows(run.path / COLLECTED)
    on_all = next((fold.name for fold in summaries if fold.fold == ALL), None)
    estimates = {name: _estimate(name, values, folds) for name, values in _values(folds).items()}
    first, metric = folds[0], folds[0].score.metric
    test = None
    if first.test is not None and "test_accuracy" in estimates:
        test = MeanScore(first.test.n, estimates["test_loss"].mean, estimates["test_accuracy"].mean)
    diverged = [fold.name for fold in summaries if fold.status == DIVERGED]
    summary = RunSummary(
        status=DIVERGED if diverged else "done",
        reason=f"all {len(summaries)} jobs done" + (f"; {', '.join(diverged)} diverged" if diverged else ""),
        epochs=first.epochs,
        score=Achieved(metric, estimates[metric].mean),
        estimates=estimates,
        unseen=_held_out(rows),
        bootstrap=None if on_all is None else _bootstrap(rows, run.path / on_all),
        seeds=_seeds(folds),
        test=test,
        has_test=first.has_test,
        parameters=first.parameters,
        seconds=sum(fold.seconds for fold in summaries),
        images_per_second=float(np.median([fold.images_per_second for fold in folds])),
        run_dir=str(place or run.path),
        diagnosis=diagnosis,
        folds=folds,
    )
    run.write_summary(summary)
    run.write_status(Status.now(summary.status))
    return summary


def _values(folds: Sequence[FoldSummary]) -> dict[str, list[float]]:
    """Name of a score -> its value in every fold."""
    added = added_metrics([fold.best.added for fold in folds])
    names = ["val_accuracy", "val_loss", *(metric.name for metric in added)]
    values = {name: [fold.best.scores[name] for fold in folds] for name in names}
    tests = [fold.test for fold in folds if fold.test is not None]
    parts = {"val": [fold.val for fold in folds]}
    if len(tests) == len(folds):
        parts["test"] = tests
        values |= {
            "test_accuracy": [score.accuracy for score in tests],
            "test_loss": [score.loss for score in tests],
        }
    for part, scores in parts.items():
        for name in ("digit_accuracy", "length_accuracy"):
            known = [value for score in scores if (value := getattr(score, name)) is not None]
            if len(known) == len(scores):  # whole numbers
                values[f"{part}_{name}"] = known
    return values


def _estimate(name: str, values: Sequence[float], folds: Sequence[FoldSummary]) -> Estimate:
    """Mean and spread; of validation scores an interval, too.

    All folds share one test part, so the spread of their test scores says nothing about other test parts.
    If several seeds trained each fold, the values are first averaged over the seeds.
    """
    over_folds = _mean_by([fold.fold for fold in folds], values)
    if len(over_folds) == 1:
        return _with_interval(name, values, intervals.mean_interval(values))
    if name.startswith("test"):
        return Estimate(mean=_mean(over_folds), sd=_sd(over_folds))
    n_train = math.fsum(fold.n_train for fold in folds) / len(folds)
    n_val = math.fsum(fold.n_val for fold in folds) / len(folds)
    return _with_interval(name, over_folds, intervals.fold_interval(over_folds, n_train, n_val))


def _with_interval(name: str, values: Sequence[float], interval: Interval) -> Estimate:
    """A share stays between 0 and 1, and a loss above 0."""
    share = is_percent(name)
    low = max(0.0, interval.low) if share or name.endswith("loss") else interval.low
    high = min(1.0, interval.high) if share else interval.high
    return Estimate(
        mean=_mean(values), sd=_sd(values), low=low, high=high, level=interval.level, method=interval.method
    )


def _seeds(folds: Sequence[FoldSummary]) -> SeedSpread | None:
    """How much the validation accuracy of the same folds differs from seed to seed; None with one seed."""
    seeds = [fold.seed for fold in folds]
    if len(set(seeds)) == 1:
        return None
    means = _mean_by(seeds, [fold.best.val_accuracy for fold in folds])
    return SeedSpread(len(means), _mean(means), _sd(means))


def _held_out(rows: PredictionRows) -> HeldOutAccuracy:
    """The accuracy on held-out images: each counts once, by its share of correct predictions.

    The interval takes into account that images of one group are alike; of one group alone there is none.
    """
    _, scores, groups = rows.by_image()
    houses = len(np.unique(groups))
    interval = clustered_wilson(scores, groups) if houses > 1 else None
    return HeldOutAccuracy(len(scores), houses, float(scores.mean()), interval)


def _bootstrap(rows: PredictionRows, on_all: Path) -> Bootstrap:
    """Out-of-bag, .632 and .632+ accuracies with percentile and BCa intervals over groups.

    rows: of the replicates, out of bag. on_all: the folder of the one fit on all data, which validated on
        what it trained on: its errors are the training error.
    """
    whole = read_rows(on_all / "val_predictions.csv")
    index, scores, _ = rows.by_image()
    oob_error = np.full(len(whole.index), np.nan)
    oob_error[np.searchsorted(whole.index, index)] = 1 - scores
    train_error, oob = float(1 - whole.correct.mean()), float(np.nanmean(oob_error))
    gamma = no_information_rate(whole.label, whole.prediction)
    plus = point632plus(train_error, oob, gamma)
    resampled: dict[str, Resampled] = {}
    with suppress(ValueError):  # too few images to be drawn anew
        resampled = resampled_intervals(oob_error, whole.label, whole.prediction, whole.group, seed=0)

    def accuracy(name: str, error: float) -> BootstrapAccuracy:
        drawn = resampled.get(name)
        return BootstrapAccuracy(1 - error, drawn.percentile if drawn else None, drawn.bca if drawn else None)

    return Bootstrap(
        oob=accuracy("oob", oob),
        point632=accuracy("632", point632(train_error, oob).value),
        point632plus=accuracy("632plus", plus.value),
        train_error=train_error,
        no_information_rate=gamma,
        relative_overfitting=plus.R,
        weight=plus.weight,
    )


def _mean_by(keys: Sequence[Any], values: Sequence[float]) -> list[float]:
    """The mean of the values of each key, in the order in which keys first stand."""
    of_key: dict[Any, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        of_key.setdefault(key, []).append(value)
    return [_mean(group) for group in of_key.values()]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))
