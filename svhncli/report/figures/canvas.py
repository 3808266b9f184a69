"""A matplotlib figure that touches no global state, and its atomic file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from svhncli.core.files import write_atomic
from svhncli.runs.contact_sheet import FAST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Its own logger, other than those of its parts, only warns of a home folder that it cannot write to.
logging.getLogger("matplotlib").addFilter(lambda record: record.levelno > logging.WARNING)

DPI = 110
LEFT, RIGHT, BOTTOM, TOP = 0.9, 0.15, 0.5, 0.35
"""The margins around axes in inches: room for the labels of ticks and of both axes, and for a title."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; without pyplot, so it needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def new_panels(
    width: float, height: float, columns: int = 1, rows: Sequence[int] = (1,)
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, from left to right and from top to bottom, with fixed margins.

    To find the margins that just suffice, as `new_figure` does, takes as long as drawing the curves of a run.

    width: of a column, its margins included, in inches. height: of the figure, in inches. rows: their
    relative heights; they share their x axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, height), dpi=DPI)
    margins = {
        "left": LEFT / (columns * width),
        "right": 1 - RIGHT / (columns * width),
        "bottom": BOTTOM / height,
        "top": 1 - TOP / height,
        "wspace": (LEFT + RIGHT) / (width - LEFT - RIGHT),
        "hspace": 0.1,
    }
    axes = figure.subplots(
        len(rows), columns, sharex="col", squeeze=False, height_ratios=rows, gridspec_kw=margins
    )
    return figure, list(axes.flat)


def save(path: Path, figure: Figure) -> None:
    """Write a PNG.

    Raises:
        DiskError: the disk is full or read-only; the old file is untouched.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    # figure.savefig would draw it twice
    write_atomic(path, partial(canvas.print_png, pil_kwargs={"compress_level": FAST}))
