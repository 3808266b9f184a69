"""One of several processes fails, is stopped twice, or does not react: how the run ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import link_faces
from fold_processes import FOLDS, IN_STEP_5, Spawn

from svhncli.cli import main as cli
from svhncli.core import processes

UNTIL_ASKED = """
    asked, before = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(before(number, frame)))
    while not asked:  # to stop
        os.sched_yield()
"""


STOPPED_TWICE = (
    IN_STEP_5
    + """
def first():
    while not os.path.exists("second"):
        os.sched_yield()
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)

def second():
    open("second", "w").close()
"""
    + UNTIL_ASKED
)


def test_a_second_signal_does_not_keep_a_process_from_saving(spawn: Spawn, folder: Path) -> None:
    """A scheduler stops the whole process group, and the parent passes its signal on."""
    (folder / "stops.py").write_text(STOPPED_TWICE)
    process = spawn("train", "hydra.run.dir=run", *FOLDS, "jobs=2", "plugins=[stops]")
    process.communicate(timeout=120)
    states = [json.loads(path.read_text())["status"] for path in Path("run").glob("fold*/status.json")]
    assert states == ["interrupted"] * 2


DEAF = (
    IN_STEP_5
    + """
def first():
    while not os.path.exists("second"):
        os.sched_yield()
    raise ZeroDivisionError("the first")

def second():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("second", "w").close()
    while True:
        os.sched_yield()
"""
)


@pytest.mark.fault("a process does not react to being stopped", "it is killed after a minute, and named", "1")
def test_a_process_that_does_not_answer_is_killed_in_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "deaf.py").write_text(DEAF)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(processes, "ANSWER", 0.0)
    assert cli.main(["train", "hydra.run.dir=run", *FOLDS, "jobs=2", "plugins=[deaf]"]) == 1
    errors = capsys.readouterr().err
    assert re.search(r"process \d+ did not end within 0.0 s after it was asked to", errors), errors
    assert "the first" in errors


BOTH_FAIL = (
    IN_STEP_5
    + """
from svhncli.core.errors import NotFiniteError

def first():
    while not os.path.exists("second"):
        os.sched_yield()
    raise NotFiniteError("the first")

def second():
    open("second", "w").close()
"""
    + UNTIL_ASKED
    + """
    raise ZeroDivisionError("the second")
"""
)


def test_a_fold_that_fails_ends_the_run_with_its_own_message_and_code(spawn: Spawn, folder: Path) -> None:
    """And one that fails while it is asked to stop is not waited for, nor is its error shown."""
    (folder / "both_fail.py").write_text(BOTH_FAIL)
    process = spawn("train", "hydra.run.dir=run", *FOLDS, "jobs=2", "plugins=[both_fail]")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 7, err
    assert "svhn: error: the first" in err
    assert "Traceback" not in err
    assert json.loads((folder / "run" / "summary.json").read_text())["status"] == "diverged"


BROKEN = """
from dataclasses import dataclass
from svhncli import registry

@dataclass
class Broken:
    name: str = "broken"

def make(config, in_shape, positions, classes, dropout):
    raise ZeroDivisionError("made on purpose")

registry.register("model", Broken, make)
"""


@pytest.mark.full
def test_a_bug_in_another_process_is_shown_with_its_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the process has loaded the plugin that was named here."""
    (folder / "broken_parts.py").write_text(BROKEN)
    words = ["data=tiny", "epochs=1", "split=kfold", "plugins=[broken_parts]", "model=broken", "jobs=2"]
    assert cli.main(["train", *words]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: made on purpose" in err
    assert "in make" in err


IN_JOBLIB = """
import joblib
from svhncli.cli import main as cli

words = ["train", "data.n_train=70", "data.n_test=0", "epochs=1", "model=linear"]
words += ["split=kfold", "split.k=2", "jobs=2", "threads=1", "cache=cache"]

def train(extra):
    return cli.main([*words, extra])

if __name__ == "__main__":
    print("codes", joblib.Parallel(2)([joblib.delayed(train)("hydra.run.dir=run")]))
"""


@pytest.mark.full
def test_images_are_rendered_and_folds_trained_in_a_process_of_joblib(folder: Path) -> None:
    """As Hydra's joblib launcher runs jobs: its processes have a start method that new ones do not know."""
    (folder / "launch.py").write_text(IN_JOBLIB)
    link_faces(folder / "cache")
    done = subprocess.run([sys.executable, "launch.py"], capture_output=True, text=True, timeout=120)
    assert "codes [0]" in done.stdout, done.stderr
    assert (folder / "run" / "oof_predictions.csv").is_file()
