"""`svhn ensemble` on small runs: how members are combined, the reported gain, the checkpoint, refusals."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import shared_cache, unrecorded, write_mat
from joined import CPU, SMALL, Command, evaluate_test, probabilities_of, refused, rows, table, train
from numpy.testing import assert_allclose

from svhncli.cli import main as cli
from svhncli.data.sources.svhn import load_file
from svhncli.evaluation import trained
from svhncli.runs.locate import checkpoint_files
from svhncli.stats.significance import paired_bootstrap

KFOLD = [*SMALL, "model=linear", "epochs=1", "split=kfold", "jobs=1", "split.k=2"]
GRID = np.linspace(0, 1, 2001)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, two runs of two folds, three seeds on one split, and a run on another split."""
    folder = tmp_path_factory.mktemp("place")
    for part, count, seed in (("train", 240, 1), ("test", 90, 2)):
        write_mat(folder / "data", part, count, seed)
    before = Path.cwd()
    os.chdir(folder)
    try:
        train("folds", *KFOLD)
        train("wide", *KFOLD[: len(SMALL)], "model=mlp", "model.widths=[16]", *KFOLD[-3:], "epochs=3")
        for seed in (0, 1, 2):
            train(f"seed{seed}", *SMALL, "model=linear", "epochs=1", f"seed={seed}", "split.seed=0")
        train("elsewhere", *SMALL, "model=linear", "epochs=1", "split.seed=5", "split.fraction=0.3")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def workdir(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workspace)
    return workspace


def indices(path: Path | str) -> list[int]:
    return [int(row["index"]) for row in rows(path)]


# ----------------------------------------------------------------------------- combining members


def test_the_mean_equals_numpy_s_mean_of_the_members_and_what_predict_averages_for_the_run(
    workdir: Path, ensemble: Command, json_of: Command
) -> None:
    summary = ensemble("folds", "out=mean")
    predicted = [probabilities_of(f"folds/fold{i}") for i in range(2)]
    combined, labels = evaluate_test(json_of, "mean")
    assert_allclose(combined, np.mean(predicted, 0), atol=2e-6)
    assert summary["test"]["accuracy"] == (combined.argmax(-1) == labels).mean()
    for run in ("folds", "mean"):
        json_of("predict", run, "data/test_32x32.mat", f"out={run}.csv")
    folds, ensembled = (rows(f"{run}.csv") for run in ("folds", "mean"))
    assert [row["prediction"] for row in folds] == [row["prediction"] for row in ensembled]
    assert_allclose(
        *([float(row["confidence"]) for row in predictions] for predictions in (folds, ensembled)), atol=2e-6
    )
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8)
    networks = [trained.load(path) for path in checkpoint_files("folds")]
    assert_allclose(
        trained.probabilities([trained.load(Path("mean/best.pt"))], images, CPU),
        trained.probabilities(networks, images, CPU),
        atol=1e-6,
    )


def test_an_ensemble_of_one_member_predicts_what_its_member_predicts(
    workdir: Path, ensemble: Command, json_of: Command
) -> None:
    for how in ("mean", "vote"):
        ensemble("seed1", f"how={how}", f"out=alone-{how}")
    expected = probabilities_of("seed1")
    assert_allclose(evaluate_test(json_of, "alone-mean")[0], expected, atol=2e-6)
    for how in ("mean", "vote"):
        assert (evaluate_test(json_of, f"alone-{how}")[0].argmax(-1) == expected.argmax(-1)).all()


def test_votes_count_first_and_the_mean_decides_ties(
    workdir: Path, ensemble: Command, json_of: Command
) -> None:
    ensemble("folds", "seed0", "seed1", "how=vote", "out=voted")
    runs = ("folds/fold0", "folds/fold1", "seed0", "seed1")
    predicted = np.stack([probabilities_of(run) for run in runs])
    votes = (predicted.argmax(-1)[..., None] == np.arange(10)).sum(0)
    mean = predicted.mean(0)
    ranked = np.lexsort((mean, votes), axis=-1)[:, -1]
    combined, _ = evaluate_test(json_of, "voted")
    assert (combined.argmax(-1) == ranked).all()
    assert_allclose(combined, (votes + mean) / 5, atol=2e-6)
    assert ((votes == 2).sum(-1) == 2).any()  # there are ties
    assert (ranked != mean.argmax(-1)).any()  # and a vote is not a mean


