"""`svhn inspect`: the command finds planted faults and no others, and writes what it found."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import write_mat
from forked import Forked
from photo_files import fields, write_mchar
from PIL import Image
from scipy.io import loadmat, savemat

from svhncli.analysis.inspect.inspected import Limits
from svhncli.analysis.inspect.inspection_files import SHOWN, SIDE
from svhncli.cli import main as cli
from svhncli.runs.contact_sheet import CAPTION, GAP, WRONG
from svhncli.runs.predictions import COLLECTED, read_collected
from svhncli.runs.run_dir import RunDir
from svhncli.stats.confident_learning import RELIABLE

LIMITS = Limits(4.0, 0.96, 3.5)
MAT = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false"]


# ----------------------------------------------------------------------------- the command


def test_a_warning_tells_that_an_inspection_of_other_data_is_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replaced = "this replaces an inspection of synth in outputs/inspect"
    for count, warned in ((60, False), (60, False), (61, True)):
        assert cli.main(["inspect", "data=synth", f"data.n_train={count}", "data.n_test=0"]) == 0
        assert (replaced in capsys.readouterr().err) == warned


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_its_findings_and_replaces_only_its_own_files(
    folder: Path, spawn: Callable[..., Forked], capsys: pytest.CaptureFixture[str]
) -> None:
    for part, n, seed in (("train", 300, 0), ("test", 80, 1)):
        write_mat(folder / "d", part, n, seed)
    train, test = (loadmat(folder / "d" / f"{part}_32x32.mat") for part in ("train", "test"))
    train["X"][..., 5] = 90
    test["X"][..., 7], test["y"][7] = train["X"][..., 9], train["y"][9]
    for part, mat in (("train", train), ("test", test)):
        savemat(folder / "d" / f"{part}_32x32.mat", {"X": mat["X"], "y": mat["y"]})

    process = spawn("inspect", *MAT, "--json")
    out, err = process.communicate()
    assert process.returncode == 0, err
    printed = json.loads(out)
    result = json.loads((folder / "outputs" / "inspect" / "result.json").read_text())
    assert printed == {**result, "out": "outputs/inspect"}
    assert {*result} >= {"data", "fingerprint", "split", "seed", "parts", "findings", "drift"}
    sizes = {name: part["n"] for name, part in result["parts"].items()}
    assert (sizes["train"] + sizes["val"], sizes["test"]) == (300, 80)
    by_name = {finding["name"]: finding for finding in result["findings"]}
    assert {name: finding["count"] for name, finding in by_name.items() if finding["count"]} == {
        "leakage": 1,
        "exact_duplicates": 1,
        "blank": 1,
    }
    levels = [finding["level"] for finding in result["findings"]]
    assert levels == sorted(levels, key=["bad", "look", "good"].index)
    listed = {row["finding"]: row for row in rows_of(folder / "outputs/inspect/findings.csv")}
    assert (listed["leakage"]["name"], listed["leakage"]["partner_name"]) == ("test/7", "train/9")
    assert listed["blank"]["name"] == "train/5"
    for finding in result["findings"]:
        assert (finding["sheet"] is not None) == (finding["count"] > 0)
        assert finding["sheet"] is None or (folder / "outputs" / "inspect" / finding["sheet"]).is_file()

    lists = {
        name: (folder / f"outputs/inspect/{name}.txt").read_text().splitlines()[1:]
        for name in by_name
        if (folder / f"outputs/inspect/{name}.txt").is_file()
    }
    assert lists == {"leakage": ["train/9"], "exact_duplicates": ["train/9"], "blank": ["train/5"]}
    for name in lists:
        assert by_name[name]["mend"].endswith(f"leave them out: data.exclude=outputs/inspect/{name}.txt")
    again = ["inspect", *MAT, "data.exclude=outputs/inspect/leakage.txt", "out=again"]
    assert cli.main(again) == 0
    left = json.loads((folder / "again" / "result.json").read_text())["findings"]
    assert {finding["name"] for finding in left if finding["count"]} == {"blank"}
    assert (folder / "again" / "blank.txt").read_text().splitlines()[1:] == [
        *("train/5", "# already left out", "train/9")
    ]
    capsys.readouterr()

    assert cli.main(["inspect", *MAT]) == 0
    shown = capsys.readouterr().out
    assert "leakage between parts" in shown
    assert max(map(len, shown.splitlines())) <= 100
    (folder / "outputs" / "inspect" / "mine.txt").touch()
    assert cli.main(["inspect", *MAT]) == 2
    assert "contains other files" in capsys.readouterr().err


def test_broken_files_and_bad_boxes_of_photographs_are_listed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs = write_mchar(folder / "m", "train", 60, 0)
    write_mchar(folder / "m", "val", 30, 1)
    labels = json.loads((folder / "m" / "mchar_train.json").read_text())
    labels["000004.png"]["width"][0] = 0
    labels["000005.png"]["left"][0] = 900
    assert labels["000006.png"] == fields(*photographs[5][1:])
    (folder / "m" / "mchar_train.json").write_text(json.dumps(labels))
    (folder / "m" / "mchar_train" / "000009.png").write_bytes(b"not an image")
    assert cli.main(["inspect", "data=mchar", "data.root=m", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {*result["parts"]} == {"train", "val"}  # the parts that the data has
    assert result["parts"]["train"]["n"] == 59
    assert 40 <= result["parts"]["train"]["sizes"]["width"]["min"] < 70
    listed = {(row["finding"], row["name"]) for row in rows_of(folder / "outputs/inspect/findings.csv")}
    assert listed >= {
        ("broken", "mchar_train/000009.png"),
        ("empty_boxes", "mchar_train/000004.png"),
        ("outside_boxes", "mchar_train/000005.png"),
    }
    assert not listed & {
        ("empty_boxes", "mchar_train/000006.png"),
        ("outside_boxes", "mchar_train/000006.png"),
    }


@pytest.mark.parametrize("words", [[], ["latest", "data=tiny"]])
def test_either_data_or_a_run_is_inspected(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert cli.main(["inspect", *words]) == 2
    assert "svhn inspect RUN" in capsys.readouterr().err


# ----------------------------------------------------------------------------- the labels of a run


def test_an_image_outside_several_bags_has_the_mean_of_their_probabilities(tmp_path: Path) -> None:
    lines = ["fold,index,name,label,prediction,confidence," + ",".join(f"p{k}" for k in range(10))]
    for fold, index, label, p in ((0, 7, 3, 0.5), (0, 2, 1, 0.9), (1, 7, 3, 0.1)):
        rest = [f"{(1 - p) / 9:.9f}"] * 9
        lines.append(f"fold{fold},{index},x,{label},3,1," + ",".join([f"{p}", *rest]))
    (tmp_path / COLLECTED).write_text("\n".join(lines))
    rows, probabilities, labels = read_collected(RunDir(tmp_path), 1, 10)
    assert rows.tolist() == [2, 7]
    assert probabilities[:, 0, 0] == pytest.approx([0.9, 0.3])
    assert labels.tolist() == [[1], [3]]


TRAIN = [*MAT, "model=linear", "lr=0.01", "device=cpu", "threads=1", "watch=0", "test=false", "batch_size=32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A folder with data in which 12 labels are wrong and a run of folds on it; the names of those images."""
    workspace = tmp_path_factory.mktemp("trained")
    write_mat(workspace / "d", "train", 400, 0)
    mat = loadmat(workspace / "d" / "train_32x32.mat")
    swapped = np.arange(10, 400, 34)
    mat["y"][swapped] = mat["y"][swapped] % 10 + 1
    savemat(workspace / "d" / "train_32x32.mat", {"X": mat["X"], "y": mat["y"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        words = ["split=kfold", "jobs=1", "split.k=3", "epochs=12", "hydra.run.dir=run"]
        assert cli.main(["train", *TRAIN, *words]) == 0
    return workspace, {f"train/{row}" for row in swapped}


def test_a_run_of_folds_finds_wrong_labels_and_its_list_excludes_them(
    trained: tuple[Path, set[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, swapped = trained
    monkeypatch.chdir(workspace)
    assert cli.main(["inspect", "run", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["judged"], result["of"]) == (400, 400)
    assert result["estimated_errors"] == pytest.approx(len(swapped), rel=0.5)
    assert result["read_as_labelled"] == pytest.approx(1 - len(swapped) / 400, abs=0.03)
    ranked = rows_of(workspace / "run" / "inspect" / "labels.csv")
    assert len(swapped & {row["name"] for row in ranked[: len(swapped)]}) >= len(swapped) - 1
    assert all(row["label"] != row["suggested"] for row in ranked if row["name"] in swapped)
    suspects = sum(row["likely_error"] == "1" for row in ranked)
    assert 0 < suspects < SHOWN
    sheet = np.asarray(Image.open(workspace / "run" / "inspect" / "labels.png"))
    side, blocks, top = SIDE + GAP, [], 0
    for count in (suspects, SHOWN - suspects):  # a block of the suspects, then one of other images
        below = [
            sheet[top + CAPTION + place // 8 * (side + CAPTION) + SIDE, place % 8 * side + SIDE - 1].tolist()
            for place in range(count)
        ]
        blocks.append(below)
        top += CAPTION + -(-count // 8) * (side + CAPTION)
    assert top == len(sheet)
    assert blocks == [[list(WRONG)] * suspects, [[255, 255, 255]] * (SHOWN - suspects)]

    file = workspace / "run" / "inspect" / "exclude.txt"
    first = {line for line in file.read_text().splitlines() if not line.startswith("#")}
    assert first == {row["name"] for row in ranked if row["likely_error"] == "1"}
    assert cli.main(["inspect", "run"]) == 0
    printed = capsys.readouterr().out
    assert "400 of 400 labels judged" in printed
    assert f"svhn train {' '.join(TRAIN)} split=kfold jobs=1" in printed
    assert printed.rstrip().endswith("data.exclude=run/inspect/exclude.txt")
    words = ["train", *TRAIN, f"data.exclude={file}", "split=bootstrap", "jobs=1", "split.n=2", "epochs=1"]
    assert cli.main([*words, "hydra.run.dir=again"]) == 0
    capsys.readouterr()
    assert cli.main(["inspect", "again", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["of"] == 400 - len(first)
    assert result["judged"] < result["of"]  # some images were drawn into both bags
    lines = (workspace / "again" / "inspect" / "exclude.txt").read_text().splitlines()
    second = {line for line in lines if not line.startswith("#")}
    assert second > first  # a network of one epoch doubts more labels; those of the first list are gone
    judged = {row["name"] for row in rows_of(workspace / "again" / "inspect" / "labels.csv")}
    assert not judged & first

    assert cli.main(["compare", "run", "again", "--json"]) == 0, "on the images that both predicted"
    (difference,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert difference["pictures"] == len(judged)
    assert difference["left_out"] == [400 - len(judged), 0]
    labels = {row["name"]: row["label"] for row in rows_of(workspace / "run" / "oof_predictions.csv")}
    right = [
        row["label"] == labels[row["name"]] for row in rows_of(workspace / "again" / "oof_predictions.csv")
    ]
    assert all(right)


def test_a_run_with_poor_accuracy_judges_no_label(
    trained: tuple[Path, set[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, _ = trained
    monkeypatch.chdir(workspace)
    words = ["split=kfold", "jobs=1", "split.k=2", "epochs=1", "lr=1e-5", "report=false", "out=poor"]
    assert cli.main(["train", *TRAIN, *words]) == 0
    capsys.readouterr()
    assert cli.main(["inspect", "poor", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["read_as_labelled"] < RELIABLE
    assert (result["estimated_errors"], result["next"]) == (None, [])
    (finding,) = result["findings"]
    assert (finding["level"], finding["count"], finding["sheet"]) == ("bad", 0, None)
    assert "in no position to doubt labels: that takes 70% or more" in finding["mend"]
    assert [path.name for path in Path("poor/inspect").iterdir()] == ["result.json"]


def test_a_run_whose_data_changed_is_refused(
    trained: tuple[Path, set[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, _ = trained
    monkeypatch.chdir(workspace)
    before = (workspace / "d" / "train_32x32.mat").read_bytes()
    write_mat(workspace / "d", "train", 400, 5)
    assert cli.main(["inspect", "run"]) == 3
    assert "has changed since it was trained" in capsys.readouterr().err
    (workspace / "d" / "train_32x32.mat").write_bytes(before)


def test_a_run_of_one_fold_is_refused_with_a_hint_to_train_folds(
    folder: Path, spawn: Callable[..., Forked], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "run").mkdir()
    config = [
        "epochs: 1",
        "lr: 0.1",
        "data: {name: synth}",
        "split: {name: holdout}",
        "model: {name: linear}",
    ]
    config += ["optim: {name: sgd}", "schedule: {name: constant}", "reg: {name: none}"]
    (folder / "run" / "config.yaml").write_text("\n".join(config))
    process = spawn("inspect", "run")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "svhn train split=kfold" in err
    assert len(err.splitlines()) == 2
    (folder / "run" / "config.yaml").write_text("\n".join(config).replace("holdout", "kfold"))
    assert cli.main(["inspect", "run"]) == 2
    assert "svhn train --resume run" in capsys.readouterr().err


def test_a_split_beside_a_run_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "run", "split=kfold"]) == 2
    assert "a run has its own split" in capsys.readouterr().err
