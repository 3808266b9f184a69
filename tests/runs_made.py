"""A small run of `svhn train` in this process."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from svhncli.cli import main as cli

PLAIN = ["data.n_train=300", "data.n_test=60", "threads=1", "device=cpu", "model=linear", "epochs=2"]
SMALL = [*PLAIN, "watch=0", "report=false"]


def train(capsys: pytest.CaptureFixture[str], *words: str, run: Path | None = None) -> dict[str, Any]:
    run_dir = [f"hydra.run.dir={run}"] if run else []
    code = cli.main(["train", "--json", *run_dir, *SMALL, *words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def train_here(run: Path, *words: str) -> Path:
    """A run that is trained in this process, whose number of threads stays; its folder."""
    threads = torch.get_num_threads()
    assert cli.main(["train", f"out={run}", *words]) == 0
    torch.set_num_threads(threads)
    return run
