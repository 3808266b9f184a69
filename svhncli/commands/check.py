"""`svhn check`: whether the training that a config describes can be trusted, before it starts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType

from svhncli import registry
from svhncli.config import rules
from svhncli.config.verbs.training import CheckConfig
from svhncli.core.errors import CheckFailedError, NotFiniteError
from svhncli.core.files import new_folder, place, write_json
from svhncli.core.plain import inlined, optional, to_plain
from svhncli.engine import device
from svhncli.engine.compiling import is_worthwhile
from svhncli.report.data_notes import say_notes
from svhncli.report.next_commands import MEASURED
from svhncli.report.terminal import Show, facts
from svhncli.training.checks.bench import Bench, CheckResult
from svhncli.training.checks.learning import SHEET
from svhncli.training.checks.suite import CHECKS

RESULT = "result.json"


@dataclass(frozen=True)
class NamedCheck:
    """A check under its name."""

    name: str
    result: CheckResult = inlined()


@dataclass(frozen=True)
class CheckReport:
    """What the checks measured. of: what was trained, in words; config: the keys on which they depend."""

    data: str
    fingerprint: str
    of: str
    config: dict[str, Any]
    passed: bool
    seconds: float
    checks: list[NamedCheck]
    out: str | None = optional()


def run(config: CheckConfig) -> CheckReport:
    """Run every check on a few images of the first fold and write the results into a folder.

    Raises:
        CheckFailedError: a check failed; the folder is written all the same.
        DataError, UsageError, DiskError: as for training.
    """
    show, out = Show(), place(config.out)
    machine = device.resolve(config.device, config.precision, config.threads, config.deterministic)
    machine = replace(machine, compiled=is_worthwhile(config.compile, machine, images=0))
    device.prepare(machine)
    with show.bars():
        data = registry.data(config.data, config.split, config.cache, show.work)
    say_notes(data, show)
    folds = registry.folds(config.split, data, config.seed)
    whole = rules.to_dict(rules.with_absolute_paths(config))
    started, checks = time.perf_counter(), list[NamedCheck]()
    with new_folder(out, {RESULT, SHEET}) as folder:
        bench = Bench(config, machine, data, folds, folder, show)
        for name, measure in CHECKS.items():
            try:
                result = measure(bench)
            except NotFiniteError as error:
                result = CheckResult("does it train?", error.message, "a finite loss", False, error.hint)
            checks.append(NamedCheck(name, result))
            show.verdict(name, result.passed, result.measured, result.expected, result.fix)
        report = CheckReport(
            data=data.name,
            fingerprint=data.fingerprint,
            of=f"{config.model.name}, {config.optim.name} at lr {config.lr:g}, reg {config.reg.name}",
            config={name: whole[name] for name in MEASURED},
            passed=all(check.result.passed for check in checks),
            seconds=time.perf_counter() - started,
            checks=checks,
        )
        write_json(folder / RESULT, to_plain(report))
    if failed := [check.name for check in checks if not check.result.passed]:
        raise CheckFailedError(
            f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}",
            f"how to fix each is shown above, and in '{out / RESULT}'",
        )
    return replace(report, out=str(out))


def table(result: CheckReport) -> Iterator[RenderableType]:
    yield facts([("checks", f"all {len(result.checks)} passed"), ("written", result.out or "")])
