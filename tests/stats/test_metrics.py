"""A metric declares which direction is better and how it is shown."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from svhncli.core.errors import UsageError
from svhncli.stats import metrics
from svhncli.stats.metrics import METRICS, VAL_ACCURACY, VAL_LOSS, Metric


def zero(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return 0.0


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


def test_the_built_in_metrics_know_their_direction_and_format() -> None:
    assert list(METRICS) == ["val_accuracy", "val_loss"]
    assert metrics.registered() == ()
    assert VAL_ACCURACY.is_better(0.9, 0.8)
    assert not VAL_ACCURACY.is_better(0.8, 0.8)
    assert VAL_LOSS.is_better(0.8, 0.9)
    assert not VAL_LOSS.is_better(0.8, 0.8)
    assert (VAL_ACCURACY.text(0.95614), VAL_LOSS.text(0.95614)) == ("95.61%", "0.9561")


def test_a_registered_metric_is_a_choice_with_its_own_direction_and_format() -> None:
    regret = Metric("val_regret", higher_is_better=False, format="percent", compute=zero)
    metrics.register(regret)
    assert list(METRICS) == ["val_accuracy", "val_loss", "val_regret"]
    assert metrics.registered() == (regret,)
    assert regret.title == "regret"
    assert metrics.column_text("val_regret", 0.5) == "50.00%"
    assert sorted([0.2, 0.1, 0.3], key=lambda value: metrics.rank("val_regret", value)) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("val_accuracy", "12.50%"),
        ("test_accuracy", "12.50%"),
        ("val_length_accuracy", "12.50%"),
        ("test_loss", "0.1250"),
        ("val_unknown", "0.1250"),
    ],
)
def test_columns_of_every_part_are_shown_by_the_kind_of_their_score(column: str, text: str) -> None:
    assert metrics.column_text(column, 0.125) == text
    assert metrics.is_percent(column) == text.endswith("%")


def test_the_best_value_ranks_first_and_values_of_unknown_direction_rank_equal() -> None:
    values = [0.2, 0.1, 0.3]
    assert sorted(values, key=lambda value: metrics.rank("val_accuracy", value)) == [0.3, 0.2, 0.1]
    assert sorted(values, key=lambda value: metrics.rank("val_loss", value)) == [0.1, 0.2, 0.3]
    assert sorted(values, key=lambda value: metrics.rank("val_unknown", value)) == values


@pytest.mark.parametrize(
    "name", ["recall", "val_", "val_Recall", "val_a b", "val_a,b", "train_loss", "epoch", "val_loss"]
)
def test_a_name_that_could_not_be_a_column_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"cannot be called '{name}'"):
        metrics.register(Metric(name, higher_is_better=True, compute=zero))
    assert list(METRICS) == ["val_accuracy", "val_loss"]


def test_a_metric_that_cannot_be_computed_is_refused() -> None:
    with pytest.raises(UsageError, match="val_recall"):
        metrics.register(Metric("val_recall", higher_is_better=True))


def test_added_metrics_are_those_that_every_row_has() -> None:
    metrics.register(Metric("val_b", higher_is_better=True, format="percent", compute=zero))
    rows = [{"epoch": 1, "val_loss": 1.0, "val_accuracy": 0.5, "val_a": 1.0, "val_b": 0.5} for _ in range(2)]
    assert [(metric.name, metric.format) for metric in metrics.added_metrics(rows)] == [
        ("val_a", "number"),  # of a plugin that is not loaded
        ("val_b", "percent"),
    ]
    del rows[1]["val_a"]
    assert [metric.name for metric in metrics.added_metrics(rows)] == ["val_b"]
    assert metrics.added_metrics([]) == []
