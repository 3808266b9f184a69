"""`svhn compare` end to end on small trained runs: folds, seeds, a sweep, a person, refusals."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPO
from scipy.stats import binomtest, t, ttest_rel

from svhncli.cli import main as cli
from svhncli.stats.significance import paired_bootstrap

SMALL = ["data=tiny", "data.n_train=300", "data.n_test=80", "epochs=4", "lr=0.01", "threads=1", "device=cpu"]
SMALL += ["report=false", "jobs=1", "watch=0"]
FOLDS = ["split=kfold", "jobs=1", "split.k=3", "model=linear"]
Compare = Callable[..., dict[str, Any]]


def train(folder: Path, *words: str) -> None:
    assert cli.main(["train", *SMALL, f"hydra.run.dir={folder}", *words]) == 0


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: linear, mlp and wide (an mlp with a wider layer); three folds and three seeds of each
    of two configs; a sweep of three jobs, the second of which fails."""
    folder = tmp_path_factory.mktemp("made")
    train(folder / "linear", "model=linear", "name=first")
    train(folder / "mlp", "model=mlp", "model.widths=[16]")
    train(folder / "wide", "model=mlp", "model.widths=[32]", "batch_size=32")
    for name, more in {"slow": ["lr=0.0001"], "fast": []}.items():
        train(folder / f"{name}_folds", *FOLDS, *more)
        train(folder / f"{name}_seeds", "model=linear", "repeats=3", "jobs=1", *more)
    before = Path.cwd()
    os.chdir(folder)
    try:
        words = ["model=linear", "lr=1e-4,1e30,1e-2", "optim=sgd", "hydra.sweep.dir=sweep"]
        assert cli.main(["train", "-m", *SMALL, *words]) == 1
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def runs(trained_runs: Path, folder: Path) -> Path:
    """A copy of the trained runs in the current folder."""
    shutil.copytree(trained_runs, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Compare:
    def result(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        code = cli.main(["compare", *words, "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return result


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def correct(path: Path) -> np.ndarray:
    """Which predictions of a CSV file are correct, read without the tool."""
    return np.array([row["label"] == row["prediction"] for row in rows(path)])


def answer_quiz(folder: Path, count: int) -> None:
    """Save what `svhn human` saves of a person who makes no mistake: an answer to each question of the quiz
    page, and the facts that the page stores beside the answers."""
    assert cli.main(["human", *SMALL[:3], "html=true", f"n={count}", f"out={folder}"]) == 0
    (content,) = re.findall(r'json">(.*?)</script>', (folder / "quiz.html").read_text())
    page = json.loads(content)
    answers = [
        {name: question[name] for name in ("index", "name", "label")}
        | {"answer": question["label"], "seconds": 1.0}
        for question in page["questions"]
    ]
    (folder / "result.json").write_text(json.dumps({"answers": answers, **page["facts"]}))


# ----------------------------------------------------------------------------- runs


def test_two_runs_are_compared_image_by_image(runs: Path, compare: Compare) -> None:
    result = compare("linear", "mlp")
    (comparison,) = result["comparisons"]
    a, b = (correct(runs / name / "val_predictions.csv") for name in ("linear", "mlp"))
    assert (comparison["only_a"], comparison["only_b"]) == (int((a & ~b).sum()), int((b & ~a).sum()))
    assert (comparison["accuracy_a"], comparison["accuracy_b"]) == (a.mean(), b.mean())
    assert comparison["difference"] == pytest.approx(b.mean() - a.mean(), abs=1e-12)
    groups = np.array([int(row["group"]) for row in rows(runs / "mlp" / "val_predictions.csv")])
    assert comparison["groups"] == len(set(groups.tolist())) < len(groups)
    assert comparison["test"] == "bootstrap over groups of images"
    assert comparison["p"] == paired_bootstrap(b * 1.0 - a, groups, seed=0).p
    assert comparison["trainings"] is None
    assert any("randomness of training was not measured" in note for note in comparison["notes"])


def test_predictions_without_groups_count_as_independent_and_are_tested_by_mcnemar(
    runs: Path, compare: Compare
) -> None:
    for name in ("linear", "mlp"):
        path = runs / name / "val_predictions.csv"
        kept = [{key: value for key, value in row.items() if key != "group"} for row in rows(path)]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(kept[0]))
            writer.writeheader()
            writer.writerows(kept)
    (comparison,) = compare("linear", "mlp")["comparisons"]
    assert comparison["test"] == "McNemar, exact"
    only_b, discordant = comparison["only_b"], comparison["only_a"] + comparison["only_b"]
    assert discordant > 0
    assert comparison["p"] == pytest.approx(binomtest(only_b, discordant).pvalue, rel=1e-12)


def test_the_result_and_the_plot_are_written(runs: Path, compare: Compare) -> None:
    result = compare("linear", "mlp", "out=there")
    assert {path.name for path in (runs / "there").iterdir()} == {"result.json", "differences.png"}
    saved = json.loads((runs / "there" / "result.json").read_text())
    assert result == {**saved, "picture": "there/differences.png", "out": "there"}
    assert (runs / "there" / "differences.png").read_bytes().startswith(b"\x89PNG")
    compare("linear", "wide", "out=there")  # replaces it


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["compare", "linear", "mlp", "wide", "slow_seeds", "pairs=all"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert "C - B: " in out
    assert " p\n" not in out.replace("  p\n", "")  # no line ends between "p" and its value
    assert out.count("key ") == 1


def test_torch_is_not_imported(runs: Path) -> None:
    program = (
        "import sys; from svhncli.cli.main import main\n"
        "code = main(['compare', 'linear', 'mlp', 'part=val'])\n"
        "sys.exit(code or str({'torch', 'torchvision'} & {*sys.modules} or ''))"
    )
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    process = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=runs, capture_output=True, text=True, check=False
    )
    assert process.stderr == "\n"


def test_all_pairs_are_corrected_together(runs: Path, compare: Compare) -> None:
    pairs = compare("linear", "mlp", "wide", "pairs=all")["comparisons"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [("A", "B"), ("A", "C"), ("B", "C")]
    smallest = min(pairs, key=lambda pair: pair["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, 3 * smallest["p"]))
    assert "by Holm over 3" in pairs[0]["verdict"]
    assert len(compare("linear", "mlp", "wide")["comparisons"]) == 2


# ----------------------------------------------------------------------------- folds and seeds


def test_folds_are_paired_and_tested_by_the_corrected_t(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("slow_folds", "fast_folds")["comparisons"]
    accuracies = [
        [fold["val"]["accuracy"] for fold in json.loads((runs / name / "summary.json").read_text())["folds"]]
        for name in ("slow_folds", "fast_folds")
    ]
    differences = np.array(accuracies[1]) - accuracies[0]
    over_folds = comparison["trainings"]
    assert (over_folds["over"], over_folds["n"]) == ("folds", 3)
    assert over_folds["differences"] == pytest.approx(differences)
    # a fold has half as many validation images as training images
    error = np.sqrt(differences.var(ddof=1) * (1 / 3 + 1 / 2))
    assert over_folds["p"] == pytest.approx(2 * t.sf(abs(differences.mean()) / error, 2), rel=0.02)
    assert comparison["pictures"] == 300
    assert comparison["p_both"] == max(comparison["p"], over_folds["p"])
    assert "over 3 folds" in comparison["verdict"]


def test_seeds_are_paired_and_an_image_scores_its_fraction_of_correct_seeds(
    runs: Path, compare: Compare
) -> None:
    (comparison,) = compare("slow_seeds", "fast_seeds")["comparisons"]
    hits = [
        [correct(runs / name / f"seed{seed}" / "val_predictions.csv") for seed in range(3)]
        for name in ("slow_seeds", "fast_seeds")
    ]
    a, b = (np.mean(run, axis=1) for run in hits)
    assert comparison["trainings"]["over"] == "seeds"
    assert comparison["trainings"]["p"] == pytest.approx(ttest_rel(b, a).pvalue, rel=1e-9)
    # a mean over seeds is neither correct nor wrong
    assert (comparison["only_a"], comparison["only_b"]) == (None, None)
    groups = [int(row["group"]) for row in rows(runs / "slow_seeds" / "seed0" / "val_predictions.csv")]
    scores = np.mean(hits[1], axis=0) - np.mean(hits[0], axis=0)
    assert comparison["p"] == paired_bootstrap(scores, np.array(groups), seed=0).p


def test_runs_on_different_splits_are_compared_on_their_common_images(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("linear", "fast_folds")["comparisons"]
    count = len(rows(runs / "linear" / "val_predictions.csv"))
    assert (comparison["pictures"], comparison["left_out"]) == (count, [0, 300 - count])
    assert any(
        f"{300 - count} images that only B predicted are left out" in note for note in comparison["notes"]
    )
    assert comparison["trainings"] is None


def test_a_fold_is_compared_like_any_run(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("slow_folds/fold0", "fast_folds/fold0")["comparisons"]
    assert comparison["pictures"] == len(rows(runs / "slow_folds" / "fold0" / "val_predictions.csv"))
    assert comparison["changes"] == ["lr"]


# ----------------------------------------------------------------------------- a sweep


def test_a_sweep_is_compared_as_its_finished_jobs_in_the_order_given(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = rows(runs / "sweep" / "summary.csv")[0]
    assert float(first["lr"]) == 1e-2  # the best job is not the first in the order given
    assert cli.main(["compare", "sweep", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    names = [Path(run["run"]).name for run in result["runs"]]
    assert names == ["lr-0.0001", "lr-0.01"]
    assert [Path(job).name for job in result["unfinished"]] == ["lr-1e-30-661504c9"]  # 1e+30
    assert "is not finished and is left out" in err
    assert result["differs"] == [{"key": "lr", "values": [1e-4, 1e-2], "kind": "config"}]


def test_baseline_names_another_run(runs: Path, compare: Compare) -> None:
    result = compare("sweep", "baseline=sweep/lr-0.01")
    assert [Path(run["run"]).name for run in result["runs"]] == ["lr-0.01", "lr-0.0001"]
    added = compare("sweep", "baseline=linear")
    assert [Path(run["run"]).name for run in added["runs"]] == ["linear", "lr-0.0001", "lr-0.01"]


# ----------------------------------------------------------------------------- settings


def test_a_single_change_is_shown_without_a_warning(runs: Path, compare: Compare) -> None:
    result = compare("linear", "mlp")
    assert result["comparisons"][0]["changes"] == ["model"]  # with its own keys it is a single change
    assert result["comparisons"][0]["warning"] is None
    assert result["differs"] == [{"key": "model", "values": ["linear", "mlp"], "kind": "config"}]


def test_several_changes_at_once_give_a_warning(runs: Path, compare: Compare) -> None:
    (comparison,) = compare("mlp", "wide")["comparisons"]
    assert comparison["changes"] == ["batch_size", "model.widths"]
    assert comparison["warning"].startswith("2 settings differ (batch_size, model.widths)")


def test_runs_of_the_same_config_differ_by_chance_whatever_their_machine(
    runs: Path, compare: Compare
) -> None:
    train(runs / "again", "model=linear", "save_minutes=9", "test=false")
    env = json.loads((runs / "again" / "env.json").read_text())
    env["versions"]["numpy"] = "1.0"
    (runs / "again" / "env.json").write_text(json.dumps(env))
    result = compare("linear", "again")
    (comparison,) = result["comparisons"]
    assert comparison["warning"] == "the same config: any difference is due to chance"
    (setting,) = result["differs"]
    assert (setting["key"], setting["values"][1], setting["kind"]) == ("versions.numpy", "1.0", "environment")
    assert (comparison["difference"], comparison["p"], comparison["needed"]) == (0, 1, None)
    assert comparison["verdict"] == ("no significant difference (0.00 points, 95% 0.00 to 0.00, p = 1)")


# ----------------------------------------------------------------------------- a person


def test_a_person_is_compared_with_a_run_on_the_images_of_the_quiz(runs: Path, compare: Compare) -> None:
    answer_quiz(runs / "outputs" / "human", 15)
    asked = {
        answer["index"] for answer in json.loads((runs / "outputs/human/result.json").read_text())["answers"]
    }
    path = runs / "linear" / "val_predictions.csv"
    run_correct = correct(path)[[int(row["index"]) in asked for row in rows(path)]]
    for word in ("outputs/human", "outputs/human/result.json"):
        result = compare(word, "linear")
        (comparison,) = result["comparisons"]
        assert comparison["pictures"] == 15
        assert (comparison["accuracy_a"], comparison["accuracy_b"]) == (1, run_correct.mean())
        assert (comparison["only_a"], comparison["only_b"]) == (int((~run_correct).sum()), 0)
        assert comparison["outcome"] == "worse"
        assert comparison["groups"] < 15  # which the run's predictions.csv records
        assert comparison["warning"] is None
        assert result["differs"] == []


# ----------------------------------------------------------------------------- the test part


def test_the_test_part_is_compared_on_what_eval_predicted(runs: Path, compare: Compare) -> None:
    for name in ("linear", "mlp", "fast_seeds"):
        assert cli.main(["eval", name, "device=cpu"]) == 0
    result = compare("linear", "mlp", "part=test")
    (comparison,) = result["comparisons"]
    assert comparison["pictures"] == 80
    for letter, name in zip("ab", ("linear", "mlp"), strict=True):
        tested = json.loads((runs / name / "eval" / "synth-test" / "results.json").read_text())
        assert comparison[f"accuracy_{letter}"] == pytest.approx(tested["accuracy"])
    assert compare("linear", "fast_seeds", "part=test", "tested_on=synth")["comparisons"][0]["pictures"] == 80


def test_runs_trained_on_different_data_are_compared_on_the_same_test_part(
    runs: Path, compare: Compare
) -> None:
    train(runs / "other", "model=linear", "data.seed=5")
    assert cli.main(["compare", "linear", "other"]) == 2
    assert cli.main(["eval", "linear", "device=cpu", "data=tiny", "data.n_train=300", "data.n_test=80"]) == 0
    assert cli.main(["eval", "other", "device=cpu", "data=tiny", "data.n_train=300", "data.n_test=80"]) == 0
    (comparison,) = compare("linear", "other", "part=test", "tested_on=synth")["comparisons"]
    assert comparison["pictures"] == 80
    assert comparison["changes"] == ["data.seed"]


# ----------------------------------------------------------------------------- refusals


def mark_interrupted(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))


def mislabel(run: Path) -> None:
    path = run / "val_predictions.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    cells[3] = str((int(cells[3]) + 1) % 10)
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")


def drop_fingerprint(run: Path) -> None:
    evaluation = run / "eval" / "synth-test"
    evaluation.mkdir(parents=True)
    (evaluation / "results.json").write_text("{}")


def change_data(run: Path) -> None:
    env = json.loads((run / "env.json").read_text())
    env["data"]["fingerprint"] = "0" * 64
    (run / "env.json").write_text(json.dumps(env))


def give_val_part(run: Path) -> None:
    split = json.loads((run / "split.json").read_text())
    (run / "split.json").write_text(json.dumps(split | {"val_part": "val"}))


def keep_one_image(run: Path) -> None:
    path = run / "val_predictions.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")


REFUSALS: dict[str, tuple[str, Callable[[Path], None] | None, int, str, str]] = {
    "nothing": ("", None, 2, "no runs are named", "svhn compare A B"),
    "one run": ("linear", None, 2, "there is nothing to compare 'linear' with", "two runs or more"),
    "twice": ("linear mlp linear/best.pt", None, 2, "'linear' is named twice", "once"),
    "missing": ("linear nowhere", None, 4, "there is no run 'nowhere'", "name a run's folder"),
    "not a run": ("linear .", None, 4, "does not belong to a run", ""),
    "unfinished": ("linear mlp", mark_interrupted, 4, "'mlp' is not finished", "svhn train --resume mlp"),
    "no predictions": ("linear mlp", lambda run: (run / "val_predictions.csv").unlink(), 4, "cannot be", ""),
    "no split": ("linear mlp", lambda run: (run / "split.json").unlink(), 4, "no readable split.json", ""),
    "labels": ("linear mlp", mislabel, 4, "different labels for image", "again"),
    "other data": ("linear mlp", change_data, 2, "different images or labels", "tested_on=NAME"),
    "other part": ("linear mlp", give_val_part, 2, "none in common", "part=test"),
    "one image": ("linear mlp", keep_one_image, 2, "1 image(s) of one group", "same images"),
    "not evaluated": ("linear mlp part=test", None, 4, "has not been evaluated yet", "svhn eval linear"),
    "never evaluated there": ("linear mlp part=test tested_on=svhn", None, 4, "svhn-test", "data=svhn"),
    "old evaluation": (
        "mlp linear part=test", drop_fingerprint, 4, "results.json' cannot be used", "svhn eval mlp"
    ),
    "many baselines": ("linear mlp baseline=sweep", None, 2, "baseline=sweep names 2 runs", "name one run"),
    "wrong pairs": ("linear mlp pairs=every", None, 2, "pairs=every: must be baseline or all", ""),
    "out is taken": ("linear mlp out=linear", None, 2, "'linear' contains other files", "a new folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_runs_that_cannot_be_compared_are_refused_with_a_message(
    runs: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    words, damage, code, message, hint = REFUSALS[name]
    if damage is not None:
        damage(runs / "mlp")
    before = sorted(runs.rglob("*"))
    capsys.readouterr()
    assert cli.main(["compare", *words.split()]) == code
    out, err = capsys.readouterr()
    first, _, rest = err.partition("  hint: ")
    assert message in first
    assert hint in rest
    assert "Traceback" not in err
    assert out == ""
    assert [path for path in sorted(runs.rglob("*")) if path.name != "outputs"] == before


def test_a_person_has_no_test_part(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer_quiz(runs / "outputs" / "human", 5)
    assert cli.main(["compare", "outputs/human", "linear", "part=test"]) == 2
    assert "leave part=test out" in capsys.readouterr().err
    (runs / "outputs" / "human" / "result.json").write_text('{"answers": []}')
    assert cli.main(["compare", "outputs/human", "linear"]) == 4
    assert "where svhn human saved its answers" in capsys.readouterr().err


def test_completion_offers_runs_after_every_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "outputs" / "train" / "mine").mkdir(parents=True)
    for words in (["compare", ""], ["compare", "latest", ""], ["compare", "a", "baseline="]):
        assert cli.main(["--complete", *words]) == 0
        assert "outputs/train/mine" in capsys.readouterr().out
