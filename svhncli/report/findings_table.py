"""An inspection on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from svhncli.data.describe import PartDescription
from svhncli.report.inspection import DataInspection, DriftTest, FindingSummary, LabelInspection

STYLES = {"bad": "red", "look": "yellow", "good": "green"}
NAMES = {"cramers_v": "Cramér's V", "ks_distance": "distance"}


def finding_tables(inspection: DataInspection | LabelInspection, width: int) -> Iterator[Table | Text]:
    """Parts, then findings, the worst first, for a terminal of `width` columns."""
    for block in _blocks(inspection, width):
        yield from (block, Text())


def _blocks(inspection: DataInspection | LabelInspection, width: int) -> Iterator[Table | Text]:
    if isinstance(inspection, DataInspection):
        yield from _parts(inspection.parts)
    if differ := [test for test in inspection.drift if test.level != "good"]:
        yield _drift(differ)
    if isinstance(inspection, LabelInspection):
        yield Text(textwrap.fill(_judged(inspection), width - 1))
    if inspection.excluded:
        yield Text(f"{inspection.excluded:,} images are left out by data.exclude")
    yield _findings(inspection.findings)
    if fixes := [f"{finding.title}: {finding.fix}" for finding in inspection.findings if finding.fix]:
        lines = (line for fix in fixes for line in textwrap.wrap(fix, width - 1, subsequent_indent="  "))
        yield Text("\n".join(lines))


def _judged(inspection: LabelInspection) -> str:
    """How many labels were judged, and how many are about wrong."""
    text = (
        f"{inspection.judged:,} of {inspection.of:,} labels judged by networks that did not train on them, "
        f"whose predictions agree with {inspection.read_as_labelled:.1%} of them"
    )
    if inspection.estimated_errors is None:
        return text
    text += f"; an estimated {inspection.estimated_errors:,.0f} are wrong"
    return text if inspection.positions == 1 else f"{text} (each of {inspection.positions} positions counts)"


def _parts(parts: dict[str, PartDescription]) -> Iterator[Table]:
    yield _sizes(parts)
    if any(part.sizes for part in parts.values()):
        yield _photographs(parts)
    yield _shares("digit, %", map(str, range(10)), {name: part.classes for name, part in parts.items()})
    lengths = {name: part.lengths for name, part in parts.items()}
    if (longest := max(map(len, lengths.values()))) > 1:
        names = [*map(str, range(1, longest + 1))]
        if any(part.without_number for part in parts.values()):
            lengths = {name: [part.without_number or 0, *part.lengths] for name, part in parts.items()}
            names.insert(0, "no number")
        yield _shares("length, %", names, lengths)


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def _sizes(parts: dict[str, PartDescription]) -> Table:
    table = _table("part", "images", "groups", "pixels", "brightness", "contrast")
    for name, part in parts.items():
        rows, columns = part.shape[1:]
        light = [f"{spread.mean:.0f} ± {spread.sd:.0f}" for spread in (part.brightness, part.contrast)]
        table.add_row(name, f"{part.n:,}", f"{part.groups:,}", f"{rows}x{columns}", *light)
    return table


def _photographs(parts: dict[str, PartDescription]) -> Table:
    table = _table("photographs", "width", "median", "height", "median")
    for name, part in parts.items():
        cells: list[str] = []
        for size in part.sizes.values() if part.sizes else ():
            cells += [f"{size.min:,} to {size.max:,}", f"{size.median:g}"]
        table.add_row(name, *cells)
    return table


def _shares(what: str, names: Iterable[str], counts: dict[str, list[int]]) -> Table:
    table = _table(what, *names)
    for name, row in counts.items():
        table.add_row(name, *(f"{100 * count / max(1, sum(row)):.1f}" for count in row))
    return table


def _drift(tests: list[DriftTest]) -> Table:
    table = _table("drift", "of", "effect", "p", "p (Holm)", "")
    for test in tests:
        effect = f"{NAMES[test.result.measure]} {test.result.effect:.2f}"
        level = Text(test.level, STYLES[test.level])
        p_values = (f"{p:.1e}" for p in (test.result.p, test.p_holm))
        table.add_row("/".join(test.parts), test.what, effect, *p_values, level)
    return table


def _findings(findings: list[FindingSummary]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "finding", "found", "images"):
        table.add_column(name, justify="right" if name == "found" else "left", no_wrap=True)
    for finding in findings:
        level = Text(finding.level, STYLES[finding.level])
        table.add_row(level, finding.title, f"{finding.count:,}", finding.sheet or "")
    return table
