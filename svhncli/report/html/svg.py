"""Charts as inline SVG: sharp at any size, colored by the page's own variables, so light, dark and in print.

Every text passes through `escape`. Series are told apart by dashes as well as by color.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from svhncli.stats.scores import Bin, joined

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 50, 18, 10, 32
"""Room in pixels around a chart for the texts of its axes."""


@dataclass(frozen=True)
class Line:
    """kind: a class of the page's style (`train`, `val`, `lr`). points: x and y, by rising x."""

    kind: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Dot:
    """A value in a row of a strip chart, and its tooltip."""

    row: str
    value: float
    tooltip: str


def line_chart(
    lines: Sequence[Line], label: str, share: bool = False, zero: bool = False, mark: float | None = None
) -> Markup:
    """Lines over epochs; empty if no value is finite.

    label: the text for screen readers. share: values are fractions, shown as percentages.
    zero: the axis starts at 0. mark: an epoch to mark.
    """
    drawn = [point for line in lines for point in line.points if math.isfinite(point[1])]
    if not drawn:
        return Markup("")
    first, last = min(x for x, _ in drawn), max(x for x, _ in drawn)
    steps = ticks(0 if zero else min(y for _, y in drawn), max(y for _, y in drawn))
    ends = (first, last) if first < last else (first - 1, last + 1)
    x, y = _scale(*ends, LEFT, WIDTH - RIGHT), _scale(steps[0], steps[-1], HEIGHT - BOTTOM, TOP)
    parts = [_grid(y, steps, tick_texts(steps, share))]
    epochs = [tick for tick in ticks(*ends, 6) if tick == int(tick) and first <= tick <= last]
    parts += [_text(x(epoch), HEIGHT - BOTTOM + 14, f"{epoch:g}", "middle") for epoch in epochs]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, "epoch", "middle"))
    if mark is not None and first <= mark <= last:
        parts.append(_stroke("mark", x(mark), TOP, x(mark), HEIGHT - BOTTOM))
    for line in lines:
        finite = [(x(a), y(b)) for a, b in line.points if math.isfinite(b)]
        parts.append(_polyline(line.kind, finite))
        if len(finite) <= 12 and len(lines) <= 2:
            parts += [_circle(line.kind, a, b, 2.5) for a, b in finite]
    return _svg(HEIGHT, label, parts)


def reliability_chart(bins: Sequence[Bin], label: str) -> Markup:
    """Accuracy over confidence, as `joined`; below it how many predictions each bin has, on a log scale."""
    height, middle = 330, 240
    x, y = _scale(0, 1, LEFT, WIDTH - RIGHT), _scale(0, 1, middle, TOP)
    steps = [0, 0.25, 0.5, 0.75, 1]
    parts = [_grid(y, steps, tick_texts(steps, share=True)), _stroke("mark", x(0), y(0), x(1), y(1))]
    points = joined(bins)
    for point in points:
        text = (
            f"{point.accuracy:.1%} correct of {point.count:,} predictions with a confidence of "
            f"{point.confidence:.1%}"
        )
        across, interval = x(point.confidence), point.interval
        parts.append(_stroke("interval", across, y(interval.low), across, y(interval.high)))
        parts.append(_circle("val", across, y(point.accuracy), 3, text))
    parts.append(_polyline("val", [(x(point.confidence), y(point.accuracy)) for point in points]))
    floor, most = height - BOTTOM, max(row.count for row in bins)
    tall = _scale(0, math.log10(most + 1), floor, middle + 14)
    for row in (row for row in bins if row.count):
        left, right, top = x(row.low) + 0.5, x(row.high) - 0.5, tall(math.log10(row.count + 1))
        parts.append(
            Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                left, top, right - left, floor - top
            )
        )
    parts.append(_text(LEFT - 6, middle + 22, f"{most:,}", "end"))
    marks = zip(steps, tick_texts(steps, share=True), strict=True)
    parts += [_text(x(step), floor + 14, text, "middle") for step, text in marks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 3, "confidence", "middle"))
    return _svg(height, label, parts)


def strip_chart(dots: Sequence[Dot], label: str, share: bool) -> Markup:
    """One row per value of a key, with a dot for each job and a bar at the mean."""
    rows = list(dict.fromkeys(dot.row for dot in dots))
    line, left = 26, min(150, 14 + 7 * max(len(row) for row in rows))
    height = TOP + line * len(rows) + BOTTOM
    steps = ticks(min(dot.value for dot in dots), max(dot.value for dot in dots), 4)
    x = _scale(steps[0], steps[-1], left, WIDTH - RIGHT - 14)
    parts = []
    for step, text in zip(steps, tick_texts(steps, share), strict=True):
        parts.append(_stroke("grid", x(step), TOP, x(step), height - BOTTOM))
        parts.append(_text(x(step), height - BOTTOM + 14, text, "middle"))
    for number, row in enumerate(rows):
        middle = TOP + line * (number + 0.5)
        shown = row if len(row) <= 20 else f"{row[:19]}…"
        parts.append(_text(left - 8, middle + 4, shown, "end"))
        values = [dot for dot in dots if dot.row == row]
        mean = x(sum(dot.value for dot in values) / len(values))
        parts.append(_stroke("mean", mean, middle - 8, mean, middle + 8))
        parts += [_circle("val", x(dot.value), middle, 4, dot.tooltip) for dot in values]
    return _svg(height, label, parts)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` or a little below to `high` or a little above, `most` + 2 of them at most."""
    if high <= low:
        room = abs(low) / 10 or 1.0
        low, high = low - room, high + room
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def tick_texts(values: Sequence[float], share: bool = False) -> list[str]:
    """Texts of an axis, as short as they can be. values: two or more, evenly spaced."""
    factor, sign = (100, "%") if share else (1, "")
    scaled = [factor * value for value in values]
    room = (scaled[1] - scaled[0]) / 100
    for digits in range(1, 17):
        texts = [f"{value:.{digits}g}" for value in scaled]
        if all(abs(float(text) - value) <= room for text, value in zip(texts, scaled, strict=True)):
            break
    return [f"{float(text):.{max(6, digits)}g}{sign}" for text in texts]


# ----------------------------------------------------------------------------- pieces


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _grid(y: Callable[[float], float], steps: Sequence[float], texts: Sequence[str]) -> Markup:
    parts = []
    for step, text in zip(steps, texts, strict=True):
        parts.append(_stroke("grid", LEFT, y(step), WIDTH - RIGHT, y(step)))
        parts.append(_text(LEFT - 6, y(step) + 4, text, "end"))
    return Markup("").join(parts)


def _svg(height: float, label: str, parts: Iterable[Markup]) -> Markup:
    return Markup('<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, label, Markup("").join(parts)
    )


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    form = '<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
    return Markup(form).format(kind, x1, y1, x2, y2)


def _polyline(kind: str, points: Iterable[tuple[float, float]]) -> Markup:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="line {}" points="{}"/>').format(kind, path)


def _circle(kind: str, x: float, y: float, radius: float, tooltip: str = "") -> Markup:
    title = Markup("<title>{}</title>").format(tooltip) if tooltip else Markup("")
    form = '<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="{}">{}</circle>'
    return Markup(form).format(escape(kind), x, y, radius, title)