def test_weights_equal_a_grid_search_over_images_that_no_member_trained_on(
    workdir: Path, ensemble: Command
) -> None:
    summary = ensemble("folds", "wide", "how=weights", "out=weighed")
    label_probabilities = []
    for run in ("folds", "wide"):
        probabilities, labels = table(f"{run}/oof_predictions.csv")
        order = np.argsort(indices(f"{run}/oof_predictions.csv"))
        label_probabilities.append(probabilities[np.arange(240), labels][order])
    losses = [-np.log((1 - w) * label_probabilities[0] + w * label_probabilities[1]).mean() for w in GRID]
    best = GRID[int(np.argmin(losses))]
    shares = [entry["share"] for entry in summary["members"]]
    assert (shares[0], shares[2]) == (shares[1], shares[3])  # folds share their run's weight
    assert 2 * shares[2] == pytest.approx(best, abs=2e-3)
    assert 0.02 < best < 0.98, "the grid's best is not at an end"
    assert sum(shares) == pytest.approx(1)
    assert summary["fitted_on"] == 240


def test_weights_of_single_runs_are_fitted_on_the_images_that_all_of_them_validated_on(
    workdir: Path, ensemble: Command
) -> None:
    validated = [{*indices(f"{run}/val_predictions.csv")} for run in ("seed0", "elsewhere")]
    common = validated[0] & validated[1]
    assert 0 < len(common) < min(map(len, validated))
    summary = ensemble("seed0", "elsewhere", "how=weights", "out=some")
    assert summary["fitted_on"] == len(common)
    label_probabilities = []
    for run in ("seed0", "elsewhere"):
        probabilities, labels = table(f"{run}/val_predictions.csv")
        of_label = probabilities[range(len(labels)), labels]
        by_index = dict(zip(indices(f"{run}/val_predictions.csv"), of_label, strict=True))
        label_probabilities.append(np.array([by_index[index] for index in sorted(common)]))
    losses = [-np.log((1 - w) * label_probabilities[0] + w * label_probabilities[1]).mean() for w in GRID]
    assert summary["members"][1]["share"] == pytest.approx(GRID[int(np.argmin(losses))], abs=2e-3)
    assert ensemble("seed0", "folds", "how=weights", "out=more")["fitted_on"] == len(validated[0])


def test_weights_do_not_depend_on_the_test_part(
    workspace: Path, folder: Path, json_of: Command, ensemble: Command
) -> None:
    for part, count, seed in (("train", 240, 1), ("test", 90, 2)):
        write_mat(folder / "data", part, count, seed)
    summaries = []
    for seed in (2, 77):  # the same training part, other test images and labels
        write_mat(folder / "data", "test", 90, seed)
        runs = [str(workspace / run) for run in ("folds", "wide")]
        words = [*runs, "how=weights", f"out=weighed{seed}"]
        (workspace / "data" / "test_32x32.mat").write_bytes((folder / "data" / "test_32x32.mat").read_bytes())
        summaries.append(ensemble(*words))
    assert summaries[0]["test"] != summaries[1]["test"]
    assert [m["share"] for m in summaries[0]["members"]] == [m["share"] for m in summaries[1]["members"]]
    write_mat(workspace / "data", "test", 90, 2)


# ----------------------------------------------------------------------------- the reported gain


