"""A study hands every trial out once, whoever asks, and gives back what a killed process left behind.

No trial is trained here: what a process does is written into the trial's folder by the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from svhncli.cli import hydra_app
from svhncli.config.space import Dimension, Space
from svhncli.config.verbs.tuning import TuneConfig
from svhncli.core.errors import DiskError, SvhnError, UsageError
from svhncli.runs.environment import Status
from svhncli.training.search import recorded
from svhncli.training.search.study import DEATHS, Study, Trial

pytestmark = pytest.mark.engine

LR = Dimension("lr", "log(1e-4,1e-2)", low=1e-4, high=1e-2, log=True)
OPTIM = Dimension("optim", "adam,sgd", ("adam", "sgd"))
MOMENTUM = Dimension("optim.momentum", "(0,0.9)", low=0, high=0.9, owners=frozenset({"sgd"}))
SPACE = Space.of([LR, OPTIM, MOMENTUM], {"optim": "adam"})


def config(*words: str) -> TuneConfig:
    made = hydra_app.composed("tune", [], ["lr=1", "epochs=4", *words])
    assert isinstance(made, TuneConfig)
    return made


@pytest.fixture
def study(folder: Path) -> Any:
    """Opens the study in this folder as one more process would."""
    settings: dict[str, TuneConfig] = {}

    def opened(*words: str, space: Space = SPACE, folds: int = 1) -> Study:
        key = " ".join(words)
        if key not in settings:
            settings[key] = config(*words)
        return Study(folder, "a-study", settings[key], space, folds)

    return opened


def finish(study: Study, trial: Trial, score: float = 0.5) -> None:
    study.complete(trial, score, seconds=1.0)
    trial.held.close()


def train_epochs(trial: Trial, count: int, status: str = "running") -> None:
    """What `count` epochs leave in a trial's folder."""
    (trial.record.path / "metrics.csv").write_text("epoch\n" + "1\n" * count)
    trial.record.write_status(Status.now(status))


def test_two_processes_share_the_trials_out(study: Any) -> None:
    one, other = study("trials=3"), study("trials=3")
    first, second, third = one.begin(), other.begin(), one.begin()
    assert [trial.number for trial in (first, second, third)] == [0, 1, 2]
    assert other.begin() is None, "all are being run"
    for trial in (first, second, third):
        finish(one, trial)
    assert other.begin() is None
    assert {row.number for row in other.lines()} == {0, 1, 2}


def test_a_trial_that_was_left_behind_goes_on_with_its_values(study: Any) -> None:
    left = study("trials=2").begin()
    assert left is not None
    left.held.close()  # its process was killed: the lock is gone, the storage says that it runs
    again = study("trials=2").begin()
    assert (again.number, again.drawn) == (0, left.drawn)
    assert study("trials=2").begin().number == 1, "one that another process runs is not taken from it"


def test_a_trial_that_ends_while_another_process_looks_for_one_is_not_taken_for_left_behind(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = study("trials=2"), study("trials=2")
    trial = one.begin()
    seen = other.study.get_trials()  # still running
    finish(one, trial)
    monkeypatch.setattr(other, "trials", lambda: seen)
    assert other.begin().number == 1
    assert one.trials()[0].user_attrs["starts"] == [0]


def test_a_storage_that_is_removed_under_a_study_is_named(study: Any, folder: Path) -> None:
    opened = study("trials=2")
    trial = opened.begin()
    (folder / "study.db").unlink()
    with pytest.raises(DiskError, match=r"^storage=sqlite failed: "), recorded.in_use("sqlite"):
        finish(opened, trial)


def test_a_search_that_was_interrupted_draws_what_it_would_have_drawn(study: Any, tmp_path: Path) -> None:
    whole = study("trials=6")
    undisturbed = []
    while (trial := whole.begin()) is not None:
        undisturbed.append(trial.drawn)
        finish(whole, trial)
    other = tmp_path / "other"
    other.mkdir()
    drawn, settings = [], config("trials=6")
    for _ in range(6):
        process = Study(other, "other", settings, SPACE, 1)
        trial = process.begin()
        assert trial is not None
        drawn.append(trial.drawn)
        finish(process, trial)
    assert drawn == undisturbed
    assert len({str(values) for values in drawn}) == 6


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 12), ("cmaes", 4), ("qmc", 4)])
def test_every_sampler_goes_on_in_another_process(study: Any, sampler: str, trials: int) -> None:
    """The first ten trials of TPE are random."""
    words = (f"trials={trials}", f"sampler={sampler}")
    drawn = []
    for number in range(trials):
        process = study(*words)
        trial = process.begin()
        drawn.append(str(trial.drawn))
        finish(process, trial, score=number / trials)
    assert study(*words).begin() is None
    assert len({*drawn}) == trials


