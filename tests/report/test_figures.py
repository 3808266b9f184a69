"""Figures are written atomically: where writing fails, the old file stays whole and nothing else is left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from svhncli.core.errors import DiskError
from svhncli.engine.lr_range import Point, suggest
from svhncli.report.figures.curves import draw_curves, draw_range
from svhncli.report.figures.diagrams import draw_confusion

METRICS = "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy\n1,0.1,2,0.1,2,0.1\n2,0.1,1,0.5,1,0.5\n"


def curves(folder: Path) -> Path:
    (folder / "metrics.csv").write_text(METRICS)
    return draw_curves(folder, 2)


def learning_rates(folder: Path) -> Path:
    points = [Point(10.0 ** (place / 10 - 6), 3.0 - place / 50) for place in range(100)]
    draw_range(folder / "plots" / "curve.png", points, suggest(points))
    return folder / "plots" / "curve.png"


def confusion(folder: Path) -> Path:
    draw_confusion(folder / "plots" / "confusion.png", np.eye(10, dtype=np.int64), blank=10)
    return folder / "plots" / "confusion.png"


@pytest.mark.parametrize("draw", [curves, learning_rates, confusion])
def test_a_failed_write_leaves_the_old_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw: Callable[[Path], Path]
) -> None:
    (tmp_path / "plots").mkdir()
    path = draw(tmp_path)
    before = path.read_bytes()
    assert before.startswith(b"\x89PNG")

    def fill_the_disk(canvas: FigureCanvasAgg, file: Any, **more: Any) -> None:
        with file.open("wb") if isinstance(file, Path) else nullcontext(file) as target:
            target.write(b"half a figure")
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(FigureCanvasAgg, "print_png", fill_the_disk)
    with pytest.raises(DiskError):
        draw(tmp_path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]
