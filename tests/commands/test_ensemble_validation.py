"""Ensembles of runs whose data brings a validation part that no member has seen."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from svhncli.cli import main as cli
from svhncli.models.ensemble import mixture
from svhncli.runs.predictions import read_probabilities

CONTEST = ["data=mchar", "data.root=contest", "model=linear", "epochs=1", "threads=1", "device=cpu"]
CONTEST += ["precision=fp32", "report=false"]


@pytest.fixture(autouse=True)
def _contest(folder: Path) -> None:
    """The contest's files in the current folder."""
    assert cli.main(["render", "layout=mchar", "out=contest", "data.n_train=60", "data.n_test=20"]) == 0


def probabilities(report: str) -> np.ndarray:
    return read_probabilities(Path(report) / "predictions.csv", 4, 11, "")[1]


def test_folds_are_scored_together_on_the_validation_part_that_none_of_them_saw(
    json_of: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folds = ["split=kfold", "split.k=2", "jobs=1", "hydra.run.dir=folds"]
    assert cli.main(["train", *CONTEST, *folds]) == 0
    header = " ".join(capsys.readouterr().err.split())
    assert (
        "unused the 20 validation images of mchar, since split=kfold holds out training images; "
        "svhn ensemble scores the folds on them"
    ) in header
    joined = json_of("ensemble", "folds", "out=joined", "device=cpu")
    assert (joined["scored_on"], joined["val"]["n"]) == ("val part of mchar", 20)
    together = json_of(*joined["next"][0].split()[1:], "device=cpu")
    assert together["val"]["loss"] == joined["val"]["loss"]
    members = [
        probabilities(json_of("eval", f"folds/fold{i}", "part=val", *CONTEST[:2], "device=cpu")["report"])
        for i in (0, 1)
    ]
    mean = mixture(torch.tensor(np.array(members)).log(), torch.full((2,), 0.5)).exp().numpy()
    assert np.allclose(probabilities(together["report"]), mean, atol=1e-6)


def test_the_official_part_is_not_taken_for_the_images_that_a_run_held_out(
    json_of: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *CONTEST, "split=holdout", "hydra.run.dir=drawn"]) == 0
    own = json_of("eval", "drawn", "part=val", "device=cpu")
    official = json_of("eval", "drawn", "part=val", *CONTEST[:2], "device=cpu")
    assert (own["report"], official["report"]) == ("drawn/eval/mchar-val", "drawn/eval/mchar-official")
    assert own["val"]["calibration"]["not_fitted"] == "the part that is scored contains the validation images"
    assert official["val"]["calibration"]["fitted_on"] == "drawn/val_predictions.csv"
    assert (own["val"]["n"], official["val"]["n"]) == (6, 20)
    shutil.copytree("drawn", "again")
    joined = json_of("ensemble", "drawn", "again", "out=joined", "device=cpu")
    assert joined["val"]["n"] == 6, "the images that both held out"
    assert cli.main(["compare", "drawn", "again", "part=test"]) == 4
    err = capsys.readouterr().err
    assert "the data of 'drawn' has no test part" in err
    assert "split=official" in err


def test_a_part_on_which_a_member_selected_its_epoch_does_not_score_the_ensemble(
    json_of: Callable[..., dict[str, Any]],
) -> None:
    assert cli.main(["train", *CONTEST, "split=holdout", "hydra.run.dir=drawn"]) == 0
    assert cli.main(["train", *CONTEST, "split=official", "hydra.run.dir=brought"]) == 0
    joined = json_of("ensemble", "drawn", "brought", "out=joined", "device=cpu")
    assert joined["scored_on"] is None
