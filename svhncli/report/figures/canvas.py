"""A matplotlib figure that touches no global state, and its atomic file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svhncli.core.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DPI = 110
LEFT, RIGHT, BOTTOM, TOP = 0.7, 0.15, 0.5, 0.35
"""The margins of a panel in inches: room for the labels of ticks and of the x axis, and for a title."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; without pyplot, so it needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def new_panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes side by side, each in a panel of this size in inches with fixed margins.

    To find the margins that just suffice, as `new_figure` does, takes as long as drawing the curves of a run.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(count * width, height), dpi=DPI)
    axes = [
        figure.add_axes(
            (
                (panel * width + LEFT) / (count * width),
                BOTTOM / height,
                (width - LEFT - RIGHT) / (count * width),
                (height - BOTTOM - TOP) / height,
            )
        )
        for panel in range(count)
    ]
    return figure, axes


def save(path: Path, figure: Figure) -> None:
    """Write a PNG.

    Raises:
        DiskError: the disk is full or read-only; the old file is untouched.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    write_atomic(path, canvas.print_png)  # figure.savefig would draw it twice
