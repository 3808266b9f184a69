"""Figures of curves: those of a run, from its metrics.csv, and that of a learning rate range test."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from svhncli.core.files import open_csv
from svhncli.engine.lr_range import GROWN, Point, Suggestion
from svhncli.report.figures.canvas import new_figure, new_panels, save
from svhncli.stats.metrics import added_metrics


def draw_curves(run: Path, best_epoch: int) -> Path:
    """Draw loss, accuracy, lr and added metrics over the epochs into `run`/plots/curves.png.

    The best epoch is marked.
    """
    from matplotlib.ticker import PercentFormatter

    lines = csv.DictReader(open_csv(run / "metrics.csv"))
    rows = [{name: float(value) for name, value in row.items()} for row in lines]
    epochs = [row["epoch"] for row in rows]
    best = next(row for row in rows if row["epoch"] == best_epoch)
    added = added_metrics(rows)

    figure, (loss, accuracy, rate, *others) = new_panels(4, 3.6, columns=3 + len(added))
    titles = {
        loss: "loss (dotted: the best epoch)",
        accuracy: f"accuracy (best epoch {best['epoch']:.0f}: {best['val_accuracy']:.2%})",
        rate: "learning rate at the epoch's start",
    }
    names = {loss: "loss", accuracy: "accuracy", rate: "learning rate"}
    marker = "." if len(rows) < 40 else ""
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for part, color in (("train", "tab:blue"), ("val", "tab:orange")):
            values = [row[f"{part}_{name}"] for row in rows]
            axes.plot(epochs, values, color, label=part, marker=marker)
        axes.legend(frameon=False)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    rate.plot(epochs, [row["lr"] for row in rows], "tab:green", marker=marker)
    for axes, metric in zip(others, added, strict=True):
        titles[axes] = f"{metric.title} (best epoch: {metric.text(best[metric.name])})"
        names[axes] = metric.title
        axes.plot(epochs, [row[metric.name] for row in rows], "tab:orange", marker=marker)
        if metric.format == "percent":
            axes.yaxis.set_major_formatter(PercentFormatter(1))
    for axes, title in titles.items():
        if axes is not rate:
            axes.axvline(best["epoch"], color="gray", linewidth=0.8, linestyle=":")
        axes.set_title(title, y=1)  # a fixed place: looking for a free one takes a while
        axes.set_xlabel("epoch")
        axes.set_ylabel(names[axes])
        axes.locator_params(nbins=6)  # fewer ticks than usual, each of which takes time to draw
        axes.locator_params("x", integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    target = run / "plots" / "curves.png"
    target.parent.mkdir(exist_ok=True)
    save(target, figure)
    return target


def draw_range(path: Path, points: Sequence[Point], suggestion: Suggestion) -> None:
    """Draw the loss of a learning rate range test over lr, with the suggestion where there is one."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    rates = [point.lr for point in points]
    axes.plot(rates, [point.loss for point in points], "tab:blue", alpha=0.3, label="loss of a batch")
    axes.plot(rates, suggestion.smoothed, "tab:blue", label="smoothed")
    axes.axvline(
        suggestion.lowest,
        color="gray",
        linewidth=0.8,
        linestyle=":",
        label=f"lowest: {suggestion.lowest:.1e}",
    )
    if suggestion.lr is not None:
        axes.axvline(suggestion.lr, color="tab:green", label=f"suggested: {suggestion.lr:.1e}")
    least = min(suggestion.smoothed)
    axes.set_ylim(0.9 * least, min(max(suggestion.smoothed), GROWN * least, 1.5 * suggestion.smoothed[0]))
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    save(path, figure)