def test_a_grid_has_every_point_once_and_no_more(study: Any) -> None:
    space = Space.of([OPTIM, Dimension("batch_size", "16,32", (16, 32))], {"optim": "adam"})
    words = ("sampler=grid", "trials=100")
    drawn = []
    while (trial := study(*words, space=space).begin()) is not None:
        drawn.append((trial.drawn["optim"], trial.drawn["batch_size"]))
        finish(study(*words, space=space), trial)
    assert sorted(drawn) == [("adam", 16), ("adam", 32), ("sgd", 16), ("sgd", 32)]


def test_a_trial_whose_process_dies_again_and_again_has_failed(study: Any) -> None:
    for _ in range(DEATHS):
        trial = study("trials=2").begin()
        assert trial.number == 0
        train_epochs(trial, 1)
        trial.held.close()
    trial = study("trials=2").begin()
    assert trial.number == 0, "it had got one epoch further the first time"
    trial.held.close()
    assert study("trials=2").begin().number == 1
    line = study("trials=2").lines()[0]
    assert line.status == "failed"
    assert f"its process ended {DEATHS} times" in line.reason


def test_a_trial_that_was_interrupted_in_good_order_never_fails_for_it(study: Any) -> None:
    for _ in range(2 * DEATHS):
        trial = study("trials=1").begin()
        train_epochs(trial, 1, status="interrupted")
        trial.held.close()
    assert study("trials=1").begin().number == 0


def test_three_equal_failures_in_a_row_stop_the_study(study: Any) -> None:
    process = study("trials=9")
    for number, reason in enumerate(["loss 1.5 is bad", "loss 2.5 is bad", "loss 3.5e+9 is bad"]):
        trial = process.begin()
        assert trial.number == number
        process.fail(trial, reason)
        trial.held.close()
    with pytest.raises(SvhnError, match="3 trials in a row failed in the same way: loss") as caught:
        process.begin()
    assert "trial-002/train.log" in caught.value.hint
    assert study("trials=9").begin() is not None, "whoever resumes it has mended the reason"


def test_failures_of_several_kinds_do_not_stop_it(study: Any) -> None:
    process = study("trials=9")
    for reason in ("a", "b", "a", "b"):
        trial = process.begin()
        process.fail(trial, reason)
        trial.held.close()
    assert process.begin() is not None


def test_no_trial_begins_that_could_exceed_the_epochs(study: Any) -> None:
    process = study("trials=9", "max_epochs=10")  # of 4 epochs each
    first = process.begin()
    second = process.begin()
    assert process.begin() is None, "two may take 8, a third 12"
    train_epochs(first, 1)
    process.prune(first, "hopeless")
    first.held.close()
    train_epochs(second, 4)
    finish(process, second)
    third = process.begin()
    assert third is not None, "5 are spent"
    assert process.begin() is None


def test_no_trial_begins_when_the_time_is_up(study: Any) -> None:
    assert study("max_minutes=1e-9").begin() is None
    assert study("max_minutes=60").begin() is not None


def test_a_journal_holds_a_study_as_well(study: Any, folder: Path) -> None:
    trial = study("storage=journal", "trials=2").begin()
    trial.held.close()
    assert study("storage=journal", "trials=2").begin().drawn == trial.drawn
    assert (folder / "journal.log").is_file()
    assert not (folder / "study.db").exists()


def test_a_password_is_never_shown() -> None:
    url = "postgresql://ann:se:cret@host:5432/studies"
    assert recorded.shown(url) == "postgresql://ann@host:5432/studies"
    assert recorded.shown("sqlite") == "sqlite"
    with pytest.raises(UsageError) as caught:
        recorded.open_storage("sqlite:////nowhere/at/all.db?password=x", Path())
    assert "cannot be used" in caught.value.message


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "NEEDED", {"optuna_that_is_missing": "optuna"})
    with pytest.raises(UsageError, match="svhn tune needs optuna") as caught:
        recorded.require_packages()
    assert caught.value.hint == 'pip install "svhncli[tune]"'
