"""The board of a search prints every trial once, when it has ended, and marks the best so far."""

from __future__ import annotations

from dataclasses import replace

import pytest

from svhncli.report.study_board import StudyBoard, TrialLine
from svhncli.report.terminal import Show

RUNNING = TrialLine(0, "lr=0.1", "running", 0.5, 2, 3.0)
DONE = replace(RUNNING, number=1, status="done", score=0.9, epoch=4)


def test_a_trial_is_printed_once_when_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with StudyBoard(Show(), "val_accuracy", 3, 4) as board:
        assert board.update([]) == 0
        assert board.update([RUNNING]) == 0
        pruned = replace(RUNNING, status="pruned")
        assert board.update([pruned, DONE]) == 2
        assert board.update([pruned, DONE]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "trial   0  pruned  50.00%  3.0 s after epoch 2  lr=0.1",
        "trial   1  done    90.00%* 3.0 s  lr=0.1",
    ]


def test_what_had_ended_before_is_not_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    with StudyBoard(Show(), "val_accuracy", 3, 4) as board:
        board.update([DONE])
        worse = replace(DONE, number=2, score=0.8)
        failed = replace(DONE, number=3, status="failed", score=None, reason="out of memory")
        board.update([DONE, worse, failed])
    assert capsys.readouterr().err.splitlines() == [
        "trial   2  done    80.00%  3.0 s  lr=0.1",
        "trial   3  failed  lr=0.1: out of memory",
    ]


def test_of_a_loss_the_smallest_is_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    with StudyBoard(Show(), "val_loss", 3, 4) as board:
        board.update([])
        board.update([DONE, replace(DONE, number=2, score=0.8)])
    assert [("*" in line) for line in capsys.readouterr().err.splitlines()] == [False, True]
