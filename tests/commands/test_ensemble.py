"""`svhn ensemble` on small runs: what is mixed, what it is used for, and what is refused."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import shared_cache, write_mat, write_run
from numpy.testing import assert_allclose
from scipy.io import loadmat

from svhncli.cli import main as cli
from svhncli.config.groups.model import DatawhaleConfig, LinearConfig
from svhncli.data.framing import Framing
from svhncli.data.sources.svhn import load_file
from svhncli.engine import device
from svhncli.evaluation import trained
from svhncli.models.gates import count_open
from svhncli.runs.locate import checkpoint_files
from svhncli.stats.significance import paired_bootstrap

SMALL = [
    "data=svhn",
    "data.check_md5=false",
    "threads=1",
    "device=cpu",
    "precision=fp32",
    "report=false",
    "lr=1e-3",
]
KFOLD = [*SMALL, "model=linear", "epochs=1", "split=kfold", "jobs=1", "split.k=2"]
GRID = np.linspace(0, 1, 2001)
CPU = device.resolve("cpu", "fp32", 1)

Join = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, two runs of two folds, three seeds on one split, and one on another."""
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


def train(run: str, *words: str) -> None:
    assert cli.main(["train", "data.root=data", *words, f"hydra.run.dir={run}"]) == 0


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Join:
    """What a command that succeeds says as JSON."""

    def run(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        code = cli.main([*words, "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.fixture
def join(said: Join) -> Join:
    return lambda *words: said("ensemble", *words, "device=cpu")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and message of a command that fails without a traceback."""
    capsys.readouterr()
    code = cli.main([*words])
    err = capsys.readouterr().err
    assert code != 0
    assert "Traceback" not in err
    return code, err


def rows(path: Path | str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def indices(path: Path | str) -> list[int]:
    return [int(row["index"]) for row in rows(path)]


def table(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float64 (N, K) and labels (N,) of a file of predictions of single digits."""
    found = rows(path)
    return (
        np.array([[float(row[f"p{k}"]) for k in range(10)] for row in found]),
        np.array([int(row["label"]) for row in found]),
    )


def said_of_test(said: Join, run: str, *words: str) -> tuple[np.ndarray, np.ndarray]:
    """What `svhn eval` writes of the test part."""
    return table(Path(said("eval", run, "device=cpu", *words)["report"]) / "predictions.csv")


def member(run: str) -> np.ndarray:
    """What a run's best weights say of the test pictures: (N, K)."""
    images = loadmat("data/test_32x32.mat")["X"].transpose(3, 2, 0, 1)
    return trained.probabilities([trained.load(Path(run, "best.pt"))], np.ascontiguousarray(images), CPU)[
        :, 0
    ]


# ----------------------------------------------------------------------------- what is mixed


def test_the_mean_is_numpy_s_of_what_the_members_say_and_what_predict_says_of_the_run(
    here: Path, join: Join, said: Join
) -> None:
    found = join("folds", "out=mean")
    each = [member(f"folds/fold{i}") for i in range(2)]
    mixed, labels = said_of_test(said, "mean")
    assert_allclose(mixed, np.mean(each, 0), atol=2e-6)
    assert found["test"]["accuracy"] == (mixed.argmax(-1) == labels).mean()
    for run in ("folds", "mean"):
        said("predict", run, "data/test_32x32.mat", f"out={run}.csv")
    folds, joined = (rows(f"{run}.csv") for run in ("folds", "mean"))
    assert [row["prediction"] for row in folds] == [row["prediction"] for row in joined]
    assert_allclose(*([float(row["confidence"]) for row in found] for found in (folds, joined)), atol=2e-6)
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8)
    members = [trained.load(path) for path in checkpoint_files("folds")]
    assert_allclose(
        trained.probabilities([trained.load(Path("mean/best.pt"))], images, CPU),
        trained.probabilities(members, images, CPU),
        atol=1e-6,
    )


def test_an_ensemble_of_one_says_what_its_member_says(here: Path, join: Join, said: Join) -> None:
    for how in ("mean", "vote"):
        join("seed1", f"how={how}", f"out=alone-{how}")
    own = member("seed1")
    assert_allclose(said_of_test(said, "alone-mean")[0], own, atol=2e-6)
    for how in ("mean", "vote"):
        assert (said_of_test(said, f"alone-{how}")[0].argmax(-1) == own.argmax(-1)).all()


def test_votes_count_first_and_the_mean_decides_ties(here: Path, join: Join, said: Join) -> None:
    join("folds", "seed0", "seed1", "how=vote", "out=voted")
    runs = ("folds/fold0", "folds/fold1", "seed0", "seed1")
    each = np.stack([member(run) for run in runs])
    votes = (each.argmax(-1)[..., None] == np.arange(10)).sum(0)
    mean = each.mean(0)
    ranked = np.lexsort((mean, votes), axis=-1)[:, -1]
    mixed, _ = said_of_test(said, "voted")
    assert (mixed.argmax(-1) == ranked).all()
    assert_allclose(mixed, (votes + mean) / 5, atol=2e-6)
    assert ((votes == 2).sum(-1) == 2).any()  # there are ties
    assert (ranked != mean.argmax(-1)).any()  # and a vote is not a mean


def test_weights_are_those_of_a_grid_over_pictures_that_no_member_trained_on(here: Path, join: Join) -> None:
    found = join("folds", "wide", "how=weights", "out=weighed")
    likely = []
    for run in ("folds", "wide"):
        probabilities, labels = table(f"{run}/oof_predictions.csv")
        order = np.argsort(indices(f"{run}/oof_predictions.csv"))
        likely.append(probabilities[np.arange(240), labels][order])
    losses = [-np.log((1 - w) * likely[0] + w * likely[1]).mean() for w in GRID]
    best = GRID[int(np.argmin(losses))]
    shares = [one["share"] for one in found["members"]]
    assert (shares[0], shares[2]) == (shares[1], shares[3])  # folds share their run's weight
    assert 2 * shares[2] == pytest.approx(best, abs=2e-3)
    assert 0.02 < best < 0.98, "the grid's best is not at an end"
    assert sum(shares) == pytest.approx(1)
    assert found["fitted_on"] == 240


def test_weights_of_single_runs_are_fitted_where_all_of_them_validated(here: Path, join: Join) -> None:
    here_and_there = [{*indices(f"{run}/val_predictions.csv")} for run in ("seed0", "elsewhere")]
    common = here_and_there[0] & here_and_there[1]
    assert 0 < len(common) < min(map(len, here_and_there))
    found = join("seed0", "elsewhere", "how=weights", "out=some")
    assert found["fitted_on"] == len(common)
    likely = []
    for run in ("seed0", "elsewhere"):
        probabilities, labels = table(f"{run}/val_predictions.csv")
        right = probabilities[range(len(labels)), labels]
        said = dict(zip(indices(f"{run}/val_predictions.csv"), right, strict=True))
        likely.append(np.array([said[index] for index in sorted(common)]))
    losses = [-np.log((1 - w) * likely[0] + w * likely[1]).mean() for w in GRID]
    assert found["members"][1]["share"] == pytest.approx(GRID[int(np.argmin(losses))], abs=2e-3)
    assert join("seed0", "folds", "how=weights", "out=more")["fitted_on"] == len(here_and_there[0])


def test_weights_never_look_at_the_test_part(place: Path, folder: Path, said: Join, join: Join) -> None:
    for part, count, seed in (("train", 240, 1), ("test", 90, 2)):
        write_mat(folder / "data", part, count, seed)
    found = []
    for seed in (2, 77):  # the same training part, other test pictures and labels
        write_mat(folder / "data", "test", 90, seed)
        runs = [str(place / run) for run in ("folds", "wide")]
        words = [*runs, "how=weights", f"out=weighed{seed}"]
        (place / "data" / "test_32x32.mat").write_bytes((folder / "data" / "test_32x32.mat").read_bytes())
        found.append(join(*words))
    assert found[0]["test"] != found[1]["test"]
    assert [m["share"] for m in found[0]["members"]] == [m["share"] for m in found[1]["members"]]
    write_mat(place / "data", "test", 90, 2)


# ----------------------------------------------------------------------------- what it is said to gain


def test_the_gain_is_that_over_the_best_member_with_an_interval_over_pictures(
    here: Path, join: Join, said: Join, capsys: pytest.CaptureFixture[str]
) -> None:
    found = join("folds", "seed0", "seed1", "out=gain")
    whole, labels = said_of_test(said, "gain")
    each = (*map(member, ("folds/fold0", "folds/fold1", "seed0", "seed1")), whole)
    right = [(probabilities.argmax(-1) == labels).astype(float) for probabilities in each]
    accuracies = [one["accuracy"] for one in found["members"]]
    assert accuracies == [one.mean() for one in right[:-1]]
    best = max(range(4), key=lambda i: (accuracies[i], -found["members"][i]["loss"]))
    gain = found["gain"]
    assert gain["best"] == found["members"][best]["checkpoint"]
    groups = load_file(Path("data/test_32x32.mat"), cache=shared_cache()).groups
    assert len(set(groups.tolist())) < len(groups)  # pictures of one house number are drawn together
    for name, other in (("over_best", right[best]), ("over_mean", np.mean(right[:-1], 0))):
        expected = paired_bootstrap(right[-1] - other, groups, seed=0)
        assert gain[name]["mean"] == pytest.approx(expected.mean)
        assert gain[name]["interval"]["low"] == pytest.approx(expected.interval.low, abs=1e-9)
        assert gain[name]["interval"]["low"] < gain[name]["interval"]["high"]
    assert cli.main(["ensemble", "folds", "out=again", "device=cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["member", "weight", "accuracy", "loss"]
    assert [line.split()[0] for line in lines[1:4]] == [
        *(f"folds/fold{i}/best.pt" for i in (0, 1)),
        "ensemble",
    ]
    assert "points higher than that of its best member, 95%" in " ".join(" ".join(lines).split())


# ----------------------------------------------------------------------------- a checkpoint like any other


def test_its_folder_holds_one_file_of_plain_values_that_needs_no_member(
    here: Path, join: Join, said: Join, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    written = Path(join("folds", "seed0")["run_dir"])
    assert written.parent == Path("outputs/ensemble")
    files = ["best.pt", "config.yaml", "env.json", "summary.json"]
    assert sorted(path.name for path in written.iterdir()) == files
    torch.load(written / "best.pt", weights_only=True)
    expected = said_of_test(said, str(written))[0]
    alone = folder / "alone"
    alone.mkdir()
    for name in ("best.pt", "config.yaml"):
        (alone / name).write_bytes((written / name).read_bytes())
    monkeypatch.chdir(folder)
    write_mat(folder / "data", "test", 90, 2)
    found = said_of_test(said, "alone", "data=svhn", f"data.root={here / 'data'}", "data.check_md5=false")[0]
    assert (found == expected).all()


def test_what_validated_one_member_and_trained_another_is_not_scored(
    here: Path, join: Join, said: Join, capsys: pytest.CaptureFixture[str]
) -> None:
    join("folds", "out=mixed")
    for part in ("val", "train"):
        code, err = refused(capsys, "eval", "mixed", f"part={part}")
        assert code == 2
        assert "did not train and validate on the same images" in err
    join("seed0", "seed1", "seed2", "out=same")
    score = said("eval", "same", "part=val", "device=cpu")["val"]
    each = [table(f"seed{i}/val_predictions.csv") for i in range(3)]
    mean, labels = np.mean([one for one, _ in each], 0), each[0][1]
    assert (score["n"], score["accuracy"]) == (len(labels), (mean.argmax(-1) == labels).mean())


@pytest.mark.parametrize("how", ["mean", "vote"])
def test_grey_gated_and_other_networks_join_and_onnx_agrees(
    here: Path, join: Join, said: Join, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    if not Path("grey").exists():
        train("grey", *SMALL, "model=linear", "epochs=1", "grey=true")
        train("gated", *SMALL, "model=cnn", "model.width=0.25", "epochs=1", "reg.l0=0.001")
    found = join("grey", "gated", "seed0", f"how={how}", f"out=kinds-{how}")
    each = np.stack([member(run) for run in ("grey", "gated", "seed0")])
    if how == "mean":
        assert_allclose(said_of_test(said, "kinds-mean")[0], each.mean(0), atol=5e-6)
    exported = said("export", f"kinds-{how}")
    assert exported["agreement"]["difference"] < 1e-5
    card = Path(exported["out"], "model_card.md").read_text()
    assert "# Ensemble of 3: single digits" in card
    assert f"accuracy {100 * found['test']['accuracy']:.2f}%" in card
    whole = trained.load(Path(f"kinds-{how}/best.pt"))
    assert count_open(whole.network)[1] == count_open(trained.load(Path("gated/best.pt")).network)[1] > 0


def test_an_ensemble_of_grey_networks_alone_sees_grey(here: Path, join: Join, said: Join) -> None:
    for seed in (3, 4):
        train(f"grey{seed}", *SMALL, "model=linear", "epochs=1", "grey=true", f"seed={seed}")
    join("grey3", "grey4", "out=greys")
    assert trained.load(Path("greys/best.pt")).preprocess.grey
    each = [member(f"grey{seed}") for seed in (3, 4)]
    assert_allclose(said_of_test(said, "greys")[0], np.mean(each, 0), atol=2e-6)


def test_whole_numbers_are_mixed_position_by_position(
    folder: Path, join: Join, said: Join, capsys: pytest.CaptureFixture[str]
) -> None:
    framing = Framing(32, 64, "boxes", 0.15, 0.1)
    for name in ("a", "b", "c"):
        write_run(folder / name, framing, 4, DatawhaleConfig())
    found = join("[abc]", "out=whole")
    assert (found["scored_on"], found["gain"]) == (None, None)
    images = np.random.default_rng(0).integers(0, 256, (20, 3, *framing.stored), dtype=np.uint8)
    whole, *members = (trained.load(Path(name, "best.pt")) for name in ("whole", "a", "b", "c"))
    mixed = trained.probabilities([whole], images, CPU)
    assert mixed.shape == (20, 4, 11)
    assert_allclose(mixed, trained.probabilities(members, images, CPU), atol=1e-6)
    assert said("export", "whole")["agreement"]["difference"] < 1e-5
    join("whole", "a", "out=nested")
    nested = trained.probabilities([trained.load(Path("nested/best.pt"))], images, CPU)
    assert_allclose(nested, (mixed + trained.probabilities(members[:1], images, CPU)) / 2, atol=1e-6)


# ----------------------------------------------------------------------------- what is refused


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
def test_what_cannot_be_joined_is_refused_in_words_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    before = sorted(here.iterdir())
    found, err = refused(capsys, "ensemble", *words)
    assert (found, message in err) == (code, True), err
    assert sorted(here.iterdir()) == before


def test_networks_of_other_tasks_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(folder / "digit", Framing(12, 12), 1, LinearConfig())
    write_run(folder / "larger", Framing(14, 12), 1, LinearConfig())
    write_run(folder / "number", Framing(12, 12), 3, LinearConfig())
    for other, what in (("larger", "part of a photograph"), ("number", "positions: 1 and 3")):
        code, err = refused(capsys, "ensemble", "digit", other, "how=weights")
        assert (code, f"do not have the same {what}" in err) == (2, True)


def test_members_of_other_data_are_joined_and_it_is_said(
    here: Path, folder: Path, join: Join, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    write_mat(folder / "data", "train", 100, 9)
    train("other", *SMALL, "model=linear", "epochs=1")
    assert cli.main(["ensemble", str(here / "seed0"), "other", "out=two", "device=cpu"]) == 0
    assert "the members were trained on different data" in capsys.readouterr().err
    code, err = refused(capsys, "ensemble", str(here / "seed0"), "other", "how=weights")
    assert (code, "not trained on the same data" in err) == (2, True)


def test_an_ensemble_is_neither_trained_nor_fine_tuned_nor_reported(
    here: Path, join: Join, capsys: pytest.CaptureFixture[str]
) -> None:
    join("seed0", "seed1", "out=joined")
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


def test_a_folder_of_other_things_is_not_written_over(
    here: Path, join: Join, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = refused(capsys, "ensemble", "folds", "out=seed2", "device=cpu")
    assert (code, "contains other files" in err) == (2, True)
    first, again = (join("folds", "out=twice")["test"] for _ in range(2))
    assert first == again


def test_the_seeds_of_one_run_are_joined_and_compared_with_one_of_them_on_the_test_part(
    place: Path, folder: Path, join: Join, said: Join, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "data").symlink_to(place / "data")
    train("run", *SMALL, "model=linear", "epochs=1", "repeats=2", "jobs=1")
    joined = join("run", "out=joined")
    assert [one["checkpoint"] for one in joined["members"]] == ["run/seed0/best.pt", "run/seed1/best.pt"]
    train("alone", *SMALL, "model=linear", "epochs=1")
    for one in ("alone", "joined"):
        said("eval", one, "device=cpu")
    found = said("compare", "alone", "joined", "part=test")
    assert [row["key"] for row in found["differs"]] == ["ensemble"]
    assert found["comparisons"][0]["changes"] == ["ensemble"]
    assert found["comparisons"][0]["pictures"] == 90
    assert found["runs"][1]["accuracy"] == joined["test"]["accuracy"]
    code, err = refused(capsys, "compare", "alone", "joined")
    assert (code, "'joined' is an ensemble" in err, "part=test" in err) == (2, True, True), err
