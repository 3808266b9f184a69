"""The result of a search: its best trials, what mattered, the verdict; the best config as an experiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.declare import ROOT_VALUES
from svhncli.config.loading import NEUTRAL
from svhncli.config.rules import UNSET
from svhncli.config.verbs.training import GROUPS, TrainingConfig
from svhncli.config.words import differing
from svhncli.core.text import counted, percent
from svhncli.report.terminal import facts, labeled, next_steps
from svhncli.runs.studies import Retrained, StudyResult, Verdict
from svhncli.runs.sweeps import SweepJob
from svhncli.stats.metrics import column_text

ENDS = ("done", "pruned", "failed")
SHOWN = 10
"""Of the best trials, how many are printed; the file has all."""


def study_tables(result: StudyResult) -> Iterator[RenderableType]:
    """The best trials, the failures, the importance of the keys, the verdict, and where everything is."""
    done = [job for job in result.trials if job.is_done]
    if done:
        yield _trials(result, done[:SHOWN])
    reasons: dict[str, list[int]] = {}
    for job in result.trials:
        if job.status == "failed":
            reasons.setdefault(job.reason or "", []).append(job.job)
    for reason, numbers in reasons.items():
        yield Text(f"trial {', '.join(map(str, numbers))} failed: {reason}")
    counts = Counter(job.status for job in result.trials)
    ended = ", ".join(f"{counts[status]} {status}" for status in ENDS if counts[status]) or "none"
    rows = [("trials", f"{ended}; {counted(result.epochs, 'epoch')} in all")]
    if result.pending:
        rows.append(("pending", f"{counted(result.pending, 'trial')} of the study"))
    if result.importance.shares:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in result.importance.shares.items())
        rows.append(("importance", f"{shares} {result.importance.meaning} (fANOVA)"))
    yield facts(rows)
    yield labeled("study", result.study)
    if result.report is not None:
        yield labeled("report", result.report)
    if result.best is not None:
        yield labeled("best", result.best)
    yield from next_steps(result.next)
    if result.verdict is not None:
        yield _retrained(result.verdict)
        yield from map(escape, result.verdict.says)  # which wrap between words, unlike a Text


def _trials(result: StudyResult, jobs: list[SweepJob]) -> Table:
    keys = [key for key in jobs[0].swept if any(job.swept[key] for job in jobs)]
    title = f"best {len(jobs)} of {counted(len(result.trials), 'trial')} by {result.metric}"
    table = Table(title=title, title_justify="left", box=None)
    for name in ("trial", result.metric.removeprefix("val_").replace("_", " "), "epoch", *keys):
        table.add_column(name, justify="right", no_wrap=name not in keys)
    for job in jobs:
        score = "" if job.score is None else column_text(result.metric, job.score)
        values = [escape(job.swept[key]) for key in keys]
        table.add_row(str(job.job), score, str(job.best_epoch or ""), *values)
    return table


def _retrained(verdict: Verdict) -> Table:
    count = len(verdict.seeds)
    title = f"trained anew on {counted(count, 'fresh seed')}, judged on {verdict.images}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    has_val = any(row.val is not None for row in verdict.retrained)
    heads = ["", "search", *["val"] * has_val, "judged", "gain in points, 95%", "p"]
    for head in heads:
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for row in verdict.retrained:
        cells = [name_of(row), _share(row.searched), *[_share(row.val)] * has_val, _share(row.judged)]
        table.add_row(*cells, gain(row), "" if row.p is None else f"{row.p:.2g}")
    return table


def name_of(row: Retrained) -> str:
    """Of a config that was trained anew."""
    return "no search" if row.trial is None else f"trial {row.trial}"


def gain(row: Retrained) -> str:
    """The difference to the config without the search, with its interval, in points; empty for itself."""
    if row.difference is None or row.interval is None:
        return ""
    low, high = 100 * row.interval.low, 100 * row.interval.high
    return f"{100 * row.difference:+.2f} [{low:+.2f}, {high:+.2f}]"


def _share(value: float | None) -> str:
    return "" if value is None else percent(value)


# ----------------------------------------------------------------------------- the best config


def best_experiment(job: SweepJob, config: TrainingConfig, of: int) -> str:
    """A config as an experiment, whose file `svhn train` takes: all that differs from the defaults.

    job: the trial. of: how many trials there were.
    """
    values = rules.to_dict(config)
    chosen = {group: differing(group, values[group]) for group in CHOICES}
    lines = [f"  - override /{group}: {name}" for group, (name, _) in chosen.items() if name != GROUPS[group]]
    root = {item.name: item.default for item in fields(TrainingConfig) if item.name not in CHOICES}
    root |= ROOT_VALUES.get(CHOICES["optim"][chosen["optim"][0]], {})
    nested: dict[str, Any] = {
        key: values[key]
        for key, default in root.items()
        if key not in NEUTRAL | {"plugins"} and (values[key] != default or default == UNSET)
    }
    for group, (_, changed) in chosen.items():
        for path, value in changed.items():
            place = nested.setdefault(group, {})
            *parents, last = path.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
    body = yaml.safe_dump(nested, sort_keys=False, allow_unicode=True) if nested else ""
    score = "" if job.score is None or job.metric is None else f", {job.metric} {job.score:.6g}"
    head = [
        "# @package _global_",
        f"# Trial {job.job} of {of}{score}; that figure is optimistic, since it chose the trial.",
        f"# svhn train --config-dir {Path(job.run_dir).parent} experiment=best",
    ]
    return "\n".join([*head, *(["defaults:", *lines, "  - _self_"] if lines else []), body])
