"""What the tests of `svhn ensemble` share: runs, and their predictions read without the tool."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from svhncli.cli import main as cli
from svhncli.engine import device
from svhncli.evaluation import trained

SMALL = [
    "data=svhn",
    "data.check_md5=false",
    "threads=1",
    "device=cpu",
    "precision=fp32",
    "report=false",
    "watch=0",
    "lr=1e-3",
]
CPU = device.resolve("cpu", "fp32", 1)

Command = Callable[..., dict[str, Any]]


def train(run: str, *words: str) -> None:
    assert cli.main(["train", "data.root=data", *words, f"hydra.run.dir={run}"]) == 0


@pytest.fixture
def ensemble(json_of: Command) -> Command:
    return lambda *words: json_of("ensemble", *words, "device=cpu")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and message of a command that fails without a traceback."""
    capsys.readouterr()
    code = cli.main([*words])
    err = capsys.readouterr().err
    assert code != 0
    assert "Traceback" not in err
    return code, err


def rows(path: Path | str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def table(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float64 (N, K) and labels (N,) from a file with predictions of single digits."""
    predictions = rows(path)
    return (
        np.array([[float(row[f"p{k}"]) for k in range(10)] for row in predictions]),
        np.array([int(row["label"]) for row in predictions]),
    )


def evaluate_test(json_of: Command, run: str, *words: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels that `svhn eval` writes for the test part."""
    return table(Path(json_of("eval", run, "device=cpu", *words)["report"]) / "predictions.csv")


def probabilities_of(run: str) -> np.ndarray:
    """Probabilities (N, K) of the test images from a run's best weights."""
    images = loadmat("data/test_32x32.mat")["X"].transpose(3, 2, 0, 1)
    return trained.probabilities([trained.load(Path(run, "best.pt"))], np.ascontiguousarray(images), CPU)[
        :, 0
    ]
