"""A disk that is too small is an error before the first epoch; one that fills up costs no finished epoch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Forked, environment
from runs_made import SMALL

from svhncli.cli import main as cli
from svhncli.runs import checkpoint

pytestmark = pytest.mark.engine
Usage = namedtuple("Usage", "total used free")
NEEDED = re.compile(r"needs ([\d,.]+) MB of space, and its disk has 0.0 MB free")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def leave(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9 - free, free))

    return leave


def megabytes(capsys: pytest.CaptureFixture[str]) -> float:
    err = capsys.readouterr().err
    assert "epoch 1/" not in err
    match = NEEDED.search(err)
    assert match is not None, err
    return float(match[1].replace(",", ""))


@pytest.mark.fault(
    "the disk has no room for what a run will write",
    "refused before the first epoch, with what is needed and what is free",
    "6",
)
def test_too_little_room_is_an_error_before_the_first_epoch(
    folder: Path, full: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", *SMALL, "model=mlp", "out=run"]
    full(10**9)
    assert cli.main([*words, "snapshots=1"]) == 0
    written = sum(file.stat().st_size for file in Path("run").rglob("*") if file.is_file()) / 1e6
    capsys.readouterr()
    full(0)
    assert cli.main([*words[:-1], "snapshots=1", "out=other"]) == 6
    once = megabytes(capsys)
    assert written < once < 4 * written
    assert cli.main([*words[:-1], "split=kfold", "split.k=3", "jobs=1", "out=folds"]) == 6
    assert megabytes(capsys) == pytest.approx(3 * once, rel=0.25)
    full(10**9)
    assert cli.main(["train", "--resume", "folds"]) == 0


FILLS = """
import resource, torch

epochs = []

def fill(module, _):
    if type(module).__name__ == "Linear" and not module.training and not epochs:
        epochs.append(1)  # the first validation: what it leads to is larger than this
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

torch.nn.modules.module.register_module_forward_pre_hook(fill)
"""


@pytest.mark.fault(
    "the disk fills up within a run",
    "the last state stays whole, and the run is resumed when there is room",
    "6",
)
def test_a_disk_that_fills_up_costs_no_finished_epoch(
    folder: Path, spawn: Callable[..., Forked], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, "epochs=1", "out=run"]) == 0
    shutil.copytree("run", "whole")
    (folder / "fills.py").write_text(FILLS)
    process = spawn("train", "--resume", "run", "epochs=3", "plugins=[fills]", stderr=-1)
    _, err = process.communicate()
    assert process.returncode == 6, err
    assert re.search(r"cannot write 'run/\S+pt'.*; it needs [\d.]+ MB", err), err
    assert "Traceback" not in err
    assert checkpoint.load(Path("run/last.pt"))["state"]["epoch"] == 1
    assert not list(Path("run").glob(".writing*"))
    assert cli.main(["train", "--resume", "run", "epochs=3"]) == 0
    assert cli.main(["train", "--resume", "whole", "epochs=3"]) == 0
    assert_same_bits("run", "whole")


def assert_same_bits(*runs: str) -> None:
    for name in ("best.pt", "last.pt"):
        assert len({checkpoint.digest(checkpoint.load(Path(run, name))) for run in runs}) == 1
    assert len({Path(run, "metrics.csv").read_bytes() for run in runs}) == 1


TAKES_ALL = """
import torch

taken = []

def take(module, _):
    if type(module).__name__ == "Linear" and not module.training and not taken:
        taken.append(open("others", "wb", buffering=0))  # at the first validation
        try:
            while True:
                taken[0].write(bytes(4096))
        except OSError:
            pass

torch.nn.modules.module.register_module_forward_pre_hook(take)
"""
SMALL_DISK = """
set -e
mount -t tmpfs -o size=24m none disk
cp -r run takes.py disk
cd disk
code=0
"$PYTHON" -m svhncli train --resume run epochs=3 'plugins=[takes]' || code=$?
echo "exit $code" >&2
"$PYTHON" -m svhncli verify run
rm others
"$PYTHON" -m svhncli train --resume run epochs=3
cp -r run ../resumed
"""


def test_a_real_disk_that_others_fill_costs_no_finished_epoch(folder: Path) -> None:
    namespace = ["unshare", "--map-root-user", "--mount"]
    (folder / "disk").mkdir()
    if (
        shutil.which("unshare") is None
        or subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", "disk"]).returncode
    ):
        pytest.skip("this system does not let a user mount a small disk")
    assert cli.main(["train", *SMALL, "epochs=1", "out=run"]) == 0
    (folder / "takes.py").write_text(TAKES_ALL)
    words = [*namespace, "bash", "-c", SMALL_DISK]
    done = subprocess.run(
        words, env=environment() | {"PYTHON": sys.executable}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    known = r"cannot write '(run/\S+)': No space left on device(; it needs \S+ \S+)?\n.*\nexit 6\n"
    failed = re.search(known, done.stderr)
    assert failed is not None, done.stderr
    assert not Path(failed[1]).name.startswith(".writing"), failed[1]
    assert cli.main(["train", "--resume", "run", "epochs=3"]) == 0
    assert_same_bits("run", "resumed")
