"""`svhn compare A B ...`: whether runs differ by more than chance, and which settings differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from rich.console import RenderableType

from svhncli.analysis.compare import sides, verdict
from svhncli.analysis.compare.changes import differing_keys
from svhncli.analysis.compare.pairing import pair
from svhncli.config.verbs.results import CompareConfig
from svhncli.core.errors import UsageError
from svhncli.core.files import new_folder, place, write_json
from svhncli.core.plain import to_plain
from svhncli.report.comparison import ComparedRun, ComparisonResult
from svhncli.report.differences import comparison_tables, draw_differences
from svhncli.report.terminal import Show, facts, width

RESULT, PLOT = "result.json", "differences.png"


def run(config: CompareConfig) -> ComparisonResult:
    """Compare runs with the first or with each other, on the images that both predicted.

    Raises:
        UsageError: fewer than two runs, or runs that have no images in common.
        CheckpointError: a run that is missing, not finished, or was not evaluated on its test part.
        DiskError: the result cannot be written.
    """
    folders, unfinished = sides.find(config.runs, config.baseline)
    show, out = Show(), place(config.out)
    for job in unfinished:
        show.warn(f"'{job}' is not finished and is left out")
    if len(folders) < 2:
        raise UsageError(
            f"there is nothing to compare '{folders[0] if folders else config.runs[0]}' with",
            "name two runs or more, or a sweep with two finished jobs or more",
        )
    compared = [sides.read(folder, config.part, config.tested_on) for folder in folders]
    names = [letters(number) for number in range(len(compared))]
    places = list(combinations(range(len(compared)), 2))
    if config.pairs == "baseline":
        places = [(a, b) for a, b in places if a == 0]
    tests = [verdict.measure(pair(compared[a], compared[b]), config.level) for a, b in places]
    result = ComparisonResult(
        part=config.part,
        level=config.level,
        runs=[_facts(name, side) for name, side in zip(names, compared, strict=True)],
        comparisons=verdict.judge(tests, [(names[a], names[b]) for a, b in places], config.level),
        differs=differing_keys(compared),
        unfinished=unfinished,
    )
    with new_folder(out, {RESULT, PLOT}) as folder:
        draw_differences(folder / PLOT, result)
        write_json(folder / RESULT, to_plain(result))
    return replace(result, picture=str(out / PLOT), out=str(out))


def table(result: ComparisonResult) -> Iterator[RenderableType]:
    """The differences and verdicts; where the files are."""
    yield from comparison_tables(result, width())
    yield facts([("written", result.out or "")])


def letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ... for 0, 1, ..."""
    rest, last = divmod(number, 26)
    return (letters(rest - 1) if rest else "") + chr(ord("A") + last)


def _facts(name: str, side: sides.Side) -> ComparedRun:
    index, scores, _ = side.by_image
    trainings = len(side.trainings) if side.config else 0
    return ComparedRun(
        name, str(side.path), side.data, trainings, len(index), float(scores.mean()), side.label
    )
