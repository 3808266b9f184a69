"""`svhn train -m`: one folder per job, failures reported at once, a ranked table at the end, resumable.

Results are read from the jobs' folders, not from what they return, so they may run in other processes.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from svhncli.cli import execution, grammar, hydra_app, launchers
from svhncli.cli.job import VERB, JobTask, Stopped, say, slug, swept_words
from svhncli.cli.side_by_side import SideBySide
from svhncli.config.loading import KeyMistake
from svhncli.config.presets import conf_dir
from svhncli.config.words import quote
from svhncli.core import files
from svhncli.core.errors import CheckpointError, Interrupted, SvhnError, UsageError
from svhncli.core.plain import to_plain
from svhncli.runs.locate import SWEEP, is_begun, is_sweep, reserve
from svhncli.runs.sweeps import (
    TABLE,
    TIES,
    SweepJob,
    SweepSummary,
    ranked,
    sweep_job,
    write_table,
)
from svhncli.stats.metrics import column_text, is_percent

if TYPE_CHECKING:
    from rich.table import Table


# ----------------------------------------------------------------------------- the sweep


def start(flags: list[str], overrides: list[Override], as_json: bool, debug: bool) -> int:
    """A new sweep in a folder of its own under outputs/sweep; the exit code."""
    given = [str(word.value()) for word in overrides if word.key_or_group == "hydra.sweep.dir"]
    if not given and (named := hydra_app.named_folder("train", flags, overrides, "sweep")) is not None:
        given = [named]
        overrides = [*overrides, *grammar.parse(["out=null"], "train")]
    words = _split(overrides)
    folder = Path(hydra_app.resolved(given[-1])) if given else reserve("sweep")
    if not is_sweep(folder):
        is_begun(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if is_sweep(folder) and _recorded(folder).own != words.own:
        raise UsageError(f"'{folder}' already holds a different sweep", "choose another hydra.sweep.dir")
    try:
        return _run(folder, flags, words, as_json, debug)
    finally:
        execution.release(folder)


def resume(folder: Path, flags: list[str], overrides: list[Override], as_json: bool, debug: bool) -> int:
    """Run what a sweep has not finished, in the same folder; the exit code.

    What could run code (plugins, Hydra's own settings) is taken from the command line, never from the folder.

    Raises:
        UsageError: overrides that would make it another sweep.
    """
    given, recorded = _split(overrides), _recorded(folder)
    if given.own:
        raise UsageError(
            f"'{given.own[0]}': a resumed sweep keeps its overrides", "start a new sweep: svhn train -m ..."
        )
    words = replace(recorded, extras=given.extras, jobs=given.jobs or recorded.jobs)
    return _run(folder, flags, words, as_json, debug)


@dataclass(frozen=True)
class _Words:
    """The overrides of a sweep. extras: what may run code, which is kept out of the record. own: what defines
    the jobs. jobs: how many of them train at once."""

    extras: list[str]
    own: list[str]
    jobs: list[str]


def _split(overrides: Iterable[Override]) -> _Words:
    """The overrides by what they are for.

    Raises:
        UsageError: several values of `jobs`.
    """
    words = _Words([], [], [])
    for word in overrides:
        roots = {re.split(r"[./]", name)[0] for name in (word.key_or_group, word.package or "")}
        if word.key_or_group == "jobs":
            if word.is_sweep_override():
                raise UsageError(
                    f"'{word.input_line}': a sweep cannot vary how many of its jobs train at once",
                    "give one number, such as jobs=2",
                )
            words.jobs.append(str(word.input_line))
        elif roots & {"hydra", "plugins"}:
            if word.key_or_group != "hydra.sweep.dir":
                words.extras.append(str(word.input_line))
        else:
            words.own.append(str(word.input_line))
    return words


def _recorded(folder: Path) -> _Words:
    try:
        written = [str(word) for word in files.read_json(folder / SWEEP)["overrides"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"'{folder / SWEEP}' cannot be read: {error}", "start a new sweep") from error
    words = _split(grammar.parse(written, VERB))
    if words.extras:
        raise CheckpointError(
            f"'{folder / SWEEP}' asks for plugins or Hydra settings", "give them on the command line"
        )
    return words


def _run(folder: Path, flags: list[str], words: _Words, as_json: bool, debug: bool) -> int:
    swept, jobs = expand(words.own)
    names = [slug(swept_words(job, swept)) for job in jobs]
    if len(set(names)) < len(names):
        raise UsageError("two jobs of this sweep are the same", "give each value once")
    _refuse_mistakes(flags, [*words.extras, *words.jobs], jobs, swept)
    files.begin_sums(folder)
    files.write_json(folder / SWEEP, {"overrides": [*words.own, *words.jobs]})
    at_once = _at_once(words, len(jobs))
    say(
        f"sweep    {len(jobs)} jobs{f', {at_once} at once,' * (at_once > 1)} in {folder}; "
        "details in each train.log"
    )
    again = f"svhn {VERB} --resume {shlex.join([str(folder), *flags, *words.extras])}"
    where = [f"hydra.sweep.dir={quote(str(folder))}", _subdir_override(swept)]
    is_beside = at_once > 1 or launchers.chosen(words.extras) is not None
    task = JobTask(len(jobs), swept, debug, is_beside)
    try:
        _launch(
            task, at_once, [*flags, "-m", "hydra.job.name=svhn", *words.extras, *where, *words.own], words
        )
    except (Stopped, KeyboardInterrupt) as error:
        code = error.code if isinstance(error, Stopped) else 130
        raise Interrupted("the sweep was stopped", f"resume with: {again}", code) from error
    rows = ranked(
        launchers.explained(sweep_job(number, folder / name, _values(job, swept)), folder)
        for number, (job, name) in enumerate(zip(jobs, names, strict=True), 1)
    )
    write_table(folder, rows)
    summary = SweepSummary(str(folder), rows, _report(folder, words.own))
    if as_json:
        print(json.dumps(to_plain(summary), allow_nan=False))
    else:
        _print(summary, swept)
    unfinished = sum(not row.is_done for row in rows)
    if unfinished:
        print(f"svhn: {unfinished} of {len(rows)} jobs failed; run them again with: {again}", file=sys.stderr)
    return 1 if unfinished else 0


def _at_once(words: _Words, count: int) -> int:
    """How many jobs processes of this machine train at once: as many as `jobs` says, else one, or one a GPU.

    1 leaves `jobs` to the jobs, for their folds. So does a launcher, which has its own way to say it.
    """
    if launchers.chosen(words.extras) is not None:
        return 1
    wanted = [word.value() for word in grammar.parse(words.jobs, VERB)][-1:]
    if wanted and isinstance(wanted[0], int):
        return min(wanted[0], count)
    if "device=cpu" in words.own:
        return 1
    import torch

    return max(1, min(torch.cuda.device_count(), count))


def _launch(task: JobTask, at_once: int, composed: Sequence[str], words: _Words) -> None:
    """Run the jobs. Those that a launcher lost do not hide what others reached."""
    if at_once > 1:
        with SideBySide(task, at_once) as beside:
            hydra_app.launch(VERB, beside, [*composed, "jobs=1"])
            beside.finish()
        return
    launcher = launchers.chosen(words.extras)
    try:
        hydra_app.launch(VERB, task, [*composed, *words.jobs])
    except Exception as error:
        if launcher is None or isinstance(error, SvhnError):
            raise
        why = str(error).partition("\n")[0]  # of submitit's, the job's whole output follows
        print(f"svhn: the launcher {launcher} gave up: {why}", file=sys.stderr)


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
