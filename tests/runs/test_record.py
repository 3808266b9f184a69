"""The run directory: found by the words that people type, held by one process, exact where it says so."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from svhncli.core.errors import BusyError, CheckpointError, DiskError
from svhncli.core.files import write_csv, write_json, write_text
from svhncli.runs.record import METRICS, RunDir, best_scores, find_run


def make_run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("epochs: 1\n")
    return path


def test_latest_is_the_newest_stamp(folder: Path) -> None:
    make_run(Path("outputs/train/2026-01-02_00-00-00-000001"))
    newest = make_run(Path("outputs/train/2026-01-02_00-00-00-000002"))
    Path("outputs/train/2027-01-01_00-00-00-000000").mkdir()  # never began
    make_run(Path("outputs/train/zzz"))  # not a stamp
    assert find_run(None) == find_run("latest") == newest


def test_a_run_is_found_by_its_folder_a_file_or_a_fold(folder: Path) -> None:
    run = make_run(Path("r"))
    (run / "fold0").mkdir()
    for name in ("last.pt", "fold0/best.pt"):
        (run / name).write_bytes(b"")
    for word in ("r", "r/last.pt", "r/fold0", "r/fold0/best.pt"):
        assert find_run(word) == run


def test_latest_may_be_a_finished_run_of_several_folds(folder: Path) -> None:
    run = folder / "outputs" / "train" / "2030-01-01_00-00-00-000000"
    (run / "fold0").mkdir(parents=True)
    for file in ("config.yaml", "summary.json", "fold0/last.pt"):
        (run / file).write_text("{}")
    assert find_run("latest").name == run.name


@pytest.mark.parametrize("word", [None, "latest", "nowhere", "elsewhere.pt"])
def test_what_is_no_run_is_refused(folder: Path, word: str | None) -> None:
    Path("elsewhere.pt").write_bytes(b"")
    with pytest.raises(CheckpointError):
        find_run(word)


def test_one_process_holds_a_run(tmp_path: Path) -> None:
    with RunDir(tmp_path / "r").held(), pytest.raises(BusyError), RunDir(tmp_path / "r").held():
        pass
    with RunDir(tmp_path / "r").held():
        pass


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        RunDir(tmp_path).config()


def test_metrics_keep_every_bit_of_a_float(tmp_path: Path) -> None:
    value = 0.1 + 0.2
    RunDir(tmp_path).write_history([dict.fromkeys(METRICS, value)])
    with (tmp_path / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert all(float(text) == value for text in row.values())


def test_metrics_csv_has_the_built_in_columns_and_those_that_every_epoch_has(tmp_path: Path) -> None:
    first = dict.fromkeys(METRICS, 1.0) | {"val_recall": 0.5}
    last = dict.fromkeys(METRICS, 2.0) | {"val_recall": 0.25, "val_late": 0.75}
    RunDir(tmp_path).write_history([first, last])
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == [",".join([*METRICS, "val_recall"]), "1.0," * 6 + "0.5", "2.0," * 6 + "0.25"]
    assert best_scores(last | {"epoch": 7}) == {
        "epoch": 7,
        "val_loss": 2.0,
        "val_accuracy": 2.0,
        "val_recall": 0.25,
        "val_late": 0.75,
    }


def test_the_clock_s_rows_of_epochs_that_are_run_again_are_dropped(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for epoch in (1, 2, 3):
        run.add_timing(epoch, 2.0, 100.0 * epoch)
    again = RunDir(tmp_path)
    again.load_timing(2)
    again.add_timing(3, 4.0, 50.0)
    assert again.speed() == (8.0, 100.0)


def test_json_with_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": math.nan})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_csv_has_its_columns_even_without_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["x", "y"], [])
    assert (tmp_path / "a.csv").read_text() == "x,y\n"


def test_files_are_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_status_says_which_process(tmp_path: Path) -> None:
    RunDir(tmp_path).status("running", epoch=3)
    found = json.loads((tmp_path / "status.json").read_text())
    assert (found["status"], found["epoch"]) == ("running", 3)
