"""A matplotlib figure that touches no global state, and its atomic file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svhncli.core.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


DPI = 110


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; without pyplot, so it needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save(path: Path, figure: Figure) -> None:
    """Write a PNG.

    Raises:
        DiskError: the disk is full or read-only; the old file is untouched.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    write_atomic(path, canvas.print_png)  # figure.savefig would draw it twice
