"""The figure of a learning curve: the error against the number of training images, with its extrapolation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from svhncli.report.figures.canvas import new_figure, save
from svhncli.runs.learning_curve import CurveSize, ExpectedError
from svhncli.stats.power_law import PowerLaw


def draw_learning_curve(
    file: Path, sizes: Sequence[CurveSize], law: PowerLaw, ahead: Sequence[ExpectedError]
) -> None:
    """Draw the curve on logarithmic axes, on which a power law is a straight line except near its floor.

    ahead: what the power law predicts from the largest size on.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    figure = new_figure(8, 5)
    axes = figure.subplots()
    n = np.array([size.n for size in sizes])
    least = 0.5 / n.max()  # 0 cannot be drawn on a logarithmic axis
    for size in sizes:
        axes.scatter([size.n] * len(size.errors), np.maximum(size.errors, least), 14, "tab:orange", alpha=0.5)
    mean = np.maximum([size.error for size in sizes], least)
    measured = [(size.low, size.high) for size in sizes if size.low is not None and size.high is not None]
    if measured:
        ends = np.maximum(np.transpose(measured), least)
        axes.errorbar(
            n, mean, np.abs(ends - mean), fmt="o", color="tab:orange", capsize=4, label="validation"
        )
    else:
        axes.plot(n, mean, "o", color="tab:orange", label="validation")
    train = np.maximum([size.train_error for size in sizes], least)
    axes.plot(n, train, ".:", color="tab:blue", label="training images")
    further = np.array([expected.n for expected in ahead])
    line = np.geomspace(n.min(), further.max())
    axes.plot(line, law.at(line), color="gray", linewidth=1, label="power law")
    low, high = (
        np.maximum(ends, least)
        for ends in np.transpose([(expected.low, expected.high) for expected in ahead])
    )
    axes.fill_between(further, low, high, color="gray", alpha=0.2, label="95% interval")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([*n, *further[1:]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(min([*mean, *low]) / 3, 1)  # a training error of 0 is below the axis
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", rotation=40)
    axes.set_xlabel("training images")
    axes.set_ylabel("error")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save(file, figure)
