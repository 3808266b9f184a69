"""The charts of the report: ticks and lines."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.report.html.svg import Line, line_chart, reliability_chart, tick_texts, ticks
from svhncli.stats.scores import joined, reliability


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 8))
def test_ticks_are_few_and_span_the_values(low: float, span: float, most: int) -> None:
    high = low + span
    values = ticks(low, high, most)
    room = 1e-6 * max(abs(low), abs(high), span)
    assert values[0] <= low + room
    assert values[-1] >= high - room
    assert 2 <= len(values) <= most + 3


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_every_tick_is_labelled_with_its_own_value(low: float, span: float) -> None:
    values = ticks(low, low + span)
    texts = tick_texts(values)
    assert len({*texts}) == len(values)
    assert [float(text) for text in texts] == pytest.approx(values, rel=0, abs=(values[1] - values[0]) / 50)


def test_tick_labels_are_short() -> None:
    assert tick_texts([0, 0.0001, 0.0002]) == ["0", "0.0001", "0.0002"]
    assert tick_texts([0, 0.5, 1], share=True) == ["0%", "50%", "100%"]
    assert tick_texts([0.9, 0.925, 0.95], share=True) == ["90%", "92.5%", "95%"]


def test_a_line_is_drawn_to_scale() -> None:
    drawn = line_chart([Line("val", [(1, 0.0), (2, 0.25), (5, 1.0)])], "label")
    (points,) = re.findall(r'<polyline[^>]*points="([^"]*)"', drawn)
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in points.split())
    assert (x1 - x0) / (x2 - x0) == pytest.approx(0.25, abs=1e-3)
    assert (y0 - y1) / (y0 - y2) == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_left_out_of_the_chart(value: float) -> None:
    drawn = line_chart([Line("val", [(1, 0.5), (2, value)])], "label")
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_each_point_of_a_reliability_chart_lies_on_its_interval_and_bars_count_the_bins() -> None:
    sure = np.linspace(0.3, 1, 60) ** 0.5
    bins = reliability(sure, np.arange(60) % 4 > 0)
    drawn = reliability_chart(bins, "label")
    dots = re.findall(r'<circle class="dot val" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    lines = re.findall(
        r'<line class="interval" x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', drawn
    )
    assert len(dots) == len(lines) == len(joined(bins))
    for (x, y), (x1, low, x2, high) in zip(dots, lines, strict=True):
        assert x == x1 == x2
        assert float(high) <= float(y) <= float(low)
        assert float(low) - float(high) > 20
    assert drawn.count('class="bar"') == sum(row.count > 0 for row in bins) > len(dots)
