"""`svhn gather DIR`: jobs that each trained a fold or seed, wherever they ran, become one run."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from svhncli.config import rules
from svhncli.config.groups.split import BootstrapConfig, KfoldConfig
from svhncli.config.loading import FREE, saved_config
from svhncli.config.verbs.results import GatherConfig
from svhncli.config.verbs.training import TrainConfig
from svhncli.core import sums
from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.files import begin_sums, new_folder, place, read_json
from svhncli.core.paths import expanded
from svhncli.core.run_mark import is_run
from svhncli.core.sums import SUMS
from svhncli.data.split import ALL
from svhncli.report.diagnosis import diagnose_together
from svhncli.report.html.page import write_report
from svhncli.report.run_table import train_table
from svhncli.runs.locate import is_sweep
from svhncli.runs.results import Failure, FoldSummary, TrainResult
from svhncli.runs.run_dir import RunDir
from svhncli.runs.run_summary import write_run_summary
from svhncli.training import jobs

KEPT = ("best.pt", "last.pt", "metrics.csv", "timing.csv", "split.json", "status.json", "summary.json")
"""Files of a job that those of a fold are, beside its predictions and plots."""
OWN = {"seed", "split.seed", "split.fold", "repeats"}
"""Keys in which the jobs may differ beside those that change nothing."""


@dataclass(frozen=True)
class _Part:
    """A finished job: what it trained."""

    run: RunDir
    config: TrainConfig
    fold: str
    split_seed: int | None
    fingerprint: str
    summary: FoldSummary


def run(config: GatherConfig) -> TrainResult:
    """Link or copy the jobs' files into a run directory of several folds, and summarize them.

    The result is what `svhn train` makes of the same config with `jobs`: for eval, predict, report, compare
    and ensemble it is a run like any other. The jobs stay as they are.

    Returns:
        The summary, as it stands in summary.json, and the report.

    Raises:
        CheckpointError: there are no jobs, one is not finished, or a fold is missing.
        UsageError: the jobs are not of one run: another key or other data than the first has, a fold twice.
        DiskError: the folder cannot be written.
    """
    folder = expanded(config.dir)
    out = place(str(folder / "gathered") if config.out is None else config.out)
    parts = sorted(_parts(folder, out), key=_order)
    _demand_one_run(parts)
    seeds = sorted({part.config.seed for part in parts})
    folds = list(dict.fromkeys(part.fold for part in parts))
    names = [jobs.name(part.config.seed, part.fold, len(seeds) > 1, len(folds) > 1) for part in parts]
    own = {*names, "config.yaml", "env.json", "data.json", "train.log"}
    made = {"summary.json", "status.json", "oof_predictions.csv", "report.html", ".lock", SUMS}
    with new_folder(out, own | made) as temp:
        record = RunDir(temp)
        begin_sums(temp)
        joined = rules.to_dict(_joined(parts[0].config, seeds))
        record.write_settings(joined)
        for file in ("env.json", "data.json"):
            if (shared := parts[0].run.path / file).is_file():
                _link(str(shared), str(temp / file))
        summaries = []
        for part, name in zip(parts, names, strict=True):
            own_summary = replace(
                part.summary, name=name, fold=part.fold, seed=part.config.seed, run_dir=str(out / name)
            )
            _take(part.run.path, temp / name)
            RunDir(temp / name).write_summary(own_summary)
            summaries.append(own_summary)
        diagnosis = diagnose_together(temp, summaries, joined)
        summary = write_run_summary(record, summaries, diagnosis, out)
    return TrainResult(summary=summary, report=str(write_report(out)) if config.report else None)


def table(result: TrainResult) -> Iterator[RenderableType]:
    return train_table(result)


def _parts(folder: Path, out: Path) -> list[_Part]:
    """The jobs of a folder."""
    runs = [RunDir(path) for path in folder.glob("*") if is_run(path) and path != out]
    if not runs:
        raise CheckpointError(
            f"there are no runs in '{folder}'",
            "name a sweep's folder, such as that of: svhn train -m split=kfold split.fold=0,1,2,3,4",
        )
    parts = []
    for job in runs:
        summary = job.summary()
        if summary is None or isinstance(summary, Failure):
            started = folder if is_sweep(folder) else job.path
            raise CheckpointError(
                f"'{job.path}' is not finished",
                f"finish it with: svhn train --resume {started}",
            )
        config = saved_config(job.config())
        if not isinstance(summary, FoldSummary):
            raise UsageError(
                f"'{job.path}' is a run of several folds", "svhn gather takes jobs of one fold each"
            )
        split_seed = getattr(config.split, "seed", None)
        parts.append(
            _Part(
                job,
                config,
                read_json(job.path / "split.json")["name"],
                config.seed if split_seed is None else split_seed,
                str(job.env().data.fingerprint),
                summary,
            )
        )
    return parts


def _order(part: _Part) -> tuple[int, bool, int, str]:
    """By seed, then as the folds are counted; the fit on all data last."""
    return part.config.seed, part.fold == ALL, len(part.fold), part.fold


def _demand_one_run(parts: Sequence[_Part]) -> None:
    """Refuse jobs that are not the folds and seeds of one run."""
    first = parts[0]
    settings = _settings(first)
    for part in parts:
        other = _settings(part)
        for name in sorted(settings.keys() | other):
            if settings.get(name) != other.get(name):
                raise UsageError(
                    f"the jobs differ in {name}: {settings.get(name)} in '{first.run.path}', "
                    f"{other.get(name)} in '{part.run.path}'",
                    "gather takes folds or seeds of one run; svhn compare takes runs that differ",
                )
    twice = [pair for pair, count in Counter((p.config.seed, p.fold) for p in parts).items() if count > 1]
    if twice:
        raise UsageError(f"seed {twice[0][0]}, {twice[0][1]} was trained twice", "remove one of the two")
    seeds, split = {part.config.seed for part in parts}, first.config.split
    if len(seeds) > 1 and seeds != {*range(min(seeds), max(seeds) + 1)}:
        raise UsageError(
            f"the seeds {sorted(seeds)} are not consecutive", "train the missing seeds, or remove the others"
        )
    for seed in sorted(seeds):
        there = {part.fold for part in parts if part.config.seed == seed}
        wanted = len({part.fold for part in parts})
        if isinstance(split, KfoldConfig):
            wanted = split.k * split.repeats
        elif isinstance(split, BootstrapConfig):
            wanted, there = split.n, there - {ALL}
        if len(there) < wanted:
            raise CheckpointError(
                f"seed {seed} has {len(there)} of {wanted} folds: {', '.join(sorted(there))}",
                f"train the missing ones: svhn train -m … split.fold={','.join(map(str, range(wanted)))}",
            )
    if len(parts) < 2:
        raise UsageError(
            "there is only one job, so there is nothing to gather", f"use it as it is: '{first.run.path}'"
        )


def _settings(part: _Part) -> dict[str, Any]:
    """What all jobs of a run share."""
    flat = {k: v for k, v in rules.flat(rules.to_dict(part.config)).items() if k not in FREE | OWN}
    return flat | {"split.seed": part.split_seed, "data": part.fingerprint}


def _joined(config: TrainConfig, seeds: Sequence[int]) -> TrainConfig:
    """The config of all jobs together."""
    own = {name: None for name in ("fold",) if hasattr(config.split, name)}
    if len(seeds) > 1 and getattr(config.split, "seed", None) == seeds[0]:
        own["seed"] = None
    return replace(config, seed=seeds[0], repeats=len(seeds), split=replace(config.split, **own))


def _take(source: Path, target: Path) -> None:
    """A job's files as a fold's."""

    target.mkdir()
    for name in (*KEPT, "val_predictions.csv"):
        if (source / name).is_file():
            _link(str(source / name), str(target / name))
    for name in ("plots", "eval", "snapshots"):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, copy_function=_link)


def _link(old: str, new: str) -> None:
    """Link where the disk can, since every file is only ever replaced whole; else copy."""
    sums.read(Path(old))  # a damaged file is refused
    sums.note(Path(new), Path(old))
    try:
        os.link(old, new)
    except OSError:
        shutil.copy2(old, new)
