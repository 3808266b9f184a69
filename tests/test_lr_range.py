"""`svhn lr-find`: the suggestion from curves of known form, and schedules that do not fit a run's length."""

from __future__ import annotations

import csv
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from svhncli import cli
from svhncli.lr_range import GROWN, Point, suggest
from svhncli.optim import Constant, Cosine, OneCycle, Plateau, Schedule, Step, Warmup, misfits

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
    """Losses at lr 1e-5, 1e-4.9, ...; smoothed as they are."""
    return [Point(10 ** (-5 + number / 10), loss, loss) for number, loss in enumerate(losses)]


def test_a_tenth_of_where_the_loss_is_lowest_is_suggested() -> None:
    found = suggest(curve([2 + math.tanh(2 - 0.3 * i) + max(0, i - 30) ** 2 / 50 for i in range(45)]))
    assert found.lowest == pytest.approx(10**-2)
    assert found.lr == pytest.approx(10**-3)
    assert found.steepest == pytest.approx(10 ** (-5 + 0.6), rel=0.3)
    assert "1.0e-02" in found.why


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([2.3 - 0.05 * i for i in range(30)], "larger high"),
        ([2.3 + 0.05 * i for i in range(30)], "smaller low"),
        ([2.3] * 15 + [2.3 + 0.1 * i for i in range(15)], "smaller low"),
    ],
    ids=["still falls", "rises at once", "flat, then rises"],
)
def test_a_curve_without_a_valley_suggests_nothing(losses: list[float], says: str) -> None:
    found = suggest(curve(losses))
    assert found.lr is None
    assert says in found.why


def test_a_loss_that_grew_past_the_limit_in_the_last_step_is_a_valley() -> None:
    losses = [2.0 - 0.05 * i for i in range(30)]
    assert suggest(curve([*losses, losses[-1] * GROWN * 1.1])).lr == pytest.approx(10**-3.1)


@pytest.mark.parametrize(
    ("schedule", "epochs", "says"),
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
def test_a_schedule_that_does_not_fit_is_told(schedule: Schedule, epochs: int, says: str | None) -> None:
    told = misfits(schedule, 7, epochs)
    assert len(told) == (says is not None)
    assert all(says in sentence for sentence in told if says)


def test_the_command_writes_the_curve_and_a_second_one_takes_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["lr-find", *TINY, "optim=sgd", "steps=40", "low=1e-4", "high=100", "--json"]
    for _ in range(2):
        assert cli.main(words) == 0
        found = json.loads(capsys.readouterr().out)
    assert found["lr"] == pytest.approx(found["lowest"] / 10)
    assert found["misfits"] == []
    out = folder / found["out"]
    assert {path.name for path in out.iterdir()} == {"curve.png", "curve.csv"}
    Image.open(out / "curve.png").verify()
    with (out / "curve.csv").open(newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert len(rates) == found["steps"]
    assert rates[0] == 1e-4
    assert all(later / before == pytest.approx(1e6 ** (1 / 39)) for before, later in pairwise(rates))


def test_the_table_tells_the_suggestion_and_the_misfit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["lr-find", *TINY, "optim=sgd", "schedule=step", "epochs=5", "high=100"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "suggested lr" in told
    assert "the run has 5: it never falls" in told


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["low=1", "high=0.1"], 2, "low=1 is not below high=0.1"),
        (["steps=3"], 2, "20 or more"),
        (["resume=latest"], 2, "resume"),
        (["--resume"], 2, "neither --resume nor --multirun"),
        (["low=1e38", "high=1e39", "optim=sgd"], 7, "not finite"),
    ],
)
def test_what_cannot_be_done_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    assert cli.main(["lr-find", *TINY, *words]) == code
    assert says in capsys.readouterr().err
    assert not (folder / "outputs" / "lr-find").exists()


def test_a_folder_with_other_things_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    assert cli.main(["lr-find", *TINY, "steps=20", "out=mine"]) == 2
    assert "holds other things" in capsys.readouterr().err
    assert (folder / "mine" / "thesis.txt").read_text() == "years of work"
