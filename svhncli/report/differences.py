"""A comparison of runs, as a figure and on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from svhncli.report.comparison import (
    ComparedRun,
    Comparison,
    ComparisonResult,
    DifferingKey,
    RepeatedDifference,
)
from svhncli.report.figures.canvas import new_figure, save
from svhncli.report.terminal import listed

COLORS = {"better": "tab:green", "worse": "tab:red", "unsure": "tab:orange", "none": "tab:gray"}
STYLES = {"better": "green", "worse": "red", "unsure": "yellow", "none": ""}
TALLEST = 500
"""Inches: the tallest figure that can be written."""


def draw_differences(path: Path, result: ComparisonResult) -> None:
    """Draw each difference in percentage points with its interval over images, and below it, thinner, that
    over folds or seeds where there is one."""
    rows = result.comparisons
    figure = new_figure(8, min(TALLEST, 1.5 + 0.5 * len(rows)))
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    for place, row in enumerate(rows):
        _bar(axes, place, row, COLORS[row.outcome], 2.5)
        if row.trainings is not None:
            _bar(axes, place + 0.25, row.trainings, "tab:blue", 1)
    axes.plot([], [], color="black", linewidth=2.5, marker="o", label="over images")
    if over := _over(rows):
        axes.plot([], [], color="tab:blue", linewidth=1, marker="o", label=f"over {' or '.join(over)}")
    runs = {run.name: run.label or Path(run.run).name for run in result.runs}
    labels = [f"{row.b} - {row.a}\n{_short(runs[row.b])}" for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"difference in accuracy in percentage points, {100 * result.level:g}% intervals")
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    save(path, figure)


def _bar(axes: Any, place: float, row: Comparison | RepeatedDifference, color: str, width: float) -> None:
    ends = [100 * row.interval.low, 100 * row.interval.high]
    axes.plot(ends, [place, place], color=color, linewidth=width, solid_capstyle="butt")
    axes.plot(100 * row.difference, place, "o", color=color, markersize=3 + width)


def _over(rows: list[Comparison]) -> list[str]:
    """What was trained several times: folds, seeds, both or neither."""
    return sorted({row.trainings.over for row in rows if row.trainings is not None})


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"…{name[-31:]}"


# ----------------------------------------------------------------------------- the terminal


def comparison_tables(result: ComparisonResult, width: int) -> Iterator[Table | Text]:
    """What was compared, the differences, the verdicts and their limits, and the settings that differ."""
    yield _runs(result.runs)
    yield Text()
    yield _differences(result)
    yield Text()
    for row in result.comparisons:
        yield _prose(f"{row.b} - {row.a}: {row.verdict}", width, STYLES[row.outcome])
    yield Text()
    for text in _limits(result.comparisons):
        yield _prose(text, width, "yellow")
    yield Text()
    if result.differs:
        yield _settings(result.runs, result.differs)
        yield Text()


def _prose(text: str, width: int, style: str) -> Text:
    """Wrapped, except that `p = 0.004` stays on one line."""
    lines = textwrap.wrap(text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"), width - 1,
                          subsequent_indent="  ")  # fmt: skip
    return Text("\n".join(lines).replace("\N{NO-BREAK SPACE}", " "), style)


def _limits(rows: list[Comparison]) -> Iterator[str]:
    """Warnings and notes, each once, with their comparisons where these are not all."""
    of: dict[str, list[str]] = {}
    for row in rows:
        for text in filter(None, (row.warning, *row.notes)):
            of.setdefault(text, []).append(f"{row.b} - {row.a}")
    for text, names in of.items():
        yield text if len(names) == len(rows) else f"{', '.join(names)}: {text}"


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _runs(runs: list[ComparedRun]) -> Text:
    rows = []
    for run in runs:
        cells = (str(run.trainings or "a person"), f"{run.pictures:,}", f"{run.accuracy:.2%}")
        label = f"{run.label}: " if run.label else ""
        rows.append((run.name, *cells, f"{label}{run.run}"))
    return listed(("", "networks", "images", "accuracy", "run"), rows)


def _differences(result: ComparisonResult) -> Table:
    rows, level = result.comparisons, f"{100 * result.level:g}%"
    over = "\n".join(_over(rows))
    names = ["p", *["p\nHolm"] * (len(rows) > 1), *[f"p\n{over}"] * bool(over)]
    table = _table("", "points", level, *names, "correct\nalone", "images")
    for row in rows:
        ends = f"{100 * row.interval.low:+.2f} to {100 * row.interval.high:+.2f}"
        p_values = [f"{p:.2g}" for p in (row.p, row.p_holm)[: 1 + (len(rows) > 1)]]
        if over:
            p_values.append("-" if row.trainings is None else f"{row.trainings.p:.2g}")
        alone = "-" if row.only_a is None else f"{row.only_b:,} : {row.only_a:,}"
        difference = f"{100 * row.difference:+.2f}"
        table.add_row(f"{row.b} - {row.a}", difference, ends, *p_values, alone, f"{row.pictures:,}")
    return table


def _settings(runs: list[ComparedRun], rows: list[DifferingKey]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("key", overflow="fold")
    for run in runs:
        table.add_column(run.name, overflow="fold")
    for row in rows:
        cells = ("-" if value is None else _value(value) for value in row.values)
        table.add_row(row.key, *cells, style="dim" if row.kind == "environment" else "")
    return table


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
