"""`svhn check`: whether the training that a config describes can be trusted, before it is begun."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from svhncli import registry
from svhncli.config.verbs import CheckConfig
from svhncli.core.errors import CheckFailedError, NotFiniteError
from svhncli.core.files import new_folder, place, write_json
from svhncli.engine import device
from svhncli.report.terminal import Show
from svhncli.training.checks.bench import Bench, Result
from svhncli.training.checks.learning import SHEET
from svhncli.training.checks.suite import CHECKS

RESULT = "result.json"


def run(config: CheckConfig) -> dict[str, Any]:
    """Run every check on a few pictures of the first fold and write what they found into a folder.

    Returns:
        {"data", "fingerprint", "of" (what was trained, in words), "passed", "seconds", "checks": a list of
        {"name", …} with what `checks.Result` has, "out"}.

    Raises:
        CheckFailedError: a check failed; the folder is written all the same.
        DataError, UsageError, DiskError: as for training.
    """
    show, out = Show(), place(config.out)
    machine = device.resolve(config.device, config.precision, config.threads)
    device.prepare(machine)
    with show.bars():
        data = registry.data(config.data, config.split, config.cache, show.work)
    folds = registry.folds(config.split, data, config.seed)
    started, results = time.perf_counter(), {}
    with new_folder(out, {RESULT, SHEET}) as folder:
        bench = Bench(config, machine, data, folds, folder, show)
        for name, check in CHECKS.items():
            try:
                result = check(bench)
            except NotFiniteError as error:
                result = Result("does it train?", error.message, "a finite loss", False, error.hint)
            results[name] = result
            show.verdict(name, result.passed, result.measured, result.expected, result.mend)
        facts = {
            "data": data.name,
            "fingerprint": data.fingerprint,
            "of": f"{config.model.name}, {config.optim.name} at lr {config.lr:g}, reg {config.reg.name}",
            "passed": all(result.passed for result in results.values()),
            "seconds": time.perf_counter() - started,
            "checks": [{"name": name, **asdict(result)} for name, result in results.items()],
        }
        write_json(folder / RESULT, facts)
    if failed := [name for name, result in results.items() if not result.passed]:
        raise CheckFailedError(
            f"{len(failed)} of {len(results)} checks failed: {', '.join(failed)}",
            f"how to mend each stands above, and in '{out / RESULT}'",
        )
    return {**facts, "out": str(out)}
