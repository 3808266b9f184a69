"""Keys of `svhn tune`, which searches for the values of other keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svhncli.config.declare import verb
from svhncli.config.rules import key
from svhncli.config.verbs import shared
from svhncli.config.verbs.training import GROUPS, TrainingConfig

SAMPLERS = ("auto", "random", "tpe", "cmaes", "qmc", "grid")
PRUNERS = ("auto", "none", "median", "asha", "hyperband", "wilcoxon")
FEW = 40
"""Trials up to which `sampler=auto` is random search: a model of fewer misleads as often as it helps."""


@verb("tune", **GROUPS, space=None)
@dataclass
class TuneConfig(TrainingConfig):
    """Search for better values of keys and test the gain."""

    space: Any = key(None, "ranges to search, beside those of the command line, such as lr=log(1e-4,1e-2)")
    trials: int = key(30, "trials of the study in all", low=1)
    max_minutes: float | None = key(None, "begin no trial after this many minutes of this command", above=0)
    max_epochs: int | None = key(None, "begin no trial that could exceed this many epochs in all", low=1)
    sampler: str = key(
        "auto", f"how values are drawn; auto: random up to {FEW} trials, tpe for more", choices=SAMPLERS
    )
    pruner: str = key(
        "auto",
        "what stops hopeless trials early; auto: asha, or wilcoxon where a trial is several folds",
        choices=PRUNERS,
    )
    finalists: int = key(
        3, "trials that are trained anew in the end, beside the config without the search; 0 skips it", low=0
    )
    repeats: int = key(5, "fresh seeds of the finalists and of the config without the search", low=1)
    jobs: int | str = shared.jobs()
    metric: str = shared.metric("what is optimized, chooses the best epoch and drives early stopping")
    storage: str = key(
        "sqlite",
        "where the trials are recorded: sqlite or journal (for network file systems) in the study's folder, "
        "or the URL of a database such as postgresql://USER@HOST/NAME",
    )
    out: str | None = key(None, "the study's folder; null is a new one in outputs/tune")
    report: bool = key(True, "write report.html at the end: the whole study on one page")
