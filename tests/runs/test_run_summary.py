"""The summary of the folds and seeds of a run, against results worked out by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import fold_summary

from svhncli.core.errors import CheckpointError
from svhncli.core.files import read_json, write_csv
from svhncli.core.plain import to_plain
from svhncli.runs.predictions import read_rows
from svhncli.runs.results import FoldSummary
from svhncli.runs.run_dir import RunDir
from svhncli.runs.run_summary import write_run_summary
from svhncli.stats.estimates import resampled_intervals
from svhncli.stats.intervals import fold_interval, mean_interval

COLUMNS = ["index", "name", "group", "label", "prediction", "confidence", "p0", "p1"]

HEAD = "index,label,prediction\n"


def write_predictions(folder: Path, rows: list[tuple[int, int, str, str]]) -> None:
    """Rows of index, group, label, prediction."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(
        folder / "val_predictions.csv",
        COLUMNS,
        (
            {
                "index": i,
                "name": f"n{i}",
                "group": g,
                "label": label,
                "prediction": predicted,
                "confidence": 1,
            }
            | {"p0": 1, "p1": 0}
            for i, g, label, predicted in rows
        ),
    )


def fold_result(name: str, fold: str, seed: int, accuracy: float) -> FoldSummary:
    return fold_summary(accuracy, name=name, fold=fold, seed=seed, test=None)


def summarized(folder: Path, folds: list[FoldSummary]) -> dict[str, Any]:
    """The JSON of the summary, which is also what its file holds."""
    summary = to_plain(write_run_summary(RunDir(folder), folds, None))
    assert read_json(folder / "summary.json") == summary
    assert to_plain(RunDir(folder).summary()) == summary
    return summary


def test_folds_have_a_corrected_interval_and_unseen_images_an_interval_over_groups(
    tmp_path: Path,
) -> None:
    write_predictions(tmp_path / "fold0", [(0, 5, "1", "1"), (2, 5, "1", "1")])
    write_predictions(tmp_path / "fold1", [(1, 6, "0", "1"), (3, 7, "1", "1")])
    results = [fold_result("fold0", "fold0", 0, 1.0), fold_result("fold1", "fold1", 0, 0.5)]
    summary = summarized(tmp_path, results)
    interval = fold_interval([1.0, 0.5], 8, 2)
    accuracy = summary["val_accuracy"]
    assert (accuracy["mean"], accuracy["sd"]) == (0.75, pytest.approx(np.std([1, 0.5], ddof=1)))
    assert (accuracy["low"], accuracy["high"]) == (max(0, interval.low), min(1, interval.high))
    unseen = summary["unseen"]
    assert (unseen["accuracy"], unseen["n"], unseen["groups"]) == (0.75, 4, 3)
    assert unseen["interval"]["method"] == "clustered wilson"
    assert summary["seeds"] is None
    assert summary["bootstrap"] is None


def test_seeds_of_each_fold_are_averaged_first_and_their_spread_is_reported(tmp_path: Path) -> None:
    scores = {("a", 0): 0.5, ("b", 0): 0.7, ("a", 1): 0.6, ("b", 1): 0.6}
    results = []
    for (fold, seed), accuracy in scores.items():
        write_predictions(tmp_path / f"{seed}{fold}", [(0, 0, "1", "1"), (1, 1, "1", "0")])
        results.append(fold_result(f"{seed}{fold}", fold, seed, accuracy))
    summary = summarized(tmp_path, results)
    assert summary["val_accuracy"]["mean"] == pytest.approx(0.6)
    assert summary["val_accuracy"]["sd"] == pytest.approx(np.std([0.55, 0.65], ddof=1))
    assert summary["seeds"] == {"n": 2, "mean": pytest.approx(0.6), "sd": pytest.approx(0)}


def test_seeds_on_the_same_split_have_students_interval(tmp_path: Path) -> None:
    values = [0.5, 0.6, 0.9]
    for seed in range(3):
        write_predictions(tmp_path / f"seed{seed}", [(0, 0, "1", "1"), (1, 1, "1", "0")])
    summary = summarized(
        tmp_path, [fold_result(f"seed{i}", "holdout", i, value) for i, value in enumerate(values)]
    )
    interval = mean_interval(values)
    assert summary["val_accuracy"]["low"] == max(0, interval.low)
    assert summary["seeds"]["sd"] == pytest.approx(np.std(values, ddof=1))


