"""`svhn eval` end to end on a small run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import unrecorded, write_mat, write_run
from PIL import Image
from reported import EVALUATION_FILES
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from svhncli.cli import main as cli
from svhncli.config.groups.model import LinearConfig
from svhncli.data.framing import Framing
from svhncli.data.sources import svhn
from svhncli.stats.intervals import wilson

SMALL = ["data.n_train=300", "data.n_test=60", "threads=1", "device=cpu", "model=linear", "epochs=30"]
Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "one"
    assert cli.main(["train", *SMALL, f"hydra.run.dir={run}"]) == 0
    return run


@pytest.fixture
def run(trained: Path, folder: Path) -> Path:
    """A copy of a trained run, as `run` in the current folder."""
    shutil.copytree(trained, folder / "run")
    return Path("run")


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Evaluate:
    def summary(run: Path, *words: str) -> dict[str, Any]:
        capsys.readouterr()
        code = cli.main(["eval", str(run), "device=cpu", *words, "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return summary


def columns(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and probabilities of single digits, read without the tool."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    probabilities = np.array([[float(row[f"p{k}"]) for k in range(10)] for row in rows])
    return *(np.array([int(row[name]) for row in rows]) for name in ("label", "prediction")), probabilities


def test_the_report_agrees_with_scikit_learn_on_its_predictions(run: Path, evaluate: Evaluate) -> None:
    summary = evaluate(run)
    report = Path(summary["report"])
    assert report == run / "eval" / "synth-test"
    assert sorted(path.name for path in report.iterdir()) == EVALUATION_FILES
    score = summary["test"]
    labels, predictions, probabilities = columns(report / "predictions.csv")
    assert score["n"] == len(labels) == 60
    assert score["accuracy"] == accuracy_score(labels, predictions)
    assert score["mistakes"] == (labels != predictions).sum()
    normed = probabilities / probabilities.sum(1, keepdims=True)
    assert score["loss"] == pytest.approx(log_loss(labels, normed, labels=range(10)), rel=1e-4)
    assert score["confusion"] == confusion_matrix(labels, predictions, labels=range(10)).tolist()
    expected = precision_recall_fscore_support(labels, predictions, labels=range(10), zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        actual = [np.nan if row[name] is None else row[name] for row in score["classes"]]
        assert actual == pytest.approx(values, nan_ok=True), name
    ones = score["classes"][1]
    hits = int(((labels == 1) & (predictions == 1)).sum())
    assert ones["recall_interval"]["low"] == wilson(hits, int((labels == 1).sum())).low
    assert ones["precision_interval"]["high"] == wilson(hits, int((predictions == 1).sum())).high
    saved = json.loads((report / "results.json").read_text())
    assert {name: saved[name] for name in score} == score
    assert (saved["data"], saved["part"], saved["tta"]) == ("synth", "test", 1)
    assert saved["checkpoint"] == str(run / "best.pt")


def test_the_key_confusion_changes_the_figure_alone(run: Path, evaluate: Evaluate) -> None:
    counts = evaluate(run, "out=counts")["test"]
    percent = evaluate(run, "out=percent", "confusion=percent")["test"]
    assert counts["confusion"] == percent["confusion"]
    differ = [
        name
        for name in EVALUATION_FILES
        if Path("counts", name).read_bytes() != Path("percent", name).read_bytes()
    ]
    assert differ == ["SHA256SUMS", "confusion.png", "results.json"], "results.json names its folder"


def test_the_temperature_is_optimal_for_the_validation_part_whatever_part_is_scored(
    run: Path, evaluate: Evaluate
) -> None:
    scores = [evaluate(run, *words)[part] for words, part in (((), "test"), (("part=train",), "train"))]
    labels, _, probabilities = columns(run / "val_predictions.csv")

    def loss(temperature: float) -> float:
        powers = np.maximum(probabilities, 1e-38) ** (1 / temperature)
        return log_loss(labels, powers / powers.sum(1, keepdims=True), labels=range(10))

    for score in scores:
        fitted = score["calibration"]
        assert fitted["fitted_on"] == str(run / "val_predictions.csv")
        best = loss(fitted["temperature"])
        assert best <= min(loss(fitted["temperature"] * factor) for factor in (0.99, 1.01))
        assert fitted["ece_after"] != fitted["ece"]
    assert scores[0]["calibration"]["temperature"] == scores[1]["calibration"]["temperature"]


@pytest.mark.parametrize(
    "words", [["part=val"], ["part=train", "data=synth", "data.n_train=300", "data.n_test=60"]], ids=" ".join
)
def test_a_temperature_is_not_fitted_on_the_images_that_are_scored(
    run: Path, evaluate: Evaluate, words: list[str]
) -> None:
    (score,) = (value for name, value in evaluate(run, *words).items() if name in ("train", "val"))
    assert score["calibration"]["temperature"] is None
    assert score["calibration"]["ece_after"] is None
    assert score["calibration"]["not_fitted"] == "the part that is scored contains the validation images"


def kept(path: Path, threshold: float) -> list[bool]:
    """Whether the predictions that a threshold accepts are correct, read without the tool."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["confidence"]) >= threshold]
    return [row["label"] == row["prediction"] for row in rows]


