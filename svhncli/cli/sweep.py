"""`svhn train -m`: one folder per job, failures reported at once, a ranked table at the end, resumable.

Results are read from the jobs' folders, not from what they return, so they may run in other processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from svhncli.cli import grammar, hydra_app
from svhncli.config.loading import KeyMistake
from svhncli.config.presets import conf_dir
from svhncli.config.words import quote
from svhncli.core import files
from svhncli.core.errors import BusyError, CheckpointError, Interrupted, SvhnError, UsageError, disk_error
from svhncli.core.plain import to_plain
from svhncli.core.text import duration, percent
from svhncli.runs.locate import SWEEP, is_begun, is_sweep, reserve
from svhncli.runs.results import failure
from svhncli.runs.run_dir import RunDir
from svhncli.runs.sweeps import (
    TABLE,
    TIES,
    SweepJob,
    SweepSummary,
    ranked,
    summary_of,
    sweep_job,
    write_table,
)
from svhncli.stats.metrics import column_text, is_percent

if TYPE_CHECKING:
    from rich.table import Table

VERB = "train"
LONGEST = 110


class Stopped(BaseException):
    """A signal stopped a job, so the sweep stops; Hydra would count an Exception as a failed job."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


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
    seconds: list[float] = field(default_factory=list)
    """What the jobs that this process trained took, each."""

    def __call__(self, composed: DictConfig) -> str:
        """Run one job unless its folder holds a finished one; the job's status."""
        hydra = HydraConfig.get()
        folder = hydra_app.run_dir()
        words = _plain(hydra.overrides.task)
        from svhncli.report.terminal import RunningJob, as_job

        own = " ".join(swept_words(words, self.swept))
        job = RunningJob(hydra.job.num + 1, self.total, own, self.seconds)
        before = summary_of(folder)
        if before is not None and before.status == "done":
            _say(f"{job.name} is already done")
            return "done"
        if not sys.stderr.isatty():  # on a terminal, its bars show that it runs
            _say(f"{job.name} starts")

        try:
            hydra_app.load_plugins(grammar.parse(words, VERB))
            with as_job(job):
                hydra_app.execute(VERB, composed)
        except Interrupted as error:
            raise Stopped(error.exit_code) from error
        except Exception as error:
            known = error if isinstance(error, SvhnError) else disk_error(error)
            if known is None or self.debug:
                traceback.print_exc()
            known = known or SvhnError(f"{type(error).__name__}: {error}")
            print(f"svhn: {job.name} failed: {known.message}", file=sys.stderr)
            if not isinstance(error, BusyError):  # the other process writes its own summary
                RunDir(folder).write_summary(failure(known, folder))
            return "failed"
        self.seconds.append(time.monotonic() - job.began)
        _say(f"{job.name}: {_outcome(folder)}")
        return "done"


def _outcome(folder: Path) -> str:
    """What a finished job reached, in a few words."""
    job = sweep_job(0, folder, {})
    loss = "" if job.val_loss is None else f", val loss {job.val_loss:.4f}"
    epoch = "" if job.best_epoch is None else f" in epoch {job.best_epoch}"
    reached = "" if job.val_accuracy is None else f"val {percent(job.val_accuracy)}{loss}{epoch}; "
    return f"{reached}{duration(job.seconds or 0)}"


def _say(text: str) -> None:
    if not os.environ.get("SVHN_QUIET"):
        print(text, file=sys.stderr)


# ----------------------------------------------------------------------------- the sweep


def start(flags: list[str], overrides: list[Override], as_json: bool, debug: bool) -> int:
    """A new sweep in a folder of its own under outputs/sweep; the exit code."""
    given = [str(word.value()) for word in overrides if word.key_or_group == "hydra.sweep.dir"]
    if not given and (named := hydra_app.named_folder("train", flags, overrides, "sweep")) is not None:
        given = [named]
        overrides = [*overrides, *grammar.parse(["out=null"], "train")]
    folder = Path(hydra_app.resolved(given[-1])) if given else reserve("sweep")
    if not is_sweep(folder):
        is_begun(folder)
    folder.mkdir(parents=True, exist_ok=True)
    extras, words = _split(overrides)
    if is_sweep(folder) and _recorded(folder) != words:
        raise UsageError(f"'{folder}' already holds a different sweep", "choose another hydra.sweep.dir")
    try:
        return _run(folder, flags, extras, words, as_json, debug)
    finally:
        hydra_app.release(folder)


