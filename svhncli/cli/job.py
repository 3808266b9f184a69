"""One job of a sweep: its folder's name, and the task that Hydra calls, here or in another process."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf

from svhncli.cli import execution, grammar, hydra_app
from svhncli.core.errors import BusyError, DiskError, Interrupted, SvhnError, disk_error
from svhncli.core.text import duration, percent, printable
from svhncli.runs.results import Failure, failure
from svhncli.runs.run_dir import RunDir
from svhncli.runs.sweeps import summary_of, sweep_job

if TYPE_CHECKING:
    from svhncli.report.terminal import RunningJob

VERB = "train"
LONGEST = 110


class Stopped(SystemExit):
    """A signal stopped a job, so the sweep stops; the process of a launcher ends quietly. Hydra would count
    an Exception as a failed job."""

    code: int


# ----------------------------------------------------------------------------- folders


def slug(words: Iterable[str]) -> str:
    """A folder's name for overrides: `lr=0.001 model=cnn` -> `lr-0.001_model-cnn`.

    Only [A-Za-z0-9._-], under 120 characters; where signs were lost or it was cut, a hash keeps it unique.
    """
    words = list(words)
    plain = "_".join(words).replace("=", "-") or "defaults"
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip(".-")[:LONGEST]
    if clean == plain:
        return clean
    return f"{clean[: LONGEST - 9]}-{hashlib.blake2b(' '.join(words).encode(), digest_size=4).hexdigest()}"


def swept_words(words: Iterable[str], swept: Sequence[str]) -> list[str]:
    """The overrides in which the jobs of a sweep differ."""
    return [word for word in words if word.partition("=")[0] in swept]


def _subdir(words: ListConfig, swept: list[str]) -> str:
    return slug(swept_words(_plain(words), swept))


def _plain(words: Any) -> list[str]:
    """As they are written: an override may contain `${`, which is not to be resolved here."""
    return [str(word) for word in cast("list[Any]", OmegaConf.to_container(words))]


# Hydra 1.4 comes with OmegaConf 2.4, which gave the function its old name back.
_register: Any = OmegaConf.register_new_resolver if hydra_app.IS_HYDRA_1_3 else OmegaConf.register_resolver
# At import, since a launcher's process imports this module to unpickle its task and needs it there.
_register("svhn_slug", _subdir, replace=True)


# ----------------------------------------------------------------------------- one job


@dataclass
class JobTask:
    """The task that Hydra calls for each job, here or in a launcher's process."""

    total: int
    swept: list[str]
    debug: bool
    beside: bool = False
    """Whether other jobs may show their lines on this terminal meanwhile."""
    seconds: list[float] = field(default_factory=list)
    """What the jobs that this process trained took, each."""

    def __call__(self, composed: DictConfig) -> str:
        """Run one job unless its folder holds a finished one; the job's status."""
        if self.is_done():
            return "done"
        job, folder = self.job(), execution.run_dir()
        if self.beside or not sys.stderr.isatty():  # else its bars show that it runs
            say(f"{job.name} starts")
        from svhncli.report.terminal import as_job

        try:
            hydra_app.load_plugins(grammar.parse(_plain(HydraConfig.get().overrides.task), VERB))
            with as_job(job):
                execution.execute(VERB, composed)
        except Interrupted as error:
            _pass_on(error)
            raise Stopped(error.exit_code) from error
        except Exception as error:
            known = error if isinstance(error, SvhnError) else disk_error(error)
            if known is None or self.debug:
                traceback.print_exc()
            failed(job, folder, known or SvhnError(f"{type(error).__name__}: {error}"))
            return "failed"
        self.seconds.append(time.monotonic() - job.began)
        say(f"{job.name}: {_outcome(folder)}")
        return "done"

    def is_done(self) -> bool:
        """Whether the folder of the job that Hydra has composed holds a finished one, which is printed."""
        summary = summary_of(execution.run_dir())
        if summary is None or isinstance(summary, Failure):
            return False
        say(f"{self.job().name} is already done")
        return True

    def job(self) -> RunningJob:
        """The job that Hydra has composed."""
        from svhncli.report.terminal import RunningJob

        hydra = HydraConfig.get()
        own = " ".join(swept_words(_plain(hydra.overrides.task), self.swept))
        return RunningJob(hydra.job.num + 1, self.total, own, self.beside, self.seconds)


def failed(job: RunningJob, folder: Path, error: SvhnError) -> None:
    """Print that a job failed, and write it down in its folder."""
    print(f"svhn: {job.name} failed: {printable(error.message)}", file=sys.stderr)
    if not isinstance(error, BusyError):  # the other process writes its own summary
        with suppress(DiskError):  # which may be why the job failed
            RunDir(folder).write_summary(failure(error, folder))


def _pass_on(error: Interrupted) -> None:
    """In a job of submitit, after the state is saved: let submitit handle the signal that stopped the job.

    While a run trains, its own handlers are in place of those of submitit, which queues the job again when
    Slurm is about to end it.
    """
    number = error.exit_code - 128
    if "SUBMITIT_FOLDER" in os.environ and callable(signal.getsignal(number)):
        signal.raise_signal(number)


def _outcome(folder: Path) -> str:
    """What a finished job reached, in a few words."""
    job = sweep_job(0, folder, {})
    loss = "" if job.val_loss is None else f", val loss {job.val_loss:.4f}"
    epoch = "" if job.best_epoch is None else f" in epoch {job.best_epoch}"
    reached = "" if job.val_accuracy is None else f"val {percent(job.val_accuracy)}{loss}{epoch}; "
    return f"{reached}{duration(job.seconds or 0)}"


def say(text: str) -> None:
    if not os.environ.get("SVHN_QUIET"):
        print(printable(text), file=sys.stderr)
