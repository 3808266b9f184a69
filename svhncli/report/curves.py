"""A run's learning curves as a picture, from its metrics.csv."""

from __future__ import annotations

import csv
from pathlib import Path


def draw_curves(run: Path, metric: str = "val_accuracy") -> Path:
    """Draw loss, accuracy and lr over the epochs into `run`/plots/curves.png; the best epoch is marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: no global state, no display
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with (run / "metrics.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    epochs = [row["epoch"] for row in rows]
    best = (min if metric == "val_loss" else max)(rows, key=lambda row: row[metric])

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy, rate = figure.subplots(1, 3)
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
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    target = run / "plots" / "curves.png"
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=110)
    return target
