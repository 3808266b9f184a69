"""An inspection on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

STYLES = {"bad": "red", "look": "yellow", "good": "green"}
NAMES = {"cramers_v": "Cramér's V", "ks_distance": "distance"}


def tables(result: dict[str, Any], width: int) -> Iterator[Table | Text]:
    """What an inspection found, for a terminal of `width` columns: parts, then findings, the worst first."""
    for block in _blocks(result, width):
        yield from (block, Text())


def _blocks(result: dict[str, Any], width: int) -> Iterator[Table | Text]:
    if parts := result.get("parts"):
        yield _sizes(parts)
        if any("sizes" in part for part in parts.values()):
            yield _photographs(parts)
        yield _shares("digit, %", range(10), {name: part["classes"] for name, part in parts.items()})
        lengths = {name: part["lengths"] for name, part in parts.items()}
        if (longest := max(map(len, lengths.values()))) > 1:
            yield _shares("length, %", range(1, longest + 1), lengths)
    if differ := [test for test in result["drift"] if test["level"] != "good"]:
        yield _drift(differ)
    if "judged" in result:
        places = "" if result["positions"] == 1 else f" (each of {result['positions']} places counts)"
        told = (
            f"{result['judged']:,} of {result['of']:,} labels judged by networks that did not train on "
            f"them and read {result['read_as_labelled']:.1%} as labelled; about "
            f"{result['estimated_errors']:,.0f} are wrong"
        )
        yield Text(textwrap.fill(told + places, width - 1))
    yield _findings(result["findings"])
    mends = [f"{finding['title']}: {finding['mend']}" for finding in result["findings"] if finding["mend"]]
    if mends:
        lines = (line for mend in mends for line in textwrap.wrap(mend, width - 1, subsequent_indent="  "))
        yield Text("\n".join(lines))


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def _sizes(parts: dict[str, Any]) -> Table:
    table = _table("part", "pictures", "house numbers", "pixels", "brightness", "contrast")
    for name, part in parts.items():
        rows, columns = part["shape"][1:]
        light = [f"{part[what]['mean']:.0f} ± {part[what]['sd']:.0f}" for what in ("brightness", "contrast")]
        table.add_row(name, f"{part['n']:,}", f"{part['groups']:,}", f"{rows}x{columns}", *light)
    return table


def _photographs(parts: dict[str, Any]) -> Table:
    table = _table("photographs", "width", "median", "height", "median")
    for name, part in parts.items():
        cells: list[str] = []
        for side in ("width", "height"):
            found = part["sizes"][side]
            cells += [f"{found['min']:,} to {found['max']:,}", f"{found['median']:g}"]
        table.add_row(name, *cells)
    return table


def _shares(what: str, names: Iterable[int], counts: dict[str, list[int]]) -> Table:
    table = _table(what, *map(str, names))
    for name, found in counts.items():
        table.add_row(name, *(f"{100 * count / max(1, sum(found)):.1f}" for count in found))
    return table


def _drift(tests: list[dict[str, Any]]) -> Table:
    table = _table("drift", "of", "effect", "p", "p (Holm)", "")
    for test in tests:
        effect = f"{NAMES[test['measure']]} {test['effect']:.2f}"
        level = Text(test["level"], STYLES[test["level"]])
        chances = (f"{test[name]:.1e}" for name in ("p", "p_holm"))
        table.add_row("/".join(test["parts"]), test["what"], effect, *chances, level)
    return table


def _findings(findings: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "finding", "found", "pictures"):
        table.add_column(name, justify="right" if name == "found" else "left", no_wrap=True)
    for one in findings:
        level = Text(one["level"], STYLES[one["level"]])
        table.add_row(level, one["title"], f"{one['count']:,}", one["sheet"] or "")
    return table
