"""Confusion matrix and reliability diagram."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svhncli.report.figures.canvas import new_panels, save
from svhncli.stats.scores import Calibration, filled


def draw_confusion(path: Path, matrix: np.ndarray, blank: int) -> None:
    """Draw counts int64 (K, K), a row for each true class, colored by share of the row; `blank` is named."""
    figure, [axes] = new_panels(7, 5.9)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(matrix):
        if count:
            ink = "white" if shares[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, f"{count:,}", ha="center", va="center", color=ink, fontsize=8)
    names = ["blank" if k == blank else str(k) for k in range(len(matrix))]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    right, total = matrix.trace(), matrix.sum()
    axes.set_title(f"{right:,} of {total:,} {'positions' if len(matrix) > blank else 'digits'} are correct")
    figure.colorbar(drawn, ax=axes, label="share of the true class", shrink=0.8)
    save(path, figure)


def draw_reliability(path: Path, calibration: Calibration) -> None:
    """Draw accuracy over confidence, and how often each confidence occurs, before and after a temperature."""
    from matplotlib.ticker import PercentFormatter

    kinds = [(f"as predicted: ECE {calibration.ece:.2%}", calibration.bins, "tab:blue", "o")]
    if calibration.bins_after is not None:
        label = f"temperature {calibration.fit.temperature:.2f}: ECE {calibration.ece_after:.2%}"
        kinds.append((label, calibration.bins_after, "tab:orange", "s"))
    figure, [upper, lower] = new_panels(6, 7, rows=(3, 1))
    upper.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle=":", label="perfectly calibrated")
    for place, (label, bins, color, marker) in enumerate(kinds):
        sure, accuracies, _ = zip(*filled(bins), strict=True)
        upper.plot(sure, accuracies, color, marker=marker, markersize=4, label=label)
        width = (bins[0].high - bins[0].low) / len(kinds)
        left = [row.low + place * width for row in bins]
        lower.bar(left, [row.count for row in bins], width, align="edge", color=color)
    upper.set_ylabel("accuracy")
    upper.legend(frameon=False)
    lower.set_ylabel("predictions")
    lower.set_yscale("symlog", linthresh=1)  # nearly all predictions are confident
    lower.set_xlabel("confidence of the prediction")
    upper.yaxis.set_major_formatter(PercentFormatter(1))
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    save(path, figure)
