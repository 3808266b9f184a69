"""`svhn learning-curve` end to end: nested subsets, equal numbers of steps, and continuing a curve."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svhncli.cli import main as cli
from svhncli.commands.learning_curve import _expected, _says
from svhncli.report.figures.learning_curve import draw_learning_curve
from svhncli.runs.learning_curve import CurveSize, ExpectedError
from svhncli.stats.intervals import wilson
from svhncli.stats.power_law import PowerLaw

WORDS = ["learning-curve", "data.n_train=600", "data.n_test=60", "epochs=2", "threads=1", "lr=3e-3"]
WORDS += ["model=linear", "sizes=[0.1,0.3,1]", "repeats=2", "jobs=1", "out=curve"]


def split_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "split.json").read_text())


def test_a_curve_is_measured_drawn_and_continued(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*WORDS, "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    counts = [str(size["counts"][-1]) for size in result["sizes"]]
    assert f" training images: {', '.join(counts)}\n" in err
    curve = folder / "curve"
    assert json.loads((curve / "result.json").read_text()) == result
    assert (curve / "learning_curve.png").read_bytes().startswith(b"\x89PNG")

    whole = split_of(curve / "100pct-seed0")
    for seed in range(2):
        splits = [split_of(curve / f"{name}pct-seed{seed}") for name in (10, 30, 100)]
        subsets = [set(split["train"]) for split in splits]
        assert all(smaller < larger for smaller, larger in itertools.pairwise(subsets)), "subsets are nested"
        assert {len(split["train"]) for split in splits} == {len(whole["train"])}, "equal numbers of steps"
        assert all(split["val"] == whole["val"] for split in splits), "the same validation part"
    assert split_of(curve / "10pct-seed0")["train"] != split_of(curve / "10pct-seed1")["train"]

    for fraction, row in zip((0.1, 0.3, 1), result["sizes"], strict=True):
        assert row["n"] == pytest.approx(fraction * len(whole["train"]), abs=6)
        summaries = [
            json.loads((curve / f"{100 * fraction:g}pct-seed{seed}" / "summary.json").read_text())
            for seed in range(2)
        ]
        errors = [1 - summary["best"]["val_accuracy"] for summary in summaries]
        assert row["errors"] == errors
        assert row["error"] == pytest.approx(np.mean(errors))
        assert row["train_error"] == pytest.approx(np.mean([1 - s["train"]["accuracy"] for s in summaries]))
    largest = result["sizes"][-1]["n"]
    assert [point["n"] for point in result["ahead"]] == [largest, 2 * largest, 10 * largest]

    before = (curve / "30pct-seed1" / "last.pt").stat().st_mtime_ns
    assert cli.main([*WORDS, "repeats=3"]) == 0  # finished runs stay; each size gets one more draw
    out = capsys.readouterr().out
    assert "mean of 3" in out
    assert "conclusion" in out
    assert (curve / "30pct-seed1" / "last.pt").stat().st_mtime_ns == before
    assert cli.main([*WORDS, "lr=1e-3"]) == 2
    assert "holds another curve: lr was 0.003, not 0.001" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["sizes=[0.5,1]"], 2, "a curve needs 3 or more"),
        (["sizes=[0.5,0.8,2]"], 2, "at most 1"),
        (["sizes=[0.001,0.0011,1]"], 3, "cannot be cut at"),
    ],
)
def test_sizes_that_make_no_curve_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert cli.main([*WORDS, *words]) == code
    assert message in capsys.readouterr().err


def size(error: float, train_error: float) -> CurveSize:
    return CurveSize(1.0, 1000, [1000], [error], error, None, None, train_error)


def test_an_interval_covers_the_chance_in_the_validation_images_too() -> None:
    alone = wilson(2, 24)
    point = _expected(48, 2 / 24, 2 / 24, 2 / 24, 24)
    assert (point.low, point.high) == pytest.approx((alone.low, alone.high))
    both = _expected(48, 0.2, 0.1, 0.3, 1000)
    assert both.low < 0.1
    assert both.high > 0.3
    assert _expected(48, 0.2, 0.1, 0.3, 10**9).high == pytest.approx(0.3, abs=1e-4)


def expected(now: float, twice: float, spread: float = 0) -> list[ExpectedError]:
    sizes = ((1000, now), (2000, twice), (10_000, twice))
    return [ExpectedError(n, error, error - spread, error + spread) for n, error in sizes]


@pytest.mark.parametrize(
    ("last", "ahead", "phrases"),
    [
        (size(0.1, 0.0), expected(0.1, 0.07), ["more data would help", "lacks data, not capacity"]),
        (size(0.1, 0.08), expected(0.1, 0.098), ["hardly help", "a larger model"]),
        (size(0.1, 0.08), expected(0.1, 0.05), ["more data would help", "a larger model"]),
        (size(0.1, 0.0), expected(0.1, 0.099), ["hardly help", "more regularization"]),
        (size(0.53, 0.1), expected(0.53, 0.486, 0.08), ["cannot tell", "2,000 instead of 1,000", "capacity"]),
        (size(0.81, 0.8), expected(0.81, 0.805, 0.03), ["hardly learned anything", "more epochs"]),
        (size(0.53, 0.4), expected(0.53, 0.3, 0.02), ["would help", "a larger model"]),
        (size(0.53, 0.1), expected(0.53, 0.52, 0.02), ["hardly help"]),
        (size(0.17, 0.01), expected(0.11, 0.06, 0.02), ["cannot tell", "11.00% by the curve, 17.00% as"]),
    ],
)
def test_the_curve_and_the_training_error_decide_between_more_data_and_a_larger_model(
    last: CurveSize, ahead: list[ExpectedError], phrases: list[str]
) -> None:
    advice = " ".join(_says(last, ahead, None))
    assert all(phrase in advice for phrase in phrases), advice


def test_an_interval_that_ends_at_no_error_is_drawn(tmp_path: Path) -> None:
    law = PowerLaw(0.0, 3.0, 0.5)
    draw_learning_curve(tmp_path / "curve.png", [size(0.1, 0.0)], law, expected(0.1, 0.1, 0.1))
    assert (tmp_path / "curve.png").is_file()
