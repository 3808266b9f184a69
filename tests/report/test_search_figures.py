"""The figures of a search are drawn from its trials, in whatever order these come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from svhncli.report.figures.search import draw_search
from svhncli.runs.studies import Importance
from svhncli.runs.sweeps import SweepJob

pytestmark = pytest.mark.engine


def trial(number: int, score: float | None, status: str = "done", **swept: str) -> SweepJob:
    return SweepJob(
        job=number,
        status=status,
        swept=swept,
        metric="val_accuracy",
        score=score,
        best_epoch=1,
        val_loss=None,
        val_accuracy=score,
        test_accuracy=None,
        seconds=1.0,
        run_dir=f"study/trial-{number:03d}",
        reason=None,
    )


TRIALS = [
    trial(0, 0.2, optim="sgd", lr="1e-4", **{"optim.momentum": "0.9"}),
    trial(1, 0.4, optim="adam", lr="0.01", **{"optim.momentum": ""}),
    trial(2, 0.3, optim="sgd", lr="0.001", **{"optim.momentum": "0.5"}),
    trial(3, None, "pruned", optim="adam", lr="0.002", **{"optim.momentum": ""}),
]


def pixels(file: Path) -> bytes:
    with Image.open(file) as image:
        return image.convert("RGB").tobytes()


def test_a_key_that_a_trial_lacks_and_a_trial_that_was_pruned_are_drawn(tmp_path: Path) -> None:
    files = draw_search(
        tmp_path / "plots", TRIALS, "val_accuracy", Importance({"lr": 0.9, "optim": 0.1}, "epoch 2")
    )
    assert [file.name for file in files] == ["history.png", "slices.png", "parallel.png", "importance.png"]


def test_the_history_is_in_the_order_of_the_trials(tmp_path: Path) -> None:
    ranked = sorted(TRIALS, key=lambda job: -(job.score or 0))
    in_order = draw_search(tmp_path / "in_order", TRIALS, "val_accuracy", Importance({}))[0]
    by_rank = draw_search(tmp_path / "by_rank", ranked, "val_accuracy", Importance({}))[0]
    assert pixels(in_order) == pixels(by_rank)
    worse = [replace(TRIALS[1], score=0.1), *TRIALS[:1], *TRIALS[2:]]
    other = draw_search(tmp_path / "other", worse, "val_accuracy", Importance({}))[0]
    assert pixels(other) != pixels(in_order)


def test_of_a_single_finished_trial_nothing_is_drawn(tmp_path: Path) -> None:
    assert draw_search(tmp_path / "plots", TRIALS[:1], "val_accuracy", Importance({})) == []
    assert not (tmp_path / "plots").exists()
