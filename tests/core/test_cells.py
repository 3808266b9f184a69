"""CSV files that a spreadsheet opens without running anything, and that are read back as they were."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svhncli.core import cells
from svhncli.core.files import open_csv, print_rows, write_csv

FORMULAS = ["=cmd|'/C calc'!A0", "@SUM(1)", "+1+1", "-2+3", "\t=1", "\r=1", "\n=1"]
NUMBERS = ["-1", "+2.5", "-.5e-3", "1e9", "-0.25"]
signs = st.sampled_from("=+-@'\t\r\n\",;a1.\x1bé")


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_begins_as_a_formula(cell: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["x", "name"], [{"x": 1, "name": cell}])
    written = (tmp_path / "a.csv").read_bytes().decode().partition("\n")[2].partition(",")[2]
    assert written.lstrip('"')[0] == "'"


@pytest.mark.parametrize("cell", [*NUMBERS, "a=b", "photo-1.png", "'quoted'", ""])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert cells.inert(cell) == cell == cells.original(cell)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(signs, max_size=8), min_size=1, max_size=5))
def test_reading_gives_back_every_cell(names: list[str], tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["name", "x"], [{"name": name, "x": 1} for name in names])
    assert list(cells.rows(open_csv(tmp_path / "a.csv"))) == [["name", "x"], *([name, "1"] for name in names)]


def test_no_two_names_are_written_alike() -> None:
    assert cells.inert("=a") != cells.inert("'=a") != cells.inert("''=a")


def test_a_terminal_shows_what_would_control_it() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    print_rows(out, ["file"], [{"file": "a\x1b[2J.png"}])
    assert out.getvalue() == "file\na\\x1b[2J.png\n"
