"""The figures of a search: its history, each key by itself, all keys together, and which of them mattered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svhncli.report.figures.canvas import new_figure, save
from svhncli.runs.studies import Importance
from svhncli.runs.sweeps import SweepJob
from svhncli.stats.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
"""The box behind a value that is written over lines."""
COLUMNS = 3
"""Panels side by side."""
DECADES = 30
"""A key whose largest value is so many times the smallest is drawn on a logarithmic axis."""


def draw_search(folder: Path, jobs: Sequence[SweepJob], metric: str, importance: Importance) -> list[Path]:
    """Draw history, slices, parallel and importance.png, those that there are enough trials for."""
    done = [job for job in jobs if job.is_done and job.score is not None]
    if len(done) < 2:
        return []
    folder.mkdir(exist_ok=True)
    keys = [key for key in done[0].swept if len({job.swept[key] for job in done} - {""}) > 1]
    files = [_history(folder / "history.png", jobs, metric)]
    if keys:
        files += [_slices(folder / "slices.png", done, keys, metric)]
        files += [_parallel(folder / "parallel.png", done, keys, metric)]
    if importance.shares:
        files += [_importance(folder / "importance.png", importance)]
    return files


def _score(axes: Axes, metric: str) -> None:
    axes.set_ylabel(METRICS[metric].title if metric in METRICS else metric)
    axes.grid(alpha=0.3)


def _history(file: Path, jobs: Sequence[SweepJob], metric: str) -> Path:
    """Every trial's score, the best so far, and which trials were stopped early or failed."""
    figure = new_figure(8, 4)
    axes = figure.subplots()
    done = sorted((job.job, job.score) for job in jobs if job.is_done and job.score is not None)
    numbers, scores = np.array([n for n, _ in done]), np.array([s for _, s in done])
    higher = metric not in METRICS or METRICS[metric].higher_is_better
    best = np.maximum.accumulate(scores) if higher else np.minimum.accumulate(scores)
    axes.scatter(numbers, scores, 22, color="tab:blue", label="trial")
    axes.step(numbers, best, where="post", color="tab:orange", label="best so far")
    low = min(scores)
    for status, mark in (("pruned", "x"), ("failed", "1")):
        ended = [job.job for job in jobs if job.status == status]
        if ended:
            axes.scatter(ended, [low] * len(ended), 30, marker=mark, color="gray", label=status)
    axes.set_xlabel("trial")
    _score(axes, metric)
    axes.legend(frameon=False)
    save(file, figure)
    return file


def _slices(file: Path, jobs: Sequence[SweepJob], keys: Sequence[str], metric: str) -> Path:
    """The score against each key."""
    rows = -(-len(keys) // COLUMNS)
    columns = min(COLUMNS, len(keys))
    figure = new_figure(3.6 * columns, 2.8 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for key, axes in zip(keys, panels, strict=False):
        has = [job for job in jobs if job.swept[key] != ""]
        places = _places([job.swept[key] for job in has], axes, along="x")
        axes.scatter(places, [job.score for job in has], 18, [job.job for job in has], cmap="viridis")
        axes.set_xlabel(key)
        _score(axes, metric)
        axes.label_outer(remove_inner_ticks=False)
        axes.tick_params("x", labelbottom=True)
    for axes in list(panels):
        axes.set_visible(False)
    save(file, figure)
    return file


def _places(texts: Sequence[str], axes: Axes, along: str) -> list[float]:
    """Where values are drawn on an axis: numbers by their size, words side by side."""
    axis = axes.xaxis if along == "x" else axes.yaxis
    numbers = [_number(text) for text in texts]
    if any(number is None for number in numbers):
        words = sorted({*texts})
        axis.set_ticks(range(len(words)), words)
        return [float(words.index(text)) for text in texts]
    values = [number for number in numbers if number is not None]
    if min(values) > 0 and max(values) > DECADES * min(values):
        getattr(axes, f"set_{along}scale")("log")
    return values


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _parallel(file: Path, jobs: Sequence[SweepJob], keys: Sequence[str], metric: str) -> Path:
    """A line for each trial through its values of all keys to its score; the best are the darkest."""
    figure = new_figure(max(6.0, 1.6 * (len(keys) + 1)), 4.2)
    axes = figure.subplots()
    columns = [list(_relative([job.swept[key] for job in jobs])) for key in keys]
    scores = np.array([job.score for job in jobs], float)
    spread = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-12)
    higher = metric not in METRICS or METRICS[metric].higher_is_better
    quality = np.argsort(np.argsort(spread if higher else -spread)) / max(1, len(scores) - 1)
    for row in np.argsort(quality):
        heights = [column[row] for column in columns] + [spread[row]]
        axes.plot(heights, color=_shade(float(quality[row])), linewidth=1.0 + float(quality[row]))
    axes.set_xticks(
        range(len(keys) + 1), [*(key.replace(".", ".\n") for key in keys), metric.replace("_", "\n")]
    )
    axes.set_yticks([])
    for place, key in enumerate([*keys, metric]):
        axes.axvline(place, color="gray", linewidth=0.8)
        texts = (
            [job.swept[key] for job in jobs if job.swept[key]]
            if key in keys
            else [f"{s:.4g}" for s in scores]
        )
        for text, height in sorted(
            {*zip(texts, _relative(texts), strict=True)}, key=lambda pair: pair[1] or 0
        ):
            if height in (0.0, 1.0) or _number(text) is None:
                axes.annotate(
                    text, (place, height or 0), fontsize=7, xytext=(3, 1), textcoords="offset points"
                )
    axes.set_xlim(-0.1, len(keys) + 0.5)
    save(file, figure)
    return file


def _shade(quality: float) -> tuple[float, float, float]:
    """From light gray, the worst, to dark blue."""
    return 0.85 * (1 - quality), 0.85 - 0.5 * quality, 0.87 - 0.25 * quality


def _relative(texts: Sequence[str]) -> Iterator[float]:
    """Values as heights from 0 to 1, on the scale that `_places` would take; NaN where there is none."""
    numbers = [_number(text) for text in texts if text]
    if any(number is None for number in numbers):
        words = sorted({*texts} - {""})
        scale = {word: i / max(1, len(words) - 1) for i, word in enumerate(words)}
        yield from (scale.get(text, float("nan")) for text in texts)
        return
    values = np.array([float(text) if text else np.nan for text in texts])
    if np.nanmin(values) > 0 and np.nanmax(values) > DECADES * np.nanmin(values):
        values = np.log(values)
    low, high = np.nanmin(values), np.nanmax(values)
    yield from ((value - low) / (high - low) if high > low else 0.5 for value in values)


def _importance(file: Path, importance: Importance) -> Path:
    """The share of the score's variance that each key explains."""
    ordered = sorted(importance.shares.items(), key=lambda pair: pair[1])
    figure = new_figure(7, 0.8 + 0.4 * len(ordered))
    axes = figure.subplots()
    bars = axes.barh([key for key, _ in ordered], [share for _, share in ordered], color="tab:blue")
    axes.bar_label(bars, [f"{share:.0%}" for _, share in ordered], padding=3)
    axes.set_xlim(0, 1.1 * max(share for _, share in ordered))
    axes.set_xlabel(f"share {importance.meaning} (fANOVA)")
    axes.grid(axis="x", alpha=0.3)
    save(file, figure)
    return file