def test_out_of_bag_and_632_of_a_bootstrap_by_hand(tmp_path: Path) -> None:
    """4 images out of bag: 0 is predicted twice, once correctly; 2 wrongly, 3 correctly, 1 never."""
    write_predictions(tmp_path / "boot00", [(0, 0, "0", "0"), (2, 2, "1", "0")])
    write_predictions(tmp_path / "boot01", [(0, 0, "0", "1"), (3, 3, "1", "1")])
    fitted = [(0, 0, "0", "0"), (1, 1, "1", "1"), (2, 2, "1", "0"), (3, 3, "1", "1")]
    write_predictions(tmp_path / "all", fitted)
    for folder in tmp_path.iterdir():  # and thirty copies of every image: enough to be resampled
        rows = read_rows(folder / "val_predictions.csv")
        many = zip(rows.index, rows.label, rows.prediction, strict=True)
        write_predictions(folder, sorted((i + 4 * k, i + 4 * k, a, b) for i, a, b in many for k in range(30)))
    parts = [fold_result("boot00", "boot00", 0, 0.5), fold_result("boot01", "boot01", 0, 0.5)]
    summary = summarized(tmp_path, [*parts, fold_result("all", "all", 0, 0.75)])
    assert [fold["name"] for fold in summary["folds"]] == ["boot00", "boot01"]
    assert summary["val_accuracy"]["mean"] == 0.5
    bootstrap = summary["bootstrap"]
    oob = (0.5 + 1 + 0) / 3
    gamma = 1 - (1 / 4 * 2 / 4 + 3 / 4 * 2 / 4)
    rate = (min(oob, gamma) - 0.25) / (gamma - 0.25)
    weight = 0.632 / (1 - 0.368 * rate)
    assert bootstrap["train_error"] == 0.25
    assert bootstrap["no_information_rate"] == gamma
    assert bootstrap["oob"]["value"] == pytest.approx(1 - oob)
    assert bootstrap["632"]["value"] == pytest.approx(1 - 0.368 * 0.25 - 0.632 * oob)
    assert bootstrap["relative_overfitting"] == pytest.approx(rate)
    assert bootstrap["weight"] == pytest.approx(weight)
    assert bootstrap["632plus"]["value"] == pytest.approx(1 - (1 - weight) * 0.25 - weight * min(oob, gamma))
    errors = np.tile([0.5, np.nan, 1, 0], 30)
    labels, predicted = np.tile(["0", "1", "1", "1"], 30), np.tile(["0", "1", "0", "1"], 30)
    intervals = resampled_intervals(errors, labels, predicted, np.arange(120), seed=0)
    for name in ("oob", "632", "632plus"):
        assert bootstrap[name]["percentile"] == asdict(intervals[name].percentile)


def test_an_image_predicted_several_times_counts_once(tmp_path: Path) -> None:
    write_predictions(tmp_path, [(4, 9, "1", "1"), (4, 9, "1", "0"), (2, 8, "1", "1"), (4, 9, "1", "1")])
    index, scores, groups = read_rows(tmp_path / "val_predictions.csv").by_image()
    assert index.tolist() == [2, 4]
    assert scores.tolist() == [1, pytest.approx(2 / 3)]
    assert groups.tolist() == [8, 9]


def test_a_file_without_groups_has_a_group_for_each_image(tmp_path: Path) -> None:
    file = tmp_path / "val_predictions.csv"
    file.write_text("index,name,label,prediction\n3,a,01,01\n1,b,2,3\n")
    rows = read_rows(file)
    assert rows.group.tolist() == [3, 1]
    assert rows.correct.tolist() == [True, False]


@pytest.mark.parametrize(
    "text", ["", "index,label\n", "index,label,prediction\n", "index,label,prediction\nx,1,1\n"]
)
def test_an_invalid_predictions_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "val_predictions.csv"
    file.write_text(text)
    with pytest.raises(CheckpointError, match="cannot be used"):
        read_rows(file)
