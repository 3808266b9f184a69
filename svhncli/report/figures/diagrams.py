"""Confusion matrix and reliability diagram."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svhncli.report.figures.canvas import new_panels, save
from svhncli.stats.scores import BINS, LEAST, Calibration, joined


def draw_confusion(path: Path, matrix: np.ndarray, blank: int, percent: bool = False) -> None:
    """Draw counts int64 (K, K), a row for each true class, colored by share of the row; `blank` is named.

    percent: the cells show that share in percent, not counts.
    """
    figure, [axes] = new_panels(7, 5.9)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(matrix):
        if count:
            ink = "white" if shares[true, predicted] > 0.5 else "black"
            text = f"{shares[true, predicted]:.1%}" if percent else f"{count:,}"
            axes.text(predicted, true, text, ha="center", va="center", color=ink, fontsize=8)
    names = ["blank" if k == blank else str(k) for k in range(len(matrix))]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true; each row adds up to 100%" if percent else "true")
    right, total = matrix.trace(), matrix.sum()
    axes.set_title(f"{right:,} of {total:,} {'positions' if len(matrix) > blank else 'digits'} are correct")
    figure.colorbar(drawn, ax=axes, label="share of the true class", shrink=0.8)
    save(path, figure)


def draw_reliability(path: Path, calibration: Calibration) -> None:
    """Draw accuracy over confidence, and how often each confidence occurs, before and after a temperature.

    The points are those of `joined`, with their intervals; the bars and the ECE are those of the bins.
    """
    from matplotlib.ticker import PercentFormatter

    kinds = [(f"as predicted: ECE {calibration.ece:.2%}", calibration.bins, "tab:blue", "o")]
    if calibration.bins_after is not None:
        label = f"temperature {calibration.fit.temperature:.2f}: ECE {calibration.ece_after:.2%}"
        kinds.append((label, calibration.bins_after, "tab:orange", "s"))
    figure, [upper, lower] = new_panels(6, 7, rows=(3, 1))
    upper.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle=":", label="perfectly calibrated")
    for place, (label, bins, color, marker) in enumerate(kinds):
        points = joined(bins)
        accuracies = np.array([point.accuracy for point in points])
        below = accuracies - [point.interval.low for point in points]
        above = [point.interval.high for point in points] - accuracies
        upper.errorbar(
            [point.confidence for point in points],
            accuracies,
            yerr=[below, above],
            color=color,
            marker=marker,
            markersize=4,
            capsize=3,
            elinewidth=1,
            label=label,
        )
        width = (bins[0].high - bins[0].low) / len(kinds)
        left = [row.low + place * width for row in bins]
        lower.bar(left, [row.count for row in bins], width, align="edge", color=color)
    upper.set_title(f"95% Wilson intervals; bins are joined until each has {LEAST} images", fontsize=10, y=1)
    upper.set_ylabel("accuracy")
    upper.legend(frameon=False)
    lower.set_ylabel("images")
    lower.set_yscale("symlog", linthresh=1)  # nearly all predictions are confident
    lower.set_xlabel(f"confidence of the prediction; bars and ECE: {BINS} bins of equal width")
    upper.yaxis.set_major_formatter(PercentFormatter(1))
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    save(path, figure)
