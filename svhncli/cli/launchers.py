"""Hydra's launchers, which let other processes or machines train the jobs of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from svhncli.cli import grammar
from svhncli.core.errors import BusyError
from svhncli.runs.run_dir import RunDir
from svhncli.runs.sweeps import SweepJob

SAME_NAME = ("joblib", "ray")
"""Plugins that call their choice what our file of it is called."""


def rename_plugins() -> None:
    """Register the choices of SAME_NAME as NAME_plugin instead, which our files extend.

    Of two choices with the same name Hydra takes the file, which could not extend the other, and warns.
    """
    Plugins.instance()  # imports the plugins that are installed; they register their choices
    store = ConfigStore.instance()
    installed = store.repo["hydra"]["launcher"]
    for name in SAME_NAME:
        if (plugin := installed.pop(f"{name}.yaml", None)) is not None:
            store.store(group="hydra/launcher", name=f"{name}_plugin", node=plugin.node)


def chosen(extras: Sequence[str]) -> str | None:
    """The launcher that the overrides choose; None for Hydra's own, which trains in this process."""
    names = [
        str(word.value()) for word in grammar.parse(extras, "train") if word.key_or_group == "hydra/launcher"
    ]
    return names[-1] if names and names[-1] != "basic" else None


def explained(job: SweepJob, sweep: Path) -> SweepJob:
    """A job that is not done with its reason, where it could write none, and with the file of its output."""
    if job.is_done:
        return job
    reason, output = job.reason or _why_without_result(job.path), _output(job.path, sweep)
    return replace(job, reason=reason if output is None else f"{reason}; its output: {output}")


def _why_without_result(folder: Path) -> str:
    if not folder.is_dir():
        return "it did not start"
    try:
        with RunDir(folder).held():
            return "it ended without a result"
    except BusyError:
        return "it still runs"


def _output(job: Path, sweep: Path) -> Path | None:
    """What submitit keeps of a job's output: its file of errors, or the folder of all jobs where the job has
    not recorded its number. None of a job that another launcher ran."""
    kept = sweep / ".submitit"
    if not kept.is_dir():
        return None
    with suppress(OSError):
        number = OmegaConf.load(job / ".hydra" / "hydra.yaml").hydra.job.id
        return next(kept.glob(f"{number}/*_log.err"), None)
    return kept
