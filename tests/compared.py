"""Small trained runs that `svhn compare` compares, and their predictions read without the tool."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import made_once, unrecorded

from svhncli.cli import main as cli

SMALL = ["data=tiny", "data.n_train=300", "data.n_test=80", "epochs=4", "lr=0.01", "threads=1", "device=cpu"]
SMALL += ["report=false", "jobs=1", "watch=0"]
FOLDS = ["split=kfold", "jobs=1", "split.k=3", "model=linear"]
Compare = Callable[..., dict[str, Any]]


def train(folder: Path | str, *words: str) -> None:
    assert cli.main(["train", *SMALL, f"hydra.run.dir={folder}", *words]) == 0


def _train() -> None:
    train("linear", "model=linear", "name=first")
    train("mlp", "model=mlp", "model.widths=[16]")
    train("wide", "model=mlp", "model.widths=[32]", "batch_size=32")
    for name, more in {"slow": ["lr=0.0001"], "fast": []}.items():
        train(f"{name}_folds", *FOLDS, *more)
        train(f"{name}_seeds", "model=linear", "repeats=3", "jobs=1", *more)
    words = ["model=linear", "lr=1e-4,1e30,1e-2", "optim=sgd", "hydra.sweep.dir=sweep"]
    assert cli.main(["train", "-m", *SMALL, *words]) == 1


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: linear, mlp and wide (an mlp with a wider layer); three folds and three seeds of each
    of two configs; a sweep of three jobs, the second of which fails."""
    return made_once(tmp_path_factory, "compared", _train)


@pytest.fixture
def runs(trained_runs: Path, folder: Path) -> Path:
    """A copy of the trained runs in the current folder, without files that nothing here reads."""
    unread = shutil.ignore_patterns("plots", ".hydra", "last.pt", "*.log")
    shutil.copytree(trained_runs, folder, ignore=unread, dirs_exist_ok=True)
    return unrecorded(folder)


@pytest.fixture
def compare(json_of: Callable[..., dict[str, Any]]) -> Compare:
    return partial(json_of, "compare")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def correct(path: Path) -> np.ndarray:
    """Which predictions of a CSV file are correct, read without the tool."""
    return np.array([row["label"] == row["prediction"] for row in rows(path)])
