"""A comparison of runs, as a picture and on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

COLOURS = {"better": "tab:green", "worse": "tab:red", "unsure": "tab:orange", "none": "tab:gray"}
STYLES = {"better": "green", "worse": "red", "unsure": "yellow", "none": ""}
TALLEST = 500
"""Inches, of a picture that can still be written."""


def draw(path: Path, result: dict[str, Any]) -> None:
    """Draw each difference in percentage points with its interval over pictures, and below it, thin, that
    over folds or seeds where there is one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: no global state, no display
    from matplotlib.figure import Figure

    rows = result["comparisons"]
    figure = Figure(figsize=(8, min(TALLEST, 1.5 + 0.5 * len(rows))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    for place, row in enumerate(rows):
        _bar(axes, place, row, COLOURS[row["outcome"]], 2.5)
        if row["trainings"] is not None:
            _bar(axes, place + 0.25, row["trainings"], "tab:blue", 1)
    axes.plot([], [], color="black", linewidth=2.5, marker="o", label="over pictures")
    if over := sorted({row["trainings"]["over"] for row in rows if row["trainings"] is not None}):
        axes.plot([], [], color="tab:blue", linewidth=1, marker="o", label=f"over {' or '.join(over)}")
    runs = {one["name"]: Path(one["run"]).name for one in result["runs"]}
    labels = [f"{row['b']} - {row['a']}\n{_short(runs[row['b']])}" for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"difference of accuracy in points, {100 * result['level']:g}% intervals")
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _bar(axes: Any, place: float, found: dict[str, Any], colour: str, width: float) -> None:
    ends = [100 * found["interval"][end] for end in ("low", "high")]
    axes.plot(ends, [place, place], color=colour, linewidth=width, solid_capstyle="butt")
    axes.plot(100 * found["difference"], place, "o", color=colour, markersize=3 + width)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"…{name[-31:]}"


# ----------------------------------------------------------------------------- the terminal


def comparison_tables(result: dict[str, Any], width: int) -> Iterator[Table | Text]:
    """What was compared, the differences, the verdicts and what limits them, and in what the runs differ."""
    yield _runs(result["runs"])
    yield Text()
    yield _differences(result)
    yield Text()
    for row in result["comparisons"]:
        yield _prose(f"{row['b']} - {row['a']}: {row['verdict']}", width, STYLES[row["outcome"]])
    yield Text()
    for text in _limits(result["comparisons"]):
        yield _prose(text, width, "yellow")
    yield Text()
    if result["differs"]:
        yield _settings(result)
        yield Text()


def _prose(text: str, width: int, style: str) -> Text:
    """Wrapped, but for `p = 0.004`, which stays on one line."""
    lines = textwrap.wrap(text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"), width - 1,
                          subsequent_indent="  ")  # fmt: skip
    return Text("\n".join(lines).replace("\N{NO-BREAK SPACE}", " "), style)


def _limits(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Warnings and notes, each once, with the comparisons that they are of where these are not all."""
    of: dict[str, list[str]] = {}
    for row in rows:
        for text in filter(None, (row["warning"], *row["notes"])):
            of.setdefault(text, []).append(f"{row['b']} - {row['a']}")
    for text, names in of.items():
        yield text if len(names) == len(rows) else f"{', '.join(names)}: {text}"


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _runs(runs: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", style="bold", no_wrap=True)
    table.add_column("run", overflow="fold")
    for name in ("trainings", "pictures", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in runs:
        cells = (str(one["trainings"] or "a person"), f"{one['pictures']:,}", f"{one['accuracy']:.2%}")
        table.add_row(one["name"], one["run"], *cells)
    return table


def _differences(result: dict[str, Any]) -> Table:
    rows, level = result["comparisons"], f"{100 * result['level']:g}%"
    over = "\n".join(sorted({row["trainings"]["over"] for row in rows if row["trainings"] is not None}))
    names = ["p", *["p\nHolm"] * (len(rows) > 1), *[f"p\n{over}"] * bool(over)]
    table = _table("", "points", level, *names, "right\nalone", "pictures")
    for row in rows:
        interval = row["interval"]
        ends = f"{100 * interval['low']:+.2f} to {100 * interval['high']:+.2f}"
        chances = [f"{p:.2g}" for p in (row["p"], row["p_holm"])[: 1 + (len(rows) > 1)]]
        if over:
            chances.append("-" if row["trainings"] is None else f"{row['trainings']['p']:.2g}")
        alone = "-" if row["only_a"] is None else f"{row['only_b']:,} : {row['only_a']:,}"
        table.add_row(
            f"{row['b']} - {row['a']}",
            f"{100 * row['difference']:+.2f}",
            ends,
            *chances,
            alone,
            f"{row['pictures']:,}",
        )
    return table


def _settings(result: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("key", overflow="fold")
    for one in result["runs"]:
        table.add_column(one["name"], overflow="fold")
    for row in result["differs"]:
        cells = ("-" if value is None else _value(value) for value in row["values"])
        table.add_row(row["key"], *cells, style="dim" if row["kind"] == "environment" else "")
    return table


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