def test_the_gain_is_over_the_best_member_with_an_interval_over_images(
    workdir: Path, ensemble: Command, json_of: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = ensemble("folds", "seed0", "seed1", "out=gain")
    whole, labels = evaluate_test(json_of, "gain")
    predicted = (*map(probabilities_of, ("folds/fold0", "folds/fold1", "seed0", "seed1")), whole)
    correct = [(probabilities.argmax(-1) == labels).astype(float) for probabilities in predicted]
    accuracies = [entry["accuracy"] for entry in summary["members"]]
    assert accuracies == [hits.mean() for hits in correct[:-1]]
    best = max(range(4), key=lambda i: (accuracies[i], -summary["members"][i]["loss"]))
    gain = summary["gain"]
    assert gain["best"] == summary["members"][best]["checkpoint"]
    groups = load_file(Path("data/test_32x32.mat"), cache=shared_cache()).groups
    assert len(set(groups.tolist())) < len(groups)  # images of one house number are resampled together
    for name, other in (("over_best", correct[best]), ("over_mean", np.mean(correct[:-1], 0))):
        expected = paired_bootstrap(correct[-1] - other, groups, seed=0)
        assert gain[name]["mean"] == pytest.approx(expected.mean)
        assert gain[name]["interval"]["low"] == pytest.approx(expected.interval.low, abs=1e-9)
        assert gain[name]["interval"]["low"] < gain[name]["interval"]["high"]
    assert cli.main(["ensemble", "folds", "out=again", "device=cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["weight", "accuracy", "loss", "member"]
    assert [line.split()[-1] for line in lines[1:4]] == [
        *(f"folds/fold{i}/best.pt" for i in (0, 1)),
        "ensemble",
    ]
    shown = " ".join(" ".join(lines).split())
    over_best = json.loads(Path("again/summary.json").read_text())["gain"]["over_best"]
    interval = over_best["interval"]
    mean, low, high = (round(100 * x, 2) for x in (over_best["mean"], interval["low"], interval["high"]))
    assert f"{mean:+.2f} points of accuracy over its best member, 95% {low:+.2f} to {high:+.2f}" in shown


def test_an_ensemble_has_no_temperature_since_it_held_no_images_out(
    workdir: Path, ensemble: Command, json_of: Command
) -> None:
    ensemble("folds", "out=cold")
    fitted = json_of("eval", "cold", "device=cpu")["test"]["calibration"]
    assert (fitted["temperature"], fitted["not_fitted"]) == (None, "an ensemble held no images out")


def test_an_unfinished_run_is_joined_with_a_warning(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for status, warned in (("done", False), ("interrupted", True)):
        run = unrecorded(Path(shutil.copytree("folds", tmp_path / status)))
        summary = json.loads((run / "summary.json").read_text())
        if warned:
            summary = {"status": status, "reason": "stopped", "hint": "go on", "exit_code": 130}
        (run / "summary.json").write_text(json.dumps(summary))
        assert cli.main(["ensemble", str(run), f"out={tmp_path}/joined", "device=cpu"]) == 0
        assert (
            "is not finished; what it has so far is joined: 2 networks" in capsys.readouterr().err
        ) == warned


# ----------------------------------------------------------------------------- a checkpoint like any other


def test_the_folder_holds_one_checkpoint_of_plain_values_that_needs_no_member(
    workdir: Path, ensemble: Command, json_of: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workdir)
    written = Path(ensemble("folds", "seed0")["run_dir"])
    assert written.parent == Path("outputs/ensemble")
    files = ["best.pt", "config.yaml", "env.json", "summary.json"]
    assert sorted(path.name for path in written.iterdir()) == files
    torch.load(written / "best.pt", weights_only=True)
    expected = evaluate_test(json_of, str(written))[0]
    alone = folder / "alone"
    alone.mkdir()
    for name in ("best.pt", "config.yaml"):
        (alone / name).write_bytes((written / name).read_bytes())
    monkeypatch.chdir(folder)
    write_mat(folder / "data", "test", 90, 2)
    actual = evaluate_test(
        json_of, "alone", "data=svhn", f"data.root={workdir / 'data'}", "data.check_md5=false"
    )[0]
    assert (actual == expected).all()


def test_images_that_validated_one_member_and_trained_another_are_not_scored(
    workdir: Path, ensemble: Command, json_of: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    ensemble("folds", "out=mixed")
    for part in ("val", "train"):
        code, err = refused(capsys, "eval", "mixed", f"part={part}")
        assert code == 2
        assert "did not train and validate on the same images" in err
    ensemble("seed0", "seed1", "seed2", "out=same")
    score = json_of("eval", "same", "part=val", "device=cpu")["val"]
    predicted = [table(f"seed{i}/val_predictions.csv") for i in range(3)]
    mean, labels = np.mean([probabilities for probabilities, _ in predicted], 0), predicted[0][1]
    assert (score["n"], score["accuracy"]) == (len(labels), (mean.argmax(-1) == labels).mean())


# ----------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "no runs are named"),
        (["nowhere"], 4, "there is no run 'nowhere'"),
        (["no*where"], 4, "nothing matches 'no*where'"),
        (["seed0", "seed0"], 2, "is named twice"),
        (["folds", "folds/fold1/best.pt"], 2, "is named twice"),
        (["folds", "how=weights"], 2, "weighs runs against each other"),
        (["folds/fold0", "folds/fold1", "how=weights"], 2, "no image validated in all"),
        (["seed0", "seed1/last.pt", "how=weights"], 2, "'seed1/last.pt' has no predictions"),
        (["seed0", "how=middle"], 2, "must be mean or vote or weights"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_runs_that_cannot_be_combined_are_refused_with_a_message_and_nothing_is_written(
    workdir: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    before = sorted(workdir.iterdir())
    actual, err = refused(capsys, "ensemble", *words)
    assert (actual, message in err) == (code, True), err
    assert sorted(workdir.iterdir()) == before


def test_an_ensemble_is_neither_trained_nor_fine_tuned_nor_reported(
    workdir: Path, ensemble: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    ensemble("seed0", "seed1", "out=joined")
    before = Path("joined/best.pt").read_bytes()
    for words in (
        ["train", "--resume", "joined", "epochs=9"],
        ["train", "data.root=data", *SMALL, "model=linear", "init_from=joined", "hydra.run.dir=new"],
        ["report", "joined"],
    ):
        _, err = refused(capsys, *words)
        assert "is an ensemble" in err
    assert Path("joined/best.pt").read_bytes() == before
    assert not Path("new/best.pt").exists()


def test_a_folder_with_other_files_is_not_overwritten(
    workdir: Path, ensemble: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = refused(capsys, "ensemble", "folds", "out=seed2", "device=cpu")
    assert (code, "contains other files" in err) == (2, True)
    first, again = (ensemble("folds", "out=twice")["test"] for _ in range(2))
    assert first == again
