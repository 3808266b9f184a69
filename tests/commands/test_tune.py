"""`svhn tune` end to end: trials, pruning, failures, the verdict, and going on with a study."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from svhncli.cli import main as cli

pytestmark = pytest.mark.e2e

DATA = ["data.n_train=300", "data.n_test=60", "model=linear", "threads=1", "epochs=2"]
TUNE = ["tune", *DATA, "jobs=1", "out=study", "lr=log(1e-4,1e-1)", "optim=adam,sgd"]
TUNE += ["optim.momentum=(0,0.9)"]


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_ends_with_a_verdict_on_images_that_it_never_saw(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*TUNE, "trials=3", "finalists=1", "repeats=2", "pruner=none"]) == 0
    out, err = capsys.readouterr()
    study, result = folder / "study", result_of(folder / "study")
    assert "space    optim.momentum=(0,0.9)  (with optim=muon,rmsprop,sgd)\n" in err
    assert [job["status"] for job in result["trials"]] == ["done"] * 3
    scores = [job["score"] for job in result["trials"]]
    assert scores == sorted(scores, reverse=True)

    verdict = result["verdict"]
    assert verdict["images"] == "the 60 test images"
    assert verdict["seeds"] == [1, 2], "not 0, which the search trained with"
    default, finalist = verdict["retrained"]
    best = result["trials"][0]
    assert (default["trial"], finalist["trial"]) == (None, best["job"])
    assert finalist["searched"] == best["val_accuracy"]
    for row in (default, finalist):
        scored = [
            json.loads((folder / row["run_dir"] / f"seed{seed}/eval/synth-test/results.json").read_text())
            for seed in (1, 2)
        ]
        assert row["judged"] == pytest.approx(np.mean([score["accuracy"] for score in scored]))
    assert finalist["difference"] == pytest.approx(finalist["judged"] - default["judged"])
    assert verdict["optimism"] is not None
    assert " ".join(out.split()).endswith(verdict["says"][-1])
    assert "The search" in verdict["says"][-1]

    capsys.readouterr()
    runs = [row["run_dir"] for row in verdict["retrained"]]
    assert cli.main(["compare", *runs, "part=test", "--json"]) == 0
    (compared,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert compared["difference"] == finalist["difference"], "the verdict is that of svhn compare"

    recipe = yaml.safe_load((study / "experiment" / "best.yaml").read_text())
    chosen = verdict["chosen"] if verdict["chosen"] is not None else best["job"]
    words = dict(word.split("=") for word in (job_words(study, chosen)))
    assert recipe["lr"] == float(words["lr"])
    assert cli.main(["train", "--config-dir", "study", "experiment=best", "--cfg", "job"]) == 0
    again = yaml.safe_load(capsys.readouterr().out)
    trial = yaml.safe_load((study / f"trial-{chosen:03d}" / "config.yaml").read_text())
    for key in ("data", "model", "optim", "lr", "schedule", "reg", "epochs", "batch_size", "split"):
        assert again[key] == trial[key], "the experiment is the trial's config"

    page = (study / "report.html").read_text()
    assert "What the search gained" in page
    assert page.count("<img src=") >= 3
    assert "svhn tune data.n_train=300" in page


def job_words(study: Path, number: int) -> list[str]:
    row = next(row for row in table(study) if row["job"] == str(number))
    return [f"{key}={row[key]}" for key in ("optim", "lr", "optim.momentum") if row[key]]


def test_a_finished_study_gets_more_trials_and_keeps_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*TUNE, "trials=2", "finalists=0", "report=false"]) == 0
    before = {row["job"]: row for row in table(folder / "study")}
    assert len(before) == 2
    assert cli.main(["tune", "--resume", "study", "trials=3"]) == 0
    after = {row["job"]: row for row in table(folder / "study")}
    assert len(after) == 3
    assert {job: after[job] for job in before} == before
    capsys.readouterr()
    assert cli.main(["tune", "--resume", "study", "lr=log(1e-4,1)"]) == 2
    assert "lr: the study in 'study' keeps its space and its config" in capsys.readouterr().err
    assert cli.main(TUNE) == 2
    assert "svhn tune --resume study" in capsys.readouterr().err


def test_trials_that_fail_or_are_pruned_are_recorded_and_end_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", *DATA, "epochs=3", "trials=6", "jobs=1", "out=study", "finalists=0", "report=false"]
    words += ["data.n_train=600", "optim=sgd", "sampler=grid", "lr=0.05,1e30,0.04,1e-9,1e-8,0.03"]
    assert cli.main(words) == 0
    rows = {row["lr"]: row for row in table(folder / "study")}
    assert rows["1e+30"]["status"] == "failed"
    assert "became" in rows["1e+30"]["reason"]
    assert rows["0.05"]["status"] == "done"
    pruned = [row for row in rows.values() if row["status"] == "pruned"]
    assert {row["lr"] for row in pruned} >= {"1e-09"}
    for row in pruned:
        assert row["reason"].startswith("after epoch 1 of 3: val_accuracy 0.")
        history = (folder / row["run_dir"] / "metrics.csv").read_text().splitlines()
        assert len(history) == 2, "one epoch was trained"
    assert "1 failed" in capsys.readouterr().out


def test_three_equal_failures_stop_the_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", *DATA, "trials=6", "jobs=1", "out=study", "finalists=0", "report=false"]
    assert cli.main([*words, "optim=sgd", "sampler=grid", "lr=1e30,1e31,1e32,1e33"]) == 1
    assert "3 trials in a row failed in the same way" in capsys.readouterr().err


def test_folds_are_the_steps_of_a_trial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", *DATA, "epochs=1", "split=kfold", "split.k=2", "trials=2", "jobs=1", "out=study"]
    words += ["finalists=0", "report=false", "optim=sgd", "lr=0.05,0.04", "sampler=grid"]
    assert cli.main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert "2 trials of 2 folds of 1 epochs" in (folder / "study" / "tune.log").read_text()
    for job in result["trials"]:
        run = json.loads((folder / job["run_dir"] / "summary.json").read_text())
        assert job["score"] == pytest.approx(np.mean([fold["best"]["val_accuracy"] for fold in run["folds"]]))


@pytest.mark.fault("SIGKILL of a search", "no trial is lost, none runs twice", "137")
def test_a_killed_search_side_by_side_loses_no_trial_and_runs_none_twice(
    folder: Path, spawn: Callable[..., Any]
) -> None:
    words = ["tune", *DATA, "epochs=3", "trials=3", "jobs=2", "out=study", "finalists=0", "report=false"]
    words += ["pruner=none", "lr=log(1e-4,1e-1)"]
    killed = spawn(*words)
    for line in killed.stderr:
        if line.startswith("trial ") and "done" in line:
            break
    killed.kill()
    killed.communicate(timeout=60)
    assert cli.main(["tune", "--resume", "study", "jobs=1"]) == 0
    rows = table(folder / "study")
    assert [row["status"] for row in rows] == ["done"] * 3
    assert len({row["lr"] for row in rows}) == 3
    assert len(list((folder / "study").glob("trial-*"))) == 3
    for row in rows:
        history = (folder / row["run_dir"] / "metrics.csv").read_text().splitlines()
        assert len(history) == 4, "every epoch once"


def test_a_trial_is_what_its_own_command_trains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", *DATA, "trials=1", "jobs=1", "out=study", "finalists=0", "report=false"]
    assert cli.main([*words, "lr=log(1e-3,1e-1)", "optim=sgd,rmsprop", "reg.dropout=(0,0.5)"]) == 0
    trial = folder / "study" / "trial-000"
    command = json.loads((trial / "env.json").read_text())["command"]
    assert command[:2] == ["svhn", "train"]
    assert cli.main([*command[1:], "threads=1", "out=again"]) == 0
    assert (folder / "again" / "metrics.csv").read_bytes() == (trial / "metrics.csv").read_bytes()
