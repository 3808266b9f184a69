"""`svhn lr-find`: the suggestion from curves of known shape, and schedules that do not fit the run."""

from __future__ import annotations

import csv
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from svhncli.cli import main as cli
from svhncli.core.rng import numpy_generator
from svhncli.engine.lr_range import Point, suggest
from svhncli.engine.schedules import Constant, Cosine, OneCycle, Plateau, Schedule, Step, Warmup, misfits

TINY = [
    "data=tiny",
    "data.n_train=200",
    "data.n_test=0",
    "model=linear",
    "reg=none",
    "threads=1",
    "device=cpu",
]


def curve(losses: list[float]) -> list[Point]:
    """Losses at lr 1e-6, 1e-5.97, ..., as in a range test of 200 steps."""
    return [Point(10 ** (-6 + number * 7 / 199), loss) for number, loss in enumerate(losses)]


def valley(lr: float) -> list[float]:
    """A loss that falls from 2.3 to 0.7 around an lr, and rises far beyond it."""
    rates = [point.lr for point in curve([0.0] * 200)]
    drops = [1 / (1 + (lr / rate) ** 2) for rate in rates]
    return [
        2.3 - 1.6 * drop + 3 * max(0.0, math.log10(rate / lr) - 2)
        for drop, rate in zip(drops, rates, strict=True)
    ]


@pytest.mark.parametrize("lr", [1e-4, 3e-3, 0.02])
def test_the_suggested_lr_is_where_the_loss_has_fallen_halfway(lr: float) -> None:
    suggestion = suggest(curve(valley(lr)))
    assert suggestion.lr == pytest.approx(lr, rel=0.1)
    assert suggestion.lowest > 10 * lr
    assert "from 2.30 to 0.7" in suggestion.why


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000))
def test_noise_in_the_losses_hardly_changes_the_suggested_lr(seed: int) -> None:
    noise = numpy_generator(seed, "noise").normal(0, 0.2, 200)
    suggestion = suggest(
        curve([loss + offset for loss, offset in zip(valley(3e-3), noise.tolist(), strict=True)])
    )
    assert suggestion.lr is not None
    assert 1.5e-3 < suggestion.lr < 6e-3


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([2.3 - 0.01 * i for i in range(200)], "larger high"),
        ([2.3 + 0.05 * i for i in range(100)], "smaller low"),
        ([2.3] * 150 + [2.3 + 0.1 * i for i in range(50)], "smaller low"),
        (
            [1.1 - 0.004 * min(i, 50 - i) + 0.1 * (-1) ** i for i in range(50)],
            "single batches differ by 0.10",
        ),
    ],
    ids=["still falls", "rises at once", "flat, then rises", "falls less than batches differ"],
)
def test_a_curve_without_a_valley_suggests_nothing(losses: list[float], message: str) -> None:
    suggestion = suggest(curve(losses))
    assert suggestion.lr is None
    assert message in suggestion.why


@pytest.mark.parametrize(
    ("schedule", "epochs", "message"),
    [
        (Constant(), 20, None),
        (Cosine(), 20, None),
        (Cosine(), 1, None),
        (OneCycle(), 20, None),
        (Step(8, 0.1, 7), 20, None),
        (Step(1, 0.1, 7, at=(12, 16)), 20, None),
        (Plateau(patience=3), 20, None),
        (Warmup(Cosine(), 2 * 7), 20, None),
        (Warmup(Cosine(), 20 * 7), 20, "warm-up takes 20 epochs of 20"),
        (Step(30, 0.1, 7), 20, "after epoch 30, and the run has 20: it never falls"),
        (Warmup(Step(20, 0.1, 7), 7), 20, "it never falls"),
        (Step(1, 0.1, 7, at=(12, 80)), 20, "after epoch 80, and the run has 20: these never come"),
        (Step(1, 0.1, 7), 20, "in 16 of 20 epochs lr is below a thousandth"),
        (Plateau(patience=10), 12, "cannot fall in time"),
    ],
)
def test_a_schedule_that_does_not_fit_the_run_is_reported(
    schedule: Schedule, epochs: int, message: str | None
) -> None:
    warnings = misfits(schedule, 7, epochs)
    assert len(warnings) == (message is not None)
    assert all(message in warning for warning in warnings if message)


@pytest.mark.engine
def test_the_command_writes_the_curve_and_replaces_that_of_an_earlier_call(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["lr-find", *TINY, "optim=sgd", "steps=100", "low=1e-4", "high=100", "--json"]
    for _ in range(2):
        assert cli.main(args) == 0
        result = json.loads(capsys.readouterr().out)
    assert 1e-4 < result["lr"] < result["lowest"]
    assert result["misfits"] == []
    out = folder / result["out"]
    assert {path.name for path in out.iterdir()} == {"curve.png", "curve.csv"}
    Image.open(out / "curve.png").verify()
    with (out / "curve.csv").open(newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert len(rates) == result["steps"]
    assert rates[0] == 1e-4
    assert all(later / before == pytest.approx(1e6 ** (1 / 99)) for before, later in pairwise(rates))


@pytest.mark.engine
def test_the_table_has_the_suggestion_and_the_misfit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["lr-find", *TINY, "optim=sgd", "schedule=step", "epochs=5", "high=100"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "suggested lr" in output
    assert "the run has 5: it never falls" in output


@pytest.mark.engine
@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["low=1", "high=0.1"], 2, "low=1 is not below high=0.1"),
        (["steps=3"], 2, "20 or more"),
        (["resume=latest"], 2, "resume"),
        (["--resume"], 2, "neither --resume nor --multirun"),
        (["low=1e38", "high=1e39", "optim=sgd"], 7, "not finite"),
    ],
)
def test_invalid_settings_are_refused_with_the_reason(
    folder: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, message: str
) -> None:
    assert cli.main(["lr-find", *TINY, *args]) == code
    assert message in capsys.readouterr().err
    assert not (folder / "outputs" / "lr-find").exists()


@pytest.mark.engine
def test_a_folder_with_other_files_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    assert cli.main(["lr-find", *TINY, "steps=20", "out=mine"]) == 2
    assert "contains other files" in capsys.readouterr().err
    assert (folder / "mine" / "thesis.txt").read_text() == "years of work"