def rewrite_predictions(run: Path, sure: float) -> None:
    """Half of the validation predictions become correct and this confident, the others wrong, with 0.15."""
    path = unrecorded(run) / "val_predictions.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        predicted, confidence = (int(row["label"]) + i % 2) % 10, sure if i % 2 == 0 else 0.15
        row |= {f"p{k}": f"{(1 - confidence) / 9:.6g}" for k in range(10)} | {
            f"p{predicted}": f"{confidence}"
        }
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_coverage_is_given_for_the_part_and_for_the_threshold_of_the_validation_part(
    run: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite_predictions(run, sure=0.3)
    coverage = evaluate(run)["test"]["coverage"]
    predictions = run / "eval" / "synth-test" / "predictions.csv"
    assert (coverage["target_accuracy"], coverage["not_fitted"]) == (0.98, None)
    of_val, best = coverage["val_threshold"], coverage["best"]
    expected = kept(predictions, 0.3)
    assert 0 < len(expected) < 60
    assert (of_val["threshold"], of_val["accepted"], of_val["n"]) == (0.3, len(expected), 60)
    assert of_val["accuracy"] == sum(expected) / len(expected)
    with predictions.open(newline="") as file:
        thresholds = {float(row["confidence"]) for row in csv.DictReader(file)}
    reaching = [t for t in thresholds if sum(kept(predictions, t)) / len(kept(predictions, t)) >= 0.98]
    assert (best and best["threshold"]) == min(reaching, default=None)
    assert cli.main(["eval", str(run), "device=cpu"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "98% accuracy" in shown
    assert f"threshold of val 0.3: {of_val['coverage']:.2%} [" in shown


def test_no_threshold_is_fitted_where_the_validation_predictions_do_not_allow_it(
    run: Path, evaluate: Evaluate
) -> None:
    same = evaluate(run, "part=val")["val"]["coverage"]
    assert same["val_threshold"] is None
    assert same["not_fitted"] == "the part that is scored contains the validation images"
    rewrite_predictions(run, sure=0.12)
    short = evaluate(run)["test"]["coverage"]
    assert short["val_threshold"] is None
    assert short["not_fitted"] == "no threshold reaches 98% accuracy on the validation images"


def test_missing_predictions_of_the_validation_part_are_reported(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "val_predictions.csv").unlink()
    assert cli.main(["eval", str(run)]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "temperature not fitted: there is no val_predictions.csv beside the checkpoint" in words


BREAK: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda text: b"", "no column 'label'"),
    "header only": (lambda text: text.split(b"\n")[0] + b"\n", "it has no rows"),
    "a missing column": (lambda text: text.replace(b",p9\n", b",q9\n"), "no column 'p9'"),
    "cut off": (lambda text: text[: text.rstrip().rindex(b",")], "line 30: a probability is not a number"),
    "a word": (lambda text: text.replace(b",0.", b",zero.", 3), "line 2: a probability is not a number"),
    "nan": (lambda text: text.rstrip().rpartition(b",")[0] + b",nan\n", "line 30: its probabilities add up"),
    "negative": (lambda text: text.replace(b",0.", b",-0.", 20), "line 2: its probabilities add up to"),
    "no label": (lambda text: text.replace(b"/", b"/,", 1), "line 2: "),
    "an unclosed quote": (lambda text: text + b'"', "unexpected end of data"),
    "not text": (lambda text: b"\xff\xfe" + text, "codec can't decode"),
}


@pytest.mark.parametrize("how", BREAK)
def test_broken_predictions_of_the_validation_part_give_a_single_message(
    run: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    path = unrecorded(run) / "val_predictions.csv"
    change, message = BREAK[how]
    path.write_bytes(change(path.read_bytes()))
    capsys.readouterr()
    assert cli.main(["eval", str(run)]) == 4
    out, err = capsys.readouterr()
    (line,) = (line for line in err.splitlines() if "error:" in line)
    assert line.startswith(f"svhn: error: '{path}' cannot be used: ")
    assert message in line
    assert "hint: remove it to continue without a temperature" in err
    assert "Traceback" not in out + err
    assert not (run / "eval").exists(), "nothing is evaluated"


@pytest.mark.parametrize("width", [80, 120])
def test_classes_calibration_and_the_folder_fit_the_terminal(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["eval", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split() == ["digit", "precision", "recall", "F1", "count"]
    assert [line.split()[0] for line in lines[1:11]] == list("0123456789")
    assert sum("calibration" in line and "at temperature" in line for line in lines) == 1
    assert f"report  {run}/eval/synth-test" in lines


def test_each_kind_of_evaluation_has_its_own_folder_unless_out_names_one(
    run: Path, evaluate: Evaluate
) -> None:
    assert evaluate(run, "part=val", "tta=3")["report"] == str(run / "eval" / "synth-val-tta3")
    summary = evaluate(run, "out=mine/first")
    assert summary["report"] == "mine/first"
    assert sorted(path.name for path in Path("mine/first").iterdir()) == EVALUATION_FILES
    assert summary["test"]["files"]["mistakes.png"] == "mine/first/mistakes.png"
    assert [path.name for path in (run / "eval").iterdir()] == ["synth-val-tta3"]


def test_a_file_in_place_of_the_report_folder_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").write_text("x")
    assert cli.main(["eval", str(run), "out=mine"]) == 2
    assert "out=mine is a file" in capsys.readouterr().err
    assert cli.main(["eval", str(run), "out=mine/first"]) == 6
    assert "choose another folder" in capsys.readouterr().err


def test_each_fold_has_its_own_report_and_temperature(folder: Path, evaluate: Evaluate) -> None:
    assert cli.main(["train", *SMALL, "split=kfold", "jobs=1", "split.k=2", "hydra.run.dir=folds"]) == 0
    summary = evaluate(Path("folds"))
    assert summary["report"] == "folds/*/eval/synth-test"
    reports = [score["report"] for score in summary["scores"]]
    assert sorted(map(str, Path().glob(summary["report"]))) == sorted(reports)
    assert len(set(reports)) == len({s["calibration"]["temperature"] for s in summary["scores"]}) == 2
    assert summary["test"]["accuracy"] == np.mean([score["accuracy"] for score in summary["scores"]])
    elsewhere = evaluate(Path("folds"), "out=all")
    assert [score["report"] for score in elsewhere["scores"]] == [
        f"all/{s['fold']}" for s in summary["scores"]
    ]


# ----------------------------------------------------------------------------- a test part alone

MAT = ["data.check_md5=false", "data.download=false"]


@pytest.mark.parametrize("words", [["data=svhn", "data.root=d", *MAT], []], ids=["named", "the run's own"])
def test_the_test_part_is_scored_where_the_training_file_is_missing(
    folder: Path, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setitem(svhn.FILES, "test", ("test_32x32.mat", None))  # the run's config checks MD5s
    write_run(folder / "run", Framing(32, 32), 1, LinearConfig())
    root = folder / "d" if words else folder / "run" / "nowhere"
    write_mat(root, "test", 40, 0)
    alone = evaluate(Path("run"), *words)
    assert (alone["test"]["n"], alone["data"]) == (40, "svhn")
    write_mat(root, "train", 60, 1)
    whole = evaluate(Path("run"), *words)
    for key in ("n", "accuracy", "loss", "confusion"):
        assert whole["test"][key] == alone["test"][key], key


def test_a_missing_training_file_is_reported_when_it_should_be_scored(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "run", Framing(32, 32), 1, LinearConfig())
    write_mat(folder / "d", "test", 40, 0)
    assert cli.main(["eval", "run", "data=svhn", "data.root=d", *MAT, "part=train"]) == 3
    assert "train_32x32.mat" in capsys.readouterr().err


def test_a_folder_with_only_a_test_part_is_scored(folder: Path, evaluate: Evaluate) -> None:
    write_run(folder / "run", Framing(32, 32), 1, LinearConfig())
    for digit in range(3):
        (folder / "mine" / "test" / str(digit)).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((32, 32, 3), 60 * digit + number, np.uint8)
            Image.fromarray(pixels).save(folder / "mine" / "test" / str(digit) / f"{number}.png")
    words = ["data=folder", "data.root=mine", "data.height=32", "data.width=32"]
    assert evaluate(Path("run"), *words)["test"]["n"] == 12


def test_a_run_is_evaluated_on_its_data_wherever_it_lies_now(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["render", "layout=folder", "out=old", "data.n_train=60", "data.n_test=20"]) == 0
    words = ["data=folder", "data.root=old", "model=linear", "epochs=1", "threads=1", "watch=0"]
    assert cli.main(["train", *words, "report=false", "out=run"]) == 0
    (folder / "old").rename(folder / "new")
    evaluate = ["eval", "run", "part=val", "--json"]
    assert cli.main(evaluate) == 3
    capsys.readouterr()
    assert cli.main([*evaluate, "data.root=new"]) == 0
    moved = json.loads(capsys.readouterr().out)["val"]["loss"]
    assert cli.main(["train", "--resume", "run", "data.root=new"]) == 0
    capsys.readouterr()
    assert cli.main(evaluate) == 0
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert (
        json.loads(capsys.readouterr().out)["val"]["loss"] == moved == pytest.approx(summary["val"]["loss"])
    )
    next((folder / "new").rglob("*.png")).unlink()
    assert cli.main([*evaluate, "data.root=new"]) == 3
    assert "not what this run was trained on" in capsys.readouterr().err
