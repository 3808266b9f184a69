"""A matplotlib figure that touches no global state, and its atomic file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svhncli.core.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; without pyplot, so it needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(path: Path, figure: Figure, dpi: int = 110) -> None:
    """Write a PNG.

    Raises:
        DiskError: the disk is full or read-only; the old file is untouched.
    """
    write_atomic(path, lambda file: figure.savefig(file, format="png", dpi=dpi))
