"""Whole numbers with `svhn train` and `svhn eval`: their scores, and position weights."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from svhncli.cli import main as cli

PLUGIN = """
from dataclasses import dataclass

import numpy as np

from svhncli.core.labels import BLANK
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits, NumberedNames
from svhncli.registry import register

@dataclass
class Bars:
    name: str = "bars"

def digits(n, seed):
    # numbers of one to three digits; a bright bar in each third shows its class
    draw = np.random.default_rng(seed)
    length = draw.integers(1, 4, (n, 1))
    labels = np.where(np.arange(3) < length, draw.integers(0, 10, (n, 3)), BLANK)
    images = draw.integers(0, 120, (n, 1, 12, 24), dtype=np.uint8)
    for place in range(3):
        images[np.arange(n), 0, labels[:, place], 8 * place] = 255
    return Digits(images, labels, np.arange(n), NumberedNames("bars", n))

register("data", Bars, lambda config, sources: DataSet("bars", digits(300, 0), "bars", test=digits(80, 1)))
"""
ARGS = ["plugins=[bars]", "data=bars", "model=linear", "reg=none", "epochs=15", "lr=1e-2", "threads=1"]


@pytest.fixture
def bars(folder: Path, plugin: Callable[[str, str], None]) -> Path:
    """A folder where `plugins=[bars]` is found."""
    plugin("bars", PLUGIN)
    return folder


def train(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    assert cli.main(["train", "--json", *ARGS, *args]) == 0
    return json.loads(capsys.readouterr().out)


def predictions(run: str) -> list[dict[str, str]]:
    with (Path(run) / "val_predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_scores_match_the_predicted_strings(bars: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = train(capsys)
    rows, score = predictions(summary["run_dir"]), summary["val"]
    correct = [row["label"] == row["prediction"] for row in rows]
    assert 0 < score["accuracy"] == sum(correct) / len(rows) < 1
    assert score["length_accuracy"] == sum(len(row["label"]) == len(row["prediction"]) for row in rows) / len(
        rows
    )
    assert score["accuracy"] < score["digit_accuracy"] < 1
    for length, part in score["by_length"].items():
        hits = [hit for row, hit in zip(rows, correct, strict=True) if len(row["label"]) == int(length)]
        assert part == {"n": len(hits), "accuracy": sum(hits) / len(hits)}
    assert cli.main(["eval", summary["run_dir"], "part=val", "plugins=[bars]", "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)["val"]
    assert {name: evaluated[name] for name in score} == score


def test_the_final_table_has_the_accuracy_of_digits_of_lengths_and_by_length(
    bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *ARGS]) == 0
    assert cli.main(["eval", "latest", "plugins=[bars]"]) == 0
    out = capsys.readouterr().out
    for part, times in (("train", 1), ("val", 1), ("test", 2)):
        assert out.count(f"{part} digits") == out.count(f"{part} by length") == times
    assert "of the correct length" in out
    assert "1: " in out


def test_digit_and_length_accuracies_are_averaged_over_folds(
    bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *ARGS, "split=kfold", "jobs=1", "split.k=2", "hydra.run.dir=run"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    summary = json.loads((bars / "run" / "summary.json").read_text())
    for part in ("val", "test"):
        for name in ("digit_accuracy", "length_accuracy"):
            scores = [fold[part][name] for fold in summary["folds"]]
            assert summary[f"{part}_{name}"]["mean"] == pytest.approx(sum(scores) / 2)
        assert f"mean {part} digit accuracy" in output


def test_with_biases_from_class_frequencies_the_initial_loss_is_their_entropy(
    bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["epochs=1", "lr=1e-12", "model=mlp", "model.widths=[]"]
    default_init, frequency_init = (
        train(capsys, *args, f"model.init_bias={value}") for value in ("false", "true")
    )
    rows = predictions(frequency_init["run_dir"])
    entropies = []
    for position in range(3):
        counts = Counter((*row["label"], *[""] * 3)[position] for row in rows)
        entropies.append(-sum(n / len(rows) * math.log(n / len(rows)) for n in counts.values()))
    loss = frequency_init["val"]["loss"]
    assert sum(entropies) / 3 < loss < sum(entropies) / 3 + 0.3  # untrained weights add some noise
    assert loss < default_init["val"]["loss"] - 0.3


def test_position_weights_affect_training_and_not_validation(
    bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, weighted = train(capsys), train(capsys, "reg.position_weights=[1e-6, 1e-6, 1]")
    assert weighted["last"]["train_loss"] != plain["last"]["train_loss"]
    rows = predictions(weighted["run_dir"])
    log_losses = [[], [], []]
    for row in rows:
        for position, k in enumerate([*map(int, row["label"]), 10, 10][:3]):
            log_losses[position].append(-math.log(float(row[f"p{position}_{k}"])))
    means = [sum(losses) / len(rows) for losses in log_losses]
    assert means[2] < min(means[:2])
    assert weighted["val"]["loss"] == pytest.approx(sum(means) / 3, rel=1e-4)


def test_weights_for_another_number_of_positions_are_refused(
    bars: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *ARGS, "reg.position_weights=[1, 2]"]) == 2
    err = capsys.readouterr().err
    assert "reg.position_weights has 2 weights" in err
    assert "3 positions" in err
    assert cli.main(["train", *ARGS, "reg.position_weights=[1, 0, 1]"]) == 2
    assert "reg.position_weights=0.0: must be above 0" in capsys.readouterr().err
