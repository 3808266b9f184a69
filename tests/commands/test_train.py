"""`svhn train` and `svhn eval` end to end, in this process, on a small rendered data set."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import made_once, write_mat
from runs_made import PLAIN, SMALL, rows, train

from svhncli.cli import main as cli
from svhncli.data.sources.synth import load as load_embedded
from svhncli.data.store.cache import Cache, default_root
from svhncli.runs import checkpoint
from svhncli.stats.intervals import fold_interval, wilson

KFOLD = ["split=kfold", "jobs=1", "split.k=3"]


def _train() -> None:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert cli.main(["train", *PLAIN]) == 0
    Path("out.txt").write_text(out.getvalue())
    Path("err.txt").write_text(err.getvalue())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run with nothing special was trained; what it printed is in out.txt and err.txt."""
    return made_once(tmp_path_factory, "plain", _train)


@pytest.fixture
def run(plain: Path) -> Path:
    """The folder of that run."""
    (run,) = (plain / "outputs" / "train").iterdir()
    return run


@pytest.fixture
def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


def test_a_run_writes_every_file_of_its_folder(run: Path, summary: dict[str, Any]) -> None:
    for name in [
        "config.yaml",
        "env.json",
        "split.json",
        "metrics.csv",
        "timing.csv",
        "best.pt",
        "last.pt",
        "summary.json",
        "status.json",
        "train.log",
        "plots/curves.png",
        "plots/augmented.png",
        "plots/predictions.png",
        "plots/watch.png",
        "plots/watch_dark.png",
        "val_predictions.csv",
        ".hydra/overrides.yaml",
        "report.html",
    ]:
        assert (run / name).is_file(), name
    assert summary["status"] == "done"
    assert summary["reason"] == "all 2 epochs done"
    assert set(summary["best"]) == {"epoch", "val_loss", "val_accuracy"}
    assert summary["test"]["n"] == 60
    assert summary["parameters"] == 3 * 32 * 32 * 10 + 10
    assert summary["seconds"] > 0
    assert summary["images_per_second"] > 0
    assert json.loads((run / "status.json").read_text())["status"] == "done"
    assert [row["epoch"] for row in rows(run / "metrics.csv")] == ["1", "2"]
    assert list(rows(run / "timing.csv")[0]) == ["epoch", "seconds", "images_per_second"]
    assert not list(run.glob(".writing-*"))


