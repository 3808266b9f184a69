"""A learning curve as a picture: the error over the number of training pictures, and how it would go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.report.figures.canvas import new_figure, save
from svhncli.stats.power_law import PowerLaw


def draw_learning_curve(
    file: Path, sizes: Sequence[dict[str, Any]], law: PowerLaw, ahead: Sequence[dict[str, Any]]
) -> None:
    """Both axes logarithmic, on which a power law is straight as far as its floor does not bend it.

    sizes: {"n", "error", "errors", "low", "high", "train_error"} of each size; low and high may be None.
    ahead: {"n", "error", "low", "high"} from the largest on, by the law.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    figure = new_figure(8, 5)
    axes = figure.subplots()
    n = np.array([one["n"] for one in sizes])
    least = 0.5 / n.max()  # a logarithm has no place for 0
    for one in sizes:
        axes.scatter(
            [one["n"]] * len(one["errors"]), np.maximum(one["errors"], least), 14, "tab:orange", alpha=0.5
        )
    mean = np.maximum([one["error"] for one in sizes], least)
    if sizes[0]["low"] is not None:
        ends = np.maximum([[one["low"] for one in sizes], [one["high"] for one in sizes]], least)
        axes.errorbar(
            n, mean, np.abs(ends - mean), fmt="o", color="tab:orange", capsize=4, label="validation"
        )
    else:
        axes.plot(n, mean, "o", color="tab:orange", label="validation")
    train = np.maximum([one["train_error"] for one in sizes], least)
    axes.plot(n, train, ".:", color="tab:blue", label="training pictures")
    further = np.array([one["n"] for one in ahead])
    line = np.geomspace(n.min(), further.max())
    axes.plot(line, law.at(line), color="grey", linewidth=1, label="power law")
    low, high = ([one[end] for one in ahead] for end in ("low", "high"))
    axes.fill_between(further, low, high, color="grey", alpha=0.2, label="95% of the law")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([*n, *further[1:]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(min([*mean, *low]) / 3, 1)  # a training error of nothing lies below
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", rotation=40)
    axes.set_xlabel("training pictures")
    axes.set_ylabel("error")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save(file, figure, dpi=100)
