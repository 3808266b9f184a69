"""The diagnosis follows from the scores; the curves are drawn from the files alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from svhncli.core.files import write_csv
from svhncli.core.plain import from_plain
from svhncli.report.diagnosis import diagnose
from svhncli.report.figures.curves import draw_curves
from svhncli.runs.results import BestEpoch, EpochRow
from svhncli.runs.run_dir import METRICS
from svhncli.stats.intervals import wilson
from svhncli.stats.score import Score


def history(*val_losses: float) -> list[dict[str, float]]:
    return [
        {
            "epoch": i + 1,
            "lr": 1e-3,
            "train_loss": 0.5,
            "train_accuracy": 0.8,
            "val_loss": loss,
            "val_accuracy": 1 - loss / 3,
        }
        for i, loss in enumerate(val_losses)
    ]


def score(accuracy: float, n: int) -> Score:
    return Score(loss=1.0, accuracy=accuracy, n=n, interval=wilson(round(accuracy * n), n))


def verdict(train: float, val: float, *losses: float, n: int = 2000) -> str:
    rows = history(*losses)
    best = min(rows, key=lambda row: row["val_loss"])
    diagnosis = diagnose(
        [from_plain(EpochRow, row) for row in rows], BestEpoch.of(best), score(train, 5000), score(val, n)
    )
    assert diagnosis.advice, "there is always advice"
    assert diagnosis.gap == pytest.approx(train - val)
    return diagnosis.verdict


FLAT = (0.5, 0.31, 0.3, 0.3)


def test_a_gap_that_chance_does_not_explain_is_overfitting() -> None:
    assert verdict(0.999, 0.90, *FLAT) == "overfitting"


def test_the_same_gap_on_few_images_is_not_overfitting() -> None:
    assert verdict(0.999, 0.90, *FLAT, n=20) == "neither overfitting nor underfitting"


def test_a_low_training_accuracy_is_underfitting() -> None:
    assert verdict(0.60, 0.59, *FLAT) == "underfitting"
    assert verdict(0.29, 0.16, *FLAT) == "underfitting"


def test_a_loss_that_still_falls_is_underfitting_that_more_epochs_fix() -> None:
    assert verdict(0.93, 0.92, 0.9, 0.6, 0.4, 0.3) == "underfitting (stopped too early)"


def test_a_loss_worse_than_guessing_is_divergence_not_underfitting() -> None:
    assert verdict(0.11, 0.10, 7e11, 6e11, 5e11) == "diverged"


def test_high_and_equal_accuracies_are_neither_overfitting_nor_underfitting() -> None:
    assert verdict(0.995, 0.991, *FLAT) == "neither overfitting nor underfitting"


@pytest.mark.parametrize("count", [1, 60])
def test_curves_are_drawn_from_metrics_csv_alone(tmp_path: Path, count: int) -> None:
    write_csv(tmp_path / "metrics.csv", METRICS, history(*(1 / (i + 1) for i in range(count))))
    with Image.open(draw_curves(tmp_path, count)) as plot:
        assert plot.size[0] > 900
        assert len(plot.convert("RGB").getcolors(1 << 20)) > 50, "the plot is not empty"
