"""Curves as pictures: of a run, from its metrics.csv, and of a test of learning rates."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from svhncli.engine.lr_range import GROWN, Point, Suggestion
from svhncli.stats.metrics import added_metrics


def draw_curves(run: Path, best_epoch: int) -> Path:
    """Draw loss, accuracy, lr and added metrics over the epochs into `run`/plots/curves.png.

    The best epoch is marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: no global state, no display
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with (run / "metrics.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    epochs = [row["epoch"] for row in rows]
    best = next(row for row in rows if row["epoch"] == best_epoch)
    added = added_metrics(rows)

    figure = Figure(figsize=(4 * (3 + len(added)), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy, rate, *others = figure.subplots(1, 3 + len(added))
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for part, colour in (("train", "tab:blue"), ("val", "tab:orange")):
            values = [row[f"{part}_{name}"] for row in rows]
            axes.plot(epochs, values, colour, label=part, marker="." if len(rows) < 40 else "")
        axes.axvline(best["epoch"], color="grey", linewidth=0.8, linestyle=":")
        axes.set_title(name)
        axes.legend(frameon=False)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    accuracy.set_title(f"accuracy (best epoch {best['epoch']:.0f}: {best['val_accuracy']:.2%})")
    rate.plot(epochs, [row["lr"] for row in rows], "tab:green", marker="." if len(rows) < 40 else "")
    rate.set_title("learning rate at the epoch's start")
    for axes, metric in zip(others, added, strict=True):
        values = [row[metric.name] for row in rows]
        axes.plot(epochs, values, "tab:orange", marker="." if len(rows) < 40 else "")
        axes.axvline(best["epoch"], color="grey", linewidth=0.8, linestyle=":")
        axes.set_title(f"{metric.title} (best epoch: {metric.text(best[metric.name])})")
        if metric.format == "percent":
            axes.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, accuracy, rate, *others):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    target = run / "plots" / "curves.png"
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=110)
    return target


def draw_range(path: Path, points: Sequence[Point], found: Suggestion) -> None:
    """Draw the loss of a learning rate range test over lr, with the suggestion where there is one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    rates = [point.lr for point in points]
    axes.plot(rates, [point.loss for point in points], "tab:blue", alpha=0.3, label="loss of a batch")
    axes.plot(rates, found.smoothed, "tab:blue", label="smoothed")
    axes.axvline(
        found.lowest, color="grey", linewidth=0.8, linestyle=":", label=f"lowest: {found.lowest:.1e}"
    )
    if found.lr is not None:
        axes.axvline(found.lr, color="tab:green", label=f"suggested: {found.lr:.1e}")
    least = min(found.smoothed)
    axes.set_ylim(0.9 * least, min(max(found.smoothed), GROWN * least, 1.5 * found.smoothed[0]))
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
