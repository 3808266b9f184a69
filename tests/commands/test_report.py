"""The curves are drawn from the files alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from svhncli.core.files import write_csv
from svhncli.report.figures.curves import draw_curves
from svhncli.runs.run_dir import METRICS


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


@pytest.mark.parametrize("count", [1, 60])
def test_curves_are_drawn_from_metrics_csv_alone(tmp_path: Path, count: int) -> None:
    write_csv(tmp_path / "metrics.csv", METRICS, history(*(1 / (i + 1) for i in range(count))))
    with Image.open(draw_curves(tmp_path, count)) as plot:
        assert plot.size[0] > 900
        assert len(plot.convert("RGB").getcolors(1 << 20)) > 50, "the plot is not empty"
