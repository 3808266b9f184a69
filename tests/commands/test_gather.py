"""`svhn gather`: folds and seeds trained as jobs of a sweep become the run that trains all of them itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import unrecorded

from svhncli.cli import main as cli
from svhncli.runs.locate import checkpoint_files

SMALL = ["data.n_train=400", "data.n_test=60", "epochs=2", "threads=1", "device=cpu", "model=linear"]
SMALL += ["watch=0", "report=false"]
FOLDS = [*SMALL, "split=kfold", "split.k=3"]
TIMES = {"seconds", "images_per_second", "run_dir", "report", "next"}


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(field) for name, field in value.items() if name not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def summary_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of three folds, one job per fold."""
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    words = ["train", "-m", *FOLDS, "split.fold=0,1,2", f"hydra.sweep.dir={folder}"]
    assert cli.main(words) == 0
    return folder


@pytest.fixture
def sweep(swept: Path, folder: Path) -> Path:
    """A copy of the sweep in the current folder."""
    return Path(shutil.copytree(swept, folder / "sweep"))


def test_gathered_folds_equal_the_run_that_trains_all_of_them(sweep: Path, folder: Path) -> None:
    assert cli.main(["train", "hydra.run.dir=whole", *FOLDS, "jobs=1"]) == 0
    assert cli.main(["gather", "sweep", "out=run"]) == 0
    run, whole = folder / "run", folder / "whole"
    assert without_times(summary_of(run)) == without_times(summary_of(whole))
    for name in ("oof_predictions.csv", "fold1/metrics.csv", "fold2/val_predictions.csv", "fold0/split.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert (run / "report.html").is_file()
    assert [fold["run_dir"] for fold in summary_of(run)["folds"]] == [f"run/fold{i}" for i in range(3)]


def test_a_gathered_run_is_evaluated_and_resumed_like_any_other(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["gather", "sweep"]) == 0
    capsys.readouterr()
    assert cli.main(["eval", "sweep/gathered", "--json"]) == 0
    assert [score["fold"] for score in json.loads(capsys.readouterr().out)["scores"]] == [
        "fold0",
        "fold1",
        "fold2",
    ]
    assert cli.main(["train", "--resume", "sweep/gathered"]) == 0
    assert "is finished" in capsys.readouterr().err
    assert cli.main(["train", "--resume", "sweep/gathered", "epochs=3", "jobs=1"]) == 0
    assert {fold["epochs"] for fold in summary_of(sweep / "gathered")["folds"]} == {3}
    assert summary_of(sweep / "split.fold-0")["epochs"] == 2, "the job is unchanged"


def test_gathering_again_replaces_the_gathered_run(sweep: Path) -> None:
    assert cli.main(["gather", "sweep", "report=false"]) == 0
    before = (sweep / "gathered" / "oof_predictions.csv").read_bytes()
    assert cli.main(["gather", "sweep", "report=false"]) == 0
    assert (sweep / "gathered" / "oof_predictions.csv").read_bytes() == before


def test_seeds_are_gathered_as_repeats(folder: Path) -> None:
    words = [*SMALL, "split.seed=0", "report=false", "hydra.sweep.dir=sweep"]
    assert cli.main(["train", "-m", *words, "seed=0,1"]) == 0
    assert cli.main(["gather", "sweep", "out=run"]) == 0
    assert cli.main(["train", "hydra.run.dir=whole", *SMALL, "repeats=2", "jobs=1"]) == 0
    assert without_times(summary_of(folder / "run")) == without_times(summary_of(folder / "whole"))
    assert (folder / "run" / "seed1" / "metrics.csv").is_file()


@pytest.mark.full
def test_bootstrap_replicates_and_the_fit_on_all_images_are_gathered_with_their_estimates(
    folder: Path,
) -> None:
    words = [*SMALL, "split=bootstrap", "split.n=2", "report=false"]
    assert cli.main(["train", "-m", *words, "split.fold=0,1,2", "hydra.sweep.dir=sweep"]) == 0
    assert cli.main(["gather", "sweep", "out=run"]) == 0
    assert cli.main(["train", "hydra.run.dir=whole", *words, "jobs=1"]) == 0
    summary = summary_of(folder / "run")
    assert without_times(summary) == without_times(summary_of(folder / "whole"))
    assert [fold["name"] for fold in summary["folds"]] == ["boot00", "boot01"]
    assert [path.parent.name for path in checkpoint_files("run")] == ["boot00", "boot01"], "without all"
    assert summary["bootstrap"]["632plus"]["percentile"]["low"] < summary["bootstrap"]["632plus"]["value"]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = cli.main(["gather", *words])
    return code, capsys.readouterr().err


def test_a_missing_fold_is_named(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(sweep / "split.fold-1")
    code, err = refused(["sweep"], capsys)
    assert code == 4
    assert "seed 0 has 2 of 3 folds: fold0, fold2" in err


def test_an_unfinished_job_is_named(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep / "split.fold-1" / "summary.json").unlink()
    code, err = refused(["sweep"], capsys)
    assert (code, "split.fold-1' is not finished" in err) == (4, True), err
    assert not (sweep / "gathered").exists()


def test_jobs_that_differ_in_another_key_are_refused(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = unrecorded(sweep / "split.fold-2") / "config.yaml"
    config.write_text(config.read_text().replace("batch_size: 128", "batch_size: 64"))
    code, err = refused(["sweep"], capsys)
    assert code == 2
    assert "the jobs differ in batch_size: 128 in 'sweep/split.fold-0', 64 in 'sweep/split.fold-2'" in err
    assert "svhn compare" in err


def test_jobs_trained_on_different_data_are_refused(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = unrecorded(sweep / "split.fold-2") / "env.json"
    env.write_text(env.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    code, err = refused(["sweep"], capsys)
    assert (code, "the jobs differ in data" in err) == (2, True), err


def test_a_fold_that_was_trained_twice_is_refused(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(sweep / "split.fold-1", sweep / "again")
    code, err = refused(["sweep"], capsys)
    assert (code, "seed 0, fold1 was trained twice" in err) == (2, True), err


def test_a_folder_without_runs_and_a_folder_with_other_files_are_refused(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "empty").mkdir()
    code, err = refused(["sweep/empty"], capsys)
    assert (code, "there are no runs in 'sweep/empty'" in err) == (4, True), err
    (sweep / "empty" / "mine.txt").write_text("kept")
    code, err = refused(["sweep", "out=sweep/empty"], capsys)
    assert (code, "contains other files" in err) == (2, True), err
    assert (sweep / "empty" / "mine.txt").read_text() == "kept"