def test_the_header_names_the_data_its_size_and_the_class_balance(plain: Path, run: Path) -> None:
    out, err = ((plain / name).read_text() for name in ("out.txt", "err.txt"))
    assert "synth: 300 training, 60 test images, 32x32" in err
    assert "classes  0 " in err
    assert "groups   " in err
    assert "30,730 parameters" in err
    assert "\x1b" not in out + err, "no colour codes where there is no terminal"
    assert "svhn eval outputs/train/" in out
    assert "epoch 2/2" in (run / "train.log").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "linear; adam, lr 0.0003, cosine; reg light"),
        (
            ["reg=none", "reg.cutmix=1", "reg.augment.policy=randaugment", "optim.clip=1"],
            "linear; adam + clip 1, lr 0.0003, cosine; reg none + cutmix 1, policy randaugment",
        ),
        (
            ["model=mlp", "model.widths=[8,4]", "model.stn=true", "reg=strong", "reg.mixup=0", "lr=0.1"],
            "mlp + stn, widths [8, 4]; adam, lr 0.1, cosine; reg strong + mixup 0",
        ),
    ],
)
def test_the_header_names_what_differs_from_the_defaults(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert cli.main(["train", *SMALL, "epochs=1", *words]) == 0
    model = re.search(r"model    (.*?)\nmachine", capsys.readouterr().err, re.DOTALL)
    assert model is not None
    assert " ".join(model[1].split()) == line


def test_best_pt_is_the_epoch_with_the_best_metric_and_scores_as_logged(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train(capsys, "epochs=4", "lr=0.05", "metric=val_loss")
    run = folder / summary["run_dir"]
    history = rows(run / "metrics.csv")
    best = min(history, key=lambda row: float(row["val_loss"]))
    assert summary["best"]["epoch"] == int(best["epoch"])
    assert summary["best"]["val_loss"] == float(best["val_loss"])
    assert checkpoint.load(run / "best.pt")["row"]["epoch"] == int(best["epoch"])
    assert summary["val"]["loss"] == pytest.approx(float(best["val_loss"]), rel=1e-6)
    assert cli.main(["eval", str(run), "part=val", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["val"]["loss"] == pytest.approx(
        float(best["val_loss"]), rel=1e-6
    )


def test_predictions_cover_the_validation_part_and_their_accuracy_is_the_summary_s(
    run: Path, summary: dict[str, Any]
) -> None:
    predictions = rows(run / "val_predictions.csv")
    split = json.loads((run / "split.json").read_text())
    assert [int(row["index"]) for row in predictions] == split["val"]
    correct = sum(row["label"] == row["prediction"] for row in predictions)
    assert correct / len(predictions) == summary["best"]["val_accuracy"]
    for row in predictions:
        probabilities = [float(row[f"p{k}"]) for k in range(10)]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert int(np.argmax(probabilities)) == int(row["prediction"])


def test_the_label_of_a_prediction_is_the_label_of_its_image(run: Path) -> None:
    data = load_embedded(
        n_train=300, n_test=60, seed=0, size=32, cache=Cache(default_root()), progress=lambda *_: None
    )
    for row in rows(run / "val_predictions.csv"):
        assert int(row["label"]) == data.train.labels[int(row["index"]), 0]


def _train_folds() -> None:
    assert cli.main(["train", *SMALL, *KFOLD, "out=run"]) == 0


@pytest.fixture(scope="module")
def kfold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three folds."""
    return made_once(tmp_path_factory, "kfold", _train_folds) / "run"


def test_kfold_trains_every_fold_and_summarizes_them(
    kfold: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(kfold, folder / "run")
    summary = json.loads((run / "summary.json").read_text())
    assert [fold["name"] for fold in summary["folds"]] == ["fold0", "fold1", "fold2"]
    values = [fold["best"]["val_accuracy"] for fold in summary["folds"]]
    assert summary["val_accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert summary["val_accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))
    interval = fold_interval(values, 200, 100)
    assert summary["val_accuracy"]["low"] == pytest.approx(interval.low, abs=1e-3)
    assert summary["test"]["accuracy"] == pytest.approx(
        np.mean([f["test"]["accuracy"] for f in summary["folds"]])
    )
    oof = rows(run / "oof_predictions.csv")
    assert sorted(int(row["index"]) for row in oof) == list(range(300)), "every image is validated once"
    for fold in summary["folds"]:
        fold_rows = [row for row in oof if row["fold"] == fold["name"]]
        correct = sum(row["label"] == row["prediction"] for row in fold_rows)
        assert correct / len(fold_rows) == fold["best"]["val_accuracy"]
    assert cli.main(["eval", str(run), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["scores"]) == 3


def test_a_single_fold_of_a_kfold_is_an_ordinary_run(
    kfold: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = train(capsys, *KFOLD, "split.fold=1")
    assert single["best"] == json.loads((kfold / "summary.json").read_text())["folds"][1]["best"]
    assert single["name"] == "fold1"


def test_bootstrap_validates_on_the_images_not_drawn(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train(capsys, "split=bootstrap", "jobs=1", "split.n=2", "epochs=1")
    for fold in summary["folds"]:
        split = json.loads((folder / summary["run_dir"] / fold["name"] / "split.json").read_text())
        assert not set(split["train"]) & set(split["val"])
        assert sorted({*split["train"], *split["val"]}) == list(range(300))


def test_the_test_part_is_left_out_on_request_and_scored_later(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train(capsys, "test=false")
    assert summary["test"] is None
    assert cli.main(["train", "--json", "--resume", "test=true"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["n"] == 60


def test_files_of_the_official_layout_train_and_the_official_split_takes_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, count, seed in (("train", 200, 0), ("test", 50, 1), ("extra", 70, 2)):
        write_mat(folder / "d", part, count, seed)
    own = [
        "data=svhn",
        "data.root=d",
        "data.check_md5=false",
        "data.download=false",
        "lr=1e-2",
        "reg=none",
    ]
    own = [*own, "threads=1", "device=cpu", "model=mlp", "model.widths=[32]", "watch=0", "report=false"]

    def train_own(*words: str) -> dict[str, Any]:
        assert cli.main(["train", "--json", *own, "epochs=1", *words]) == 0
        return json.loads(capsys.readouterr().out)

    summary = train_own("epochs=6")
    assert summary["test"]["accuracy"] > 0.5, "labels and images are aligned"
    assert train_own("split=official", "data.extra=val")["n_val"] == 70
    summary = train_own("split=official", "split.file=d/extra_32x32.mat")
    assert (summary["n_train"], summary["n_val"]) == (200, 70)
    summary = train_own("data.extra=train")
    assert summary["n_train"] + summary["n_val"] == 270
    assert cli.main(["train", *own, "split=official"]) == 2
    assert "data.extra=val" in capsys.readouterr().err


def test_eval_gives_a_wilson_interval_on_any_data_set(
    plain: Path, summary: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(plain / "outputs", "outputs")
    assert cli.main(["eval", "latest", "--json"]) == 0
    score = json.loads(capsys.readouterr().out)["test"]
    assert {k: score[k] for k in ("n", "loss", "accuracy")} == {
        k: summary["test"][k] for k in ("n", "loss", "accuracy")
    }
    expected = wilson(round(score["accuracy"] * 60), 60)
    assert (score["interval"]["low"], score["interval"]["high"]) == (expected.low, expected.high)
    write_mat(folder / "d", "train", 20, 0)
    write_mat(folder / "d", "test", 33, 1)
    words = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false"]
    assert cli.main(["eval", summary["run_dir"], *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["n"] == 33
    assert cli.main(["eval", "latest"]) == 0
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "[" in out
    assert cli.main(["eval", "nowhere"]) == 4


@pytest.mark.full
def test_eval_averages_views_of_every_part_and_reports_their_number(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(capsys, "epochs=1")["run_dir"]

    def evaluate(*words: str) -> dict[str, Any]:
        assert cli.main(["eval", run, *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    for part in ("train", "val", "test"):
        alone, averaged = evaluate(f"part={part}"), evaluate(f"part={part}", "tta=5")
        assert (alone["tta"], averaged["tta"]) == (1, 5)
        assert averaged[part]["n"] == alone[part]["n"]
        assert averaged[part]["loss"] != alone[part]["loss"]
    assert evaluate("tta=1") == alone
    assert cli.main(["eval", run, "tta=5"]) == 0
    assert "5 of each image" in capsys.readouterr().out


def test_more_views_than_exist_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for count in (0, 14):
        assert cli.main(["eval", str(run), f"tta={count}"]) == 2
        assert "1 or more, at most 13" in capsys.readouterr().err


def test_augmentation_policies_mixup_and_cutmix_change_training(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policies = [f"reg.augment.policy={name}" for name in ("none", "randaugment", "trivialaugment")]
    losses = {
        train(capsys, "reg=none", "epochs=1", word)["last"]["train_loss"]
        for word in (*policies, "reg.cutmix=1", "reg.mixup=1")
    }
    assert len(losses) == 5
    assert cli.main(["train", *SMALL, "reg.augment.policy=randaug"]) == 2
    assert "did you mean 'randaugment'?" in capsys.readouterr().err


def test_mirrored_digits_give_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", *SMALL, "epochs=1", "reg.augment.hflip=true"]) == 0
    assert "mirrored digit" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["model=cnn", "model.width=0.25", "optim=adamw", "schedule=one_cycle"],
        ["model=cnn", "model.width=0.25", "optim=muon", "reg.l2=1e-4"],
        [
            "model=mlp",
            "model.widths=[16]",
            "optim=rmsprop",
            "schedule=step",
            "schedule.every=1",
            "schedule.warmup=1",
        ],
        ["model=cnn", "model.width=0.25", "reg.augment.policy=trivialaugment", "reg.cutmix=1"],
        ["model=datawhale", "optim=sgd", "reg=strong", "schedule=cosine", "optim.clip=1"],
        ["model.degree=2", "reg.l1=1e-4", "reg.l2=1e-4", "split=ordered", "schedule=constant"],
    ],
)
def test_parts_of_every_kind_train_together(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    summary = train(capsys, *words)
    assert summary["status"] == "done"
    assert np.isfinite(summary["last"]["train_loss"])


def test_a_plugin_s_model_trains(
    plugin: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    plugin(
        "my_parts",
        """
from dataclasses import dataclass
from torch import nn
from svhncli.registry import register

@dataclass
class Tiny:
    name: str = "tiny"
    units: int = 4

class Net(nn.Module):
    def __init__(self, in_shape, positions, classes, units):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(units), nn.Flatten())
        self.head = nn.Linear(3 * units * units, positions * classes)
        self.out = (positions, classes)

    def forward(self, x):
        return self.head(self.body(x)).unflatten(1, self.out)

register("model", Tiny, lambda config, shape, n, k, dropout: Net(shape, n, k, config.units))
""",
    )
    small = [word for word in SMALL if word != "model=linear"]
    assert cli.main(["train", "--json", *small, "plugins=[my_parts]", "model=tiny", "model.units=3"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["parameters"] == 3 * 9 * 10 + 10
