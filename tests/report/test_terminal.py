"""The bars of a terminal: what stands beside them, and what gives way where the terminal is narrow."""

import contextlib
import os
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from svhncli.report.terminal import Printer, RunningJob, Show, as_job


def last_bar(width: int, job: RunningJob | None) -> str:
    """The bar of a step halfway through, of a run that has 100 s to go, as a terminal shows it."""
    screen = StringIO()
    show = Show() if job is None else _of(job)
    show.quiet = False
    show.console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    with show.bars():
        show.step("epoch 1/3", 5, 10, left=100)
    drawn = [line for line in screen.getvalue().split("\n") if "epoch 1/3" in line]
    return drawn[-1].split("\x1b[2K")[-1].rstrip()


def _of(job: RunningJob) -> Show:
    with as_job(job):
        return Show()


def test_a_sweep_goes_on_for_the_rest_of_this_job_and_the_mean_of_all_for_every_other() -> None:
    now = time.monotonic()
    third = RunningJob(3, 12, "lr=1e-3", before=(200, 320), began=now - 40)
    assert third.left(40) == pytest.approx(40 + 9 * (200 + 320 + 80) / 3, abs=10)
    first = RunningJob(1, 4, "lr=1e-3", began=now - 40)
    assert first.left(60) == pytest.approx(60 + 3 * 100, abs=10)
    assert RunningJob(4, 4, "lr=1e-3", before=(500,), began=now).left(60) == 60


def test_a_bar_tells_how_long_the_run_or_the_sweep_goes_on() -> None:
    assert last_bar(120, None).endswith("run: at most 1 min 40 s")
    job = RunningJob(1, 1, "data.without=[a.csv,b.csv]")
    bar = last_bar(160, job)
    assert "job 1/1  epoch 1/3" in bar
    assert bar.endswith("sweep: about 1 min 40 s  data.without=[a.csv,b.csv]")


def test_a_narrow_terminal_cuts_the_words_of_the_job_and_nothing_else() -> None:
    job = RunningJob(1, 1, "model.width=64 optim=sgd optim.momentum=0.9")
    bar = last_bar(80, job)
    assert len(bar) <= 80
    assert "job 1/1  epoch 1/3" in bar
    assert "sweep: about 1 min 40 s  " in bar
    assert bar.endswith("…")


def test_names_that_are_not_utf_8_keep_their_bytes_in_the_log(tmp_path: Path) -> None:
    show = Show()
    show.log = tmp_path / "train.log"
    show.note("unread   \udce9.txt")
    assert show.log.read_bytes().endswith(b"\xe9.txt\n")


def test_a_reader_that_went_away_is_an_error_and_not_the_end_of_the_process() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "w", encoding="utf-8")
    with pytest.raises(BrokenPipeError):
        Printer(file=pipe).print("a")
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
