"""A folder's record of SHA-256: damage to any file is found when it is read, a kill is no damage."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from killed import before_every_step

from svhncli.core import sums
from svhncli.core.errors import CheckpointError
from svhncli.core.files import (
    begin_sums,
    new_folder,
    open_csv,
    read_json,
    settle_sums,
    write_json,
    write_text,
)
from svhncli.core.temporary import beside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    begin_sums(tmp_path)
    (tmp_path / "fold0" / "plots").mkdir(parents=True)
    write_json(tmp_path / "a.json", {"a": 1})
    write_text(tmp_path / "fold0" / "plots" / "b.csv", "x,y\n1,2\n")
    return tmp_path


def lines(folder: Path) -> list[str]:
    return [line.split("  ")[1] for line in (folder / sums.SUMS).read_text().splitlines()]


def test_what_is_written_is_read_back(folder: Path) -> None:
    assert read_json(folder / "a.json") == {"a": 1}
    assert open_csv(folder / "fold0" / "plots" / "b.csv").read() == "x,y\n1,2\n"
    assert lines(folder) == ["a.json", "fold0/plots/b.csv"]
    assert list(sums.faults(folder / sums.SUMS)) == []


@given(bit=st.integers(0, 8 * len('{\n  "a": 1\n}\n') - 1), cut=st.integers(0, 12))
def test_every_flipped_bit_and_every_cut_is_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, bit: int, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("sums")
    begin_sums(folder)
    file = folder / "a.json"
    write_json(file, {"a": 1})
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    for damaged in (flipped, whole[:cut]):
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"a\.json' is damaged"):
            read_json(file)
        fault = "its SHA-256 is not the one in SHA256SUMS"
        assert list(sums.faults(folder / sums.SUMS)) == [("a.json", fault)]
    write_json(file, {"a": 2})
    assert read_json(file) == {"a": 2}


def test_a_missing_file_and_a_damaged_record_are_faults(folder: Path) -> None:
    (folder / "a.json").unlink()
    with (folder / sums.SUMS).open("a") as file:
        file.write("torn")
    assert list(sums.faults(folder / sums.SUMS)) == [
        ("SHA256SUMS", "line 3 is not a digest and a name"),
        ("a.json", "missing, although SHA256SUMS lists it"),
    ]


def test_a_file_that_is_lost_is_a_fault_also_where_its_next_version_was_being_written(folder: Path) -> None:
    temp = beside(folder / "a.json")
    temp.write_text("{}")
    sums.note(folder / "a.json", temp)
    assert list(sums.faults(folder / sums.SUMS)) == []
    (folder / "a.json").unlink()
    assert list(sums.faults(folder / sums.SUMS)) == [("a.json", "missing, although SHA256SUMS lists it")]


def test_settling_keeps_a_line_for_each_file_and_forgets_no_damage(folder: Path) -> None:
    write_json(folder / "a.json", {"a": 2})
    file = folder / "fold0" / "plots" / "b.csv"
    file.write_text("x,y\n1,3\n")
    (folder / "theirs.yaml").write_text("lr: 1")
    settle_sums(folder, [folder / "theirs.yaml"])
    assert lines(folder) == ["a.json", "fold0/plots/b.csv", "theirs.yaml"]
    assert [name for name, _ in sums.faults(folder / sums.SUMS)] == ["fold0/plots/b.csv"]
    with pytest.raises(CheckpointError, match=r"b\.csv' is damaged"):
        open_csv(file)


@pytest.mark.e2e
def test_the_record_is_one_that_sha256sum_reads(folder: Path) -> None:
    write_json(folder / "a.json", {"a": 2})
    settle_sums(folder)
    check = ["sha256sum", "--check", "--strict", sums.SUMS]
    assert subprocess.run(check, cwd=folder, check=False).returncode == 0
    (folder / "a.json").write_text("{}")
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 1


def test_checkpoints_pages_and_temporary_folders_are_not_recorded(folder: Path) -> None:
    for name in ("best.pt", "report.html", "train.log"):
        write_text(folder / name, "")
    with new_folder(folder / "made", ()) as made:
        write_text(made / "c.txt", "")
    assert lines(folder) == ["a.json", "fold0/plots/b.csv"]


def test_a_folder_below_may_have_its_own_record(folder: Path) -> None:
    begin_sums(folder / "fold0")
    write_text(folder / "fold0" / "plots" / "b.csv", "x\n")
    assert lines(folder / "fold0") == ["plots/b.csv"]
    assert open_csv(folder / "fold0" / "plots" / "b.csv").read() == "x\n"


WORK = """
from svhncli.core.files import begin_sums, settle_sums, write_json

def work(folder):
    folder.mkdir()
    begin_sums(folder)
    for value in range(3):
        write_json(folder / "a.json", value)
        settle_sums(folder)
"""


@pytest.mark.e2e
def test_a_kill_at_any_step_is_no_damage(tmp_path: Path) -> None:
    folders = before_every_step(WORK, ("open", "os."), tmp_path)
    assert len(folders) > 20
    values = set()
    for folder in folders:
        if (folder / "a.json").is_file():
            values.add(read_json(folder / "a.json"))
        if (folder / sums.SUMS).is_file():
            assert list(sums.faults(folder / sums.SUMS)) == []
            settle_sums(folder)
            assert list(sums.faults(folder / sums.SUMS)) == []
    assert values == {0, 1, 2}
