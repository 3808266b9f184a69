"""What killed processes leave of files and folders is removed by the next that writes there; what living ones
are writing is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from svhncli.core.files import new_folder, write_text
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.runs.run_dir import RunDir

pytestmark = pytest.mark.e2e

WRITES = """
import os, signal, sys, time
from pathlib import Path
from svhncli.core.files import new_folder, write_atomic

place = Path(sys.argv[1])

def write(file):
    file.write(b"half")
    print("writing", flush=True)
    sys.stdin.read()

with new_folder(place / "made", {"a"}) as folder:
    (folder / "a").write_text("half")
    write_atomic(place / "predictions.csv", write)
"""


@contextmanager
def writer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing predictions.csv and made/."""
    words = [sys.executable, "-c", WRITES, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name.rpartition("-")[2] for path in folder.glob(f"{TEMP_PREFIX}*"))


@pytest.mark.fault(
    "a command is killed while it writes a file or folder",
    "its temporary files are removed by the next that writes there",
    "137",
)
def test_those_of_a_killed_process_are_removed_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    with writer(tmp_path) as killed:
        killed.kill()
    assert leftovers(tmp_path) == ["made", "predictions.csv"]
    with writer(tmp_path) as living:
        assert leftovers(tmp_path) == ["made", "predictions.csv"], "its own, without those of the killed one"
        write_text(tmp_path / "predictions.csv", "whole")
        with new_folder(tmp_path / "made", {"a", "b"}) as folder:
            (folder / "b").write_text("whole")
        assert leftovers(tmp_path) == ["made", "predictions.csv"]
        living.communicate("")
    assert living.returncode == 0
    assert leftovers(tmp_path) == []
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a"]


def test_those_of_other_machines_are_left_to_whoever_holds_the_lock(tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    plots.mkdir()
    theirs = [plots / f"{TEMP_PREFIX}00000000-{os.getpid()}-curves.png"]
    theirs += [tmp_path / f"{TEMP_PREFIX}00000000-1-{name}" for name in ("last.pt", "report.html")]
    for path in theirs:
        path.touch()
    folder = tmp_path / f"{TEMP_PREFIX}00000000-1-new-export"
    folder.mkdir()
    write_text(plots / "curves.png", "")
    write_text(tmp_path / "last.pt", "")
    assert all(path.exists() for path in theirs)
    with RunDir(tmp_path).held():
        assert leftovers(plots) == []
        assert leftovers(tmp_path) == ["export", "report.html"]


@pytest.mark.fault(
    "a run is killed while it writes plots or snapshots",
    "its temporary files are removed when it is resumed",
    "137",
)
def test_a_run_that_is_held_is_rid_of_those_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    for place in (tmp_path, tmp_path / "plots"):
        with writer(place) as killed:
            killed.kill()
    with writer(tmp_path) as living:
        with RunDir(tmp_path).held():
            assert leftovers(tmp_path / "plots") == []
            assert leftovers(tmp_path) == ["made", "predictions.csv"]
        living.communicate("")
    assert leftovers(tmp_path) == []
