"""What the trainings of a run say together: means over folds and seeds, out-of-fold accuracy, the bootstrap's
estimates. It reads the run's folders, so trainings that were done anywhere can be summed up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.data.split import ALL
from svhncli.runs.predictions import COLLECTED, Readings, collect_predictions, read_readings
from svhncli.runs.record import RunDir
from svhncli.stats import intervals
from svhncli.stats.estimates import (
    clustered_wilson,
    no_information_rate,
    point632,
    point632plus,
    resampled_intervals,
)
from svhncli.stats.intervals import Interval
from svhncli.stats.metrics import added_metrics, is_percent

BOOTSTRAP = {"oob": "out of bag", "632": ".632", "632plus": ".632+"}
"""Estimates of a bootstrap, in words."""


def write_overall(
    record: RunDir, trainings: Sequence[dict[str, Any]], place: Path | None = None
) -> dict[str, Any]:
    """Write the summary of a run of several trainings, and their predictions in one file; the summary.

    Args:
        trainings: their summaries, each with "name" (its folder), "fold" and "seed"; that of a fit on all
            data has the fold "all" and counts in no mean.
        place: where the run's folder will stand; None: where it stands.
    """
    folds = [one for one in trainings if one["fold"] != ALL]
    collect_predictions(record, [one["name"] for one in folds])
    readings = read_readings(record.path / COLLECTED)
    on_all = next((one["name"] for one in trainings if one["fold"] == ALL), None)
    values = _values(folds)
    estimates = {name: _estimate(name, found, folds) for name, found in values.items()}
    first, metric = folds[0], folds[0]["score"]["metric"]
    tested = "test_accuracy" in values
    summary = {
        "status": "done",
        "reason": f"all {len(trainings)} trainings done",
        "epochs": first["epochs"],
        "score": {"metric": metric, "value": estimates[metric]["mean"]},
        **estimates,
        "unseen": _unseen(readings),
        "bootstrap": None if on_all is None else _bootstrap(readings, record.path / on_all),
        "seeds": _seeds(folds),
        "test": {
            "n": first["test"]["n"],
            "loss": estimates["test_loss"]["mean"],
            "accuracy": estimates["test_accuracy"]["mean"],
        }
        if tested
        else None,
        "has_test": first["has_test"],
        "parameters": first["parameters"],
        "seconds": sum(one["seconds"] for one in trainings),
        "images_per_second": float(np.median([one["images_per_second"] for one in folds])),
        "run_dir": str(place or record.path),
        "folds": folds,
    }
    record.write_summary(summary)
    record.status("done")
    return summary


def _values(folds: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Name of a score -> its value in every training."""
    values = {f"val_{name}": [one["best"][f"val_{name}"] for one in folds] for name in ("accuracy", "loss")}
    for metric in added_metrics([one["best"] for one in folds]):
        values[metric.name] = [one["best"][metric.name] for one in folds]
    tested = all(one["test"] is not None for one in folds)
    if tested:
        values |= {f"test_{name}": [one["test"][name] for one in folds] for name in ("accuracy", "loss")}
    for part in ("val", "test") if tested else ("val",):
        for name in ("digit_accuracy", "length_accuracy"):
            if all(name in one[part] for one in folds):  # whole numbers
                values[f"{part}_{name}"] = [one[part][name] for one in folds]
    return values


def _estimate(name: str, values: Sequence[float], folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread; of validation scores an interval, too.

    All trainings share one test part, so their test scores tell nothing of how another test part would do.
    Over folds each of which several seeds trained, the values are first averaged over the seeds.
    """
    over_folds = _mean_by([one["fold"] for one in folds], values)
    if len(over_folds) == 1:
        return _spread(values) | _told(name, intervals.mean_interval(values))
    found = _spread(over_folds)
    if name.startswith("test"):
        return found
    n_train, n_val = (math.fsum(one[key] for one in folds) / len(folds) for key in ("n_train", "n_val"))
    return found | _told(name, intervals.fold_interval(over_folds, n_train, n_val))


def _seeds(folds: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """How much the validation accuracy of the same folds differs from seed to seed; None with one seed."""
    seeds = [one["seed"] for one in folds]
    if len(set(seeds)) == 1:
        return None
    means = _mean_by(seeds, [one["best"]["val_accuracy"] for one in folds])
    return {"n": len(means), **_spread(means)}


def _unseen(readings: Readings) -> dict[str, Any]:
    """The accuracy on pictures that did not train: each picture counts once, by the share of its readings
    that are right. Its interval knows that crops of one house number are alike; of one alone there is none.
    """
    _, scores, groups = readings.by_picture()
    houses = len(np.unique(groups))
    interval = asdict(clustered_wilson(scores, groups)) if houses > 1 else None
    return {"n": len(scores), "groups": houses, "accuracy": float(scores.mean()), "interval": interval}


def _bootstrap(readings: Readings, on_all: Path) -> dict[str, Any]:
    """Out-of-bag, .632 and .632+ accuracies with percentile and BCa intervals over house numbers.

    readings: of the replicates, out of bag. on_all: the folder of the one fit on all data, which validated on
        what it trained on: its misreadings are the training error.
    """
    whole = read_readings(on_all / "val_predictions.csv")
    index, scores, _ = readings.by_picture()
    oob_error = np.full(len(whole.index), np.nan)
    oob_error[np.searchsorted(whole.index, index)] = 1 - scores
    train_error, oob = float(1 - whole.right.mean()), float(np.nanmean(oob_error))
    gamma = no_information_rate(whole.label, whole.read)
    plus = point632plus(train_error, oob, gamma)
    errors = {"oob": oob, "632": point632(train_error, oob).value, "632plus": plus.value}
    resampled: dict[str, dict[str, Any]] = {name: {"percentile": None, "bca": None} for name in errors}
    with suppress(ValueError):  # too few pictures to be drawn anew
        found = resampled_intervals(oob_error, whole.label, whole.read, whole.group, seed=0)
        resampled = {name: asdict(one) for name, one in found.items()}
    return {
        **{name: {**resampled[name], "value": 1 - error} for name, error in errors.items()},
        "train_error": train_error,
        "no_information_rate": gamma,
        "relative_overfitting": plus.R,
        "weight": plus.weight,
    }


def _mean_by(keys: Sequence[Any], values: Sequence[float]) -> list[float]:
    """The mean of the values of each key, in the order in which keys first stand."""
    each: dict[Any, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        each.setdefault(key, []).append(value)
    return [math.fsum(found) / len(found) for found in each.values()]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": math.fsum(values) / len(values), "sd": float(np.std(values, ddof=1))}


def _told(name: str, interval: Interval) -> dict[str, Any]:
    """An interval as plain values: a share stays between 0 and 1, and a loss above 0."""
    share = is_percent(name)
    low = max(0.0, interval.low) if share or name.endswith("loss") else interval.low
    high = min(1.0, interval.high) if share else interval.high
    return asdict(replace(interval, low=low, high=high))
