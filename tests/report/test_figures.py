"""Figures say what they show, and are written atomically: a failed write leaves the old file whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from svhncli.core.errors import DiskError
from svhncli.engine.lr_range import Point, suggest
from svhncli.report.figures.curves import draw_curves, draw_range
from svhncli.report.figures.diagrams import draw_confusion, draw_reliability
from svhncli.stats.scores import TemperatureFit, calibrate, joined, reliability

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


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were written."""
    figures: list[Figure] = []
    write = FigureCanvasAgg.print_png

    def keep(canvas: FigureCanvasAgg, *args: Any, **more: Any) -> None:
        write(canvas, *args, **more)
        figures.append(canvas.figure)

    monkeypatch.setattr(FigureCanvasAgg, "print_png", keep)
    return figures


def test_every_axis_of_the_curves_is_labeled_inside_the_figure(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = ["2,0.1,2,0.1,0.1", "1,0.5,1,0.5,0.4"]
    history = METRICS.splitlines()[0] + ",val_f1_macro\n1,0.00012," + rows[0] + "\n2,0.0001," + rows[1] + "\n"
    (tmp_path / "metrics.csv").write_text(history)
    draw_curves(tmp_path, 2)
    (figure,) = drawn
    axes = figure.axes
    assert [panel.get_ylabel() for panel in axes] == ["loss", "accuracy", "learning rate", "f1 macro"]
    assert [panel.get_xlabel() for panel in axes] == ["epoch"] * 4
    rightmost = 0.0
    for panel in axes:
        box = panel.yaxis.label.get_window_extent()
        assert box.x0 > rightmost + 5, "a label is too close to the panel to its left"
        low, high = panel.get_ylim()
        ticks = [tick for tick in panel.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        assert box.x1 <= min(tick.label1.get_window_extent().x0 for tick in ticks)
        rightmost = panel.get_window_extent().x1
    assert all(panel.xaxis.label.get_window_extent().y0 >= 0 for panel in axes)


def test_a_reliability_diagram_has_an_interval_for_each_point(tmp_path: Path, drawn: list[Figure]) -> None:
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.full(10, 0.1), (200, 1)).astype(np.float32)
    sure = probabilities.max(-1)[:, 0]
    right = draw.random(200) < sure
    bins = reliability(sure, right)
    assert any(0 < row.count < 10 for row in bins)
    draw_reliability(
        tmp_path / "r.png", calibrate(bins, probabilities, right, TemperatureFit(2.0, "val", None))
    )
    (figure,) = drawn
    before, after = (bar for bar in figure.axes[0].containers if isinstance(bar, ErrorbarContainer))
    points = joined(bins)
    (segments,) = before[2]
    ends = [[tuple(end) for end in segment] for segment in segments.get_segments()]
    expected = [[(p.confidence, p.interval.low), (p.confidence, p.interval.high)] for p in points]
    np.testing.assert_allclose(ends, expected)
    assert len(after[2][0].get_segments()) > 1
    assert "each has 10 images" in figure.axes[0].get_title()
    assert sum(bar.get_height() for bar in figure.axes[1].containers[0]) == 200, "the bins themselves"


@pytest.mark.parametrize("percent", [False, True])
def test_a_confusion_matrix_shows_counts_or_percent_of_each_label(
    tmp_path: Path, drawn: list[Figure], percent: bool
) -> None:
    matrix = np.zeros((10, 10), np.int64)
    matrix[3, 3], matrix[3, 5], matrix[4, 4] = 1500, 500, 7
    draw_confusion(tmp_path / "c.png", matrix, blank=10, percent=percent)
    (figure,) = drawn
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    expected = ("75.0%", "25.0%", "100.0%") if percent else ("1,500", "500", "7")
    assert cells == dict(zip([(3, 3), (5, 3), (4, 4)], expected, strict=True))
