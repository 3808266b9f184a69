"""A disk that is too small is an error before the first epoch; one that fills up costs no finished epoch."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Forked
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
    for run in ("run", "whole"):
        assert cli.main(["train", "--resume", run, "epochs=3"]) == 0
    for name in ("best.pt", "last.pt"):
        digests = [checkpoint.digest(checkpoint.load(Path(run, name))) for run in ("run", "whole")]
        assert digests[0] == digests[1]
    assert Path("run/metrics.csv").read_bytes() == Path("whole/metrics.csv").read_bytes()
