"""`svhn compare A B ...`: whether runs differ by more than chance, and in what they were set."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from svhncli.analysis.compare import changes, sides, verdict
from svhncli.analysis.compare.pairing import pair
from svhncli.config.verbs import CompareConfig
from svhncli.core.errors import UsageError
from svhncli.core.files import new_folder, place, write_json
from svhncli.report.differences import draw
from svhncli.report.terminal import Show

RESULT, PICTURE = "result.json", "differences.png"


def run(config: CompareConfig) -> dict[str, Any]:
    """Compare runs with the first or with each other, on the pictures that both read.

    Returns:
        {"part", "level", "runs": of each {"name" (A, B, ...), "run", "data", "trainings" (0 of a person),
        "pictures", "accuracy"}, "comparisons": see `verdict.judge`, and "changes", "warning" (see `changes`),
        "differs": see `changes.table`, "unfinished" (jobs that were left out), "picture", "out"}.

    Raises:
        UsageError: fewer than two runs, or runs that read no pictures in common.
        CheckpointError: a run that is not there, not whole, or has not read its test part.
        DiskError: the result cannot be written.
    """
    if not config.runs:
        raise UsageError("which runs?", "svhn compare A B, or the folder of a sweep")
    folders, unfinished = sides.find(config.runs, config.baseline)
    show, out = Show(), place(config.out)
    for job in unfinished:
        show.warn(f"'{job}' is not finished and is left out")
    if len(folders) < 2:
        raise UsageError(
            f"'{folders[0] if folders else config.runs[0]}' alone has nothing to be compared with",
            "name two runs or more, or a sweep with two finished jobs or more",
        )
    read = [sides.read(folder, config.part, config.tested_on) for folder in folders]
    names = [letters(number) for number in range(len(read))]
    places = list(combinations(range(len(read)), 2))
    if config.pairs == "baseline":
        places = [(a, b) for a, b in places if a == 0]
    tests = [verdict.measure(pair(read[a], read[b]), config.level) for a, b in places]
    found = verdict.judge(tests, [(names[a], names[b]) for a, b in places], config.level)
    for one, (a, b) in zip(found, places, strict=True):
        one["changes"] = changes.changed(read[a], read[b])
        one["warning"] = changes.warning(read[a], read[b])
    result = {
        "part": config.part,
        "level": config.level,
        "runs": [_facts(name, side) for name, side in zip(names, read, strict=True)],
        "comparisons": found,
        "differs": changes.table(read),
        "unfinished": unfinished,
    }
    with new_folder(out, {RESULT, PICTURE}) as folder:
        draw(folder / PICTURE, result)
        write_json(folder / RESULT, result)
    return {**result, "picture": str(out / PICTURE), "out": str(out)}


def letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ... for 0, 1, ..."""
    rest, last = divmod(number, 26)
    return (letters(rest - 1) if rest else "") + chr(ord("A") + last)


def _facts(name: str, side: sides.Side) -> dict[str, Any]:
    index, scores, _ = side.by_picture
    return {
        "name": name,
        "run": str(side.path),
        "data": side.data,
        "trainings": len(side.trainings) if side.config else 0,
        "pictures": len(index),
        "accuracy": float(scores.mean()),
    }