def resume(folder: Path, flags: list[str], overrides: list[Override], as_json: bool, debug: bool) -> int:
    """Run what a sweep has not finished, in the same folder; the exit code.

    What could run code (plugins, Hydra's own settings) is taken from the command line, never from the folder.

    Raises:
        UsageError: overrides that would make it another sweep.
    """
    extras, changed = _split(overrides)
    if changed:
        raise UsageError(
            f"'{changed[0]}': a resumed sweep keeps its overrides", "start a new sweep: svhn train -m ..."
        )
    return _run(folder, flags, extras, _recorded(folder), as_json, debug)


def _split(overrides: Iterable[Override]) -> tuple[list[str], list[str]]:
    """Overrides that may run code (kept out of the record), and those that define what is run."""
    parts: tuple[list[str], list[str]] = ([], [])
    for word in overrides:
        roots = {re.split(r"[./]", name)[0] for name in (word.key_or_group, word.package or "")}
        if word.key_or_group != "hydra.sweep.dir":
            parts[0 if roots & {"hydra", "plugins"} else 1].append(str(word.input_line))
    return parts


def _recorded(folder: Path) -> list[str]:
    try:
        words = [str(word) for word in files.read_json(folder / SWEEP)["overrides"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"'{folder / SWEEP}' cannot be read: {error}", "start a new sweep") from error
    if _split(grammar.parse(words, VERB))[0]:
        raise CheckpointError(
            f"'{folder / SWEEP}' asks for plugins or Hydra settings", "give them on the command line"
        )
    return words


def _run(
    folder: Path, flags: list[str], extras: list[str], words: list[str], as_json: bool, debug: bool
) -> int:
    swept, jobs = expand(words)
    names = [slug(swept_words(job, swept)) for job in jobs]
    if len(set(names)) < len(names):
        raise UsageError("two jobs of this sweep are the same", "give each value once")
    _refuse_mistakes(flags, extras, jobs, swept)
    files.write_json(folder / SWEEP, {"overrides": words})
    _say(f"sweep    {len(jobs)} jobs in {folder}; details in each train.log")
    again = f"svhn {VERB} --resume {shlex.join([str(folder), *flags, *extras])}"
    where = [f"hydra.sweep.dir={quote(str(folder))}", _subdir_override(swept)]
    try:
        hydra_app.launch(VERB, JobTask(len(jobs), swept, debug), [*flags, "-m", *extras, *where, *words])
    except (Stopped, KeyboardInterrupt) as error:
        code = error.exit_code if isinstance(error, Stopped) else 130
        raise Interrupted("the sweep was stopped", f"resume with: {again}", code) from error
    rows = ranked(
        sweep_job(number, folder / name, _values(job, swept))
        for number, (job, name) in enumerate(zip(jobs, names, strict=True), 1)
    )
    write_table(folder, rows)
    summary = SweepSummary(str(folder), rows, _report(folder, words))
    if as_json:
        print(json.dumps(to_plain(summary), allow_nan=False))
    else:
        _print(summary, swept)
    unfinished = sum(not row.is_done for row in rows)
    if unfinished:
        print(f"svhn: {unfinished} of {len(rows)} jobs failed; run them again with: {again}", file=sys.stderr)
    return 1 if unfinished else 0


def _refuse_mistakes(
    flags: Sequence[str], extras: Sequence[str], jobs: Sequence[Sequence[str]], swept: Sequence[str]
) -> None:
    """Check the config of the first job with each value: what is mistyped must not wait for its turn.

    Raises:
        UsageError: a config is wrong.
    """
    seen: set[str] = set()
    for job in jobs:
        values = {*swept_words(list(job), swept)}
        if not values <= seen:
            seen |= values
            try:
                text = hydra_app.accepted(VERB, flags, [*extras, *job])
                if not re.search(r"^devices: 1$", text, re.MULTILINE):
                    raise UsageError(
                        "devices= trains one network on several processes, and a sweep trains many",
                        "leave devices out of -m; hydra/launcher=joblib trains them side by side",
                    )
            except KeyMistake:
                raise
            except UsageError as error:
                if job is jobs[0]:
                    raise
                name = " ".join(swept_words(list(job), swept))
                raise UsageError(f"job {name}: {error.message}", error.hint) from error


def _values(words: list[str], swept: Sequence[str]) -> dict[str, str]:
    """The values of the swept keys in a job."""
    values = dict(word.partition("=")[::2] for word in swept_words(words, swept))
    return {key: values[key] for key in swept}


def _report(folder: Path, words: Sequence[str]) -> str | None:
    """Write the sweep's report.html unless `report=false` was given; its path."""
    asked = [word.value() for word in grammar.parse(words, VERB) if word.key_or_group == "report"]
    if asked and asked[-1] is False:
        return None
    from svhncli.report.html.page import write_report

    try:
        return str(write_report(folder))
    except Exception as error:  # whatever it is, the jobs' results stand and are worth more than their report
        print(f"svhn: warning: no report was written: {error}", file=sys.stderr)
        return None


def _subdir_override(swept: Sequence[str]) -> str:
    keys = ",".join(f'"{key}"' for key in swept)
    return f"hydra.sweep.subdir='${{svhn_slug:${{hydra.overrides.task}},[{keys}]}}'"


def expand(words: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The keys in which the jobs differ, and every job's overrides, in the order in which Hydra runs them.

    Raises:
        UsageError: a kind of sweep that cannot be listed, such as interval().
    """
    with initialize_config_dir(str(conf_dir()), **hydra_app.VERSION_BASE):
        overrides = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(
            list(words)
        )
        try:
            (jobs,) = BasicSweeper.split_arguments(overrides, None)
        except HydraException as error:
            raise UsageError(
                f"cannot list the jobs: {error}", "give values: lr=1e-3,3e-4 or range(...)"
            ) from error
    if not jobs:
        raise UsageError(
            "a value of this sweep matches nothing, so there are no jobs", "give values: lr=1e-3,3e-4"
        )
    return [word.get_key_element() for word in overrides if word.is_sweep_override()], jobs


# ----------------------------------------------------------------------------- the result


HEADS = {"best_epoch": "epoch", "val_loss": "val loss", "val_accuracy": "val", "test_accuracy": "test"}
HIDDEN = {"run_dir", "metric", "score", "reason"}


def _print(summary: SweepSummary, swept: Sequence[str]) -> None:
    from svhncli.report.terminal import Printer

    jobs, folder = summary.jobs, Path(summary.sweep_dir)
    # A table that is not printed to a terminal is as wide as it needs to be.
    console = Printer(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False)
    console.print(_table(jobs))
    for job in jobs:
        if not job.is_done:
            console.print(f"job {job.job} {job.status}: {job.reason or ''}", soft_wrap=True)
    console.print(f"table: {folder / TABLE}", soft_wrap=True)
    if summary.report is not None:
        console.print(f"report: {summary.report}", soft_wrap=True)
    if jobs[0].is_done:
        console.print(f"best:  {jobs[0].run_dir}", soft_wrap=True)
    if sum(job.is_done for job in jobs) > 1 and "split.fold" not in swept:  # folds have no images in common
        from svhncli.report import next_commands

        console.print(f"differ by more than chance? {next_commands.compare(folder)}", soft_wrap=True)
    if len(jobs) > 1 and {*swept} <= {"split.fold", "seed"} and all(job.is_done for job in jobs):
        console.print(f"as one run: svhn gather {shlex.quote(str(folder))}", soft_wrap=True)


def _table(jobs: Sequence[SweepJob]) -> Table:
    from rich.table import Table

    rows = [to_plain(job) for job in jobs]
    columns = [name for name in rows[0] if name not in HIDDEN and any(row[name] is not None for row in rows)]
    count = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
    title = f"{count}, best {jobs[0].metric or 'score'} first, {TIES}"
    table = Table(title=title, title_justify="left", box=None)
    for name in columns:
        table.add_column(HEADS.get(name, name), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(name, row[name]) for name in columns))
    return table


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and is_percent(name):
        return column_text(name, value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
