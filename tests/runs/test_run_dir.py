"""The run directory: it is held by a single process, and its files are exact."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from conftest import fold_summary

from svhncli.config.choices import CHOICES
from svhncli.core.errors import BusyError, CheckpointError, DiskError, UsageError
from svhncli.core.files import begin_sums, write_csv, write_json, write_text
from svhncli.core.plain import to_plain
from svhncli.runs import reader
from svhncli.runs.environment import Status
from svhncli.runs.results import BestEpoch, Summary, failure
from svhncli.runs.run_dir import METRICS, RunDir, Timing


def test_a_run_is_held_by_a_single_process(tmp_path: Path) -> None:
    with RunDir(tmp_path / "r").held(), pytest.raises(BusyError), RunDir(tmp_path / "r").held():
        pass
    with RunDir(tmp_path / "r").held():
        pass


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        RunDir(tmp_path).config()


def test_a_config_that_is_not_as_recorded_is_named_once(tmp_path: Path) -> None:
    begin_sums(tmp_path)
    RunDir(tmp_path).write_settings({"data": {}, "model": {}})
    (tmp_path / "config.yaml").write_text("data: 1")
    with pytest.raises(CheckpointError) as caught:
        RunDir(tmp_path).config()
    assert caught.value.message.startswith(f"'{tmp_path / 'config.yaml'}' is damaged")


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
    assert to_plain(BestEpoch.of(last | {"epoch": 7})) == {
        "epoch": 7,
        "val_loss": 2.0,
        "val_accuracy": 2.0,
        "val_recall": 0.25,
        "val_late": 0.75,
    }


def test_timings_of_epochs_that_are_run_again_are_dropped(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for epoch in (1, 2, 3):
        run.add_timing(Timing(epoch, 2.0, 100.0 * epoch))
    resumed = RunDir(tmp_path)
    resumed.load_timing(2)
    resumed.add_timing(Timing(3, 4.0, 50.0))
    assert resumed.speed() == (8.0, 100.0)


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


def test_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_status_file_has_the_status_and_the_epoch(tmp_path: Path) -> None:
    RunDir(tmp_path).write_status(Status.now("running", epoch=3))
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["status"], status["epoch"]) == ("running", 3)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"status": "done"}', '{"folds": 1}'])
def test_a_damaged_summary_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"summary\.json' cannot be used"):
        RunDir(tmp_path).summary()


@pytest.mark.parametrize(
    "summary",
    [
        fold_summary(0.5),
        fold_summary(
            0.5, best=BestEpoch(epoch=2, val_loss=1.0, val_accuracy=0.5, added={"val_recall": 0.25})
        ),
        failure(UsageError("no", "yes"), Path("run"), BestEpoch(epoch=1, val_loss=1.0, val_accuracy=0.5)),
        failure(KeyboardInterrupt(), Path("run")),
    ],
)
def test_a_written_summary_is_read_back_unchanged(tmp_path: Path, summary: Summary) -> None:
    RunDir(tmp_path).write_summary(summary)
    assert RunDir(tmp_path).summary() == summary


@pytest.mark.parametrize("key", ["data", "split", "model", "optim", "schedule", "reg", "lr", "epochs"])
def test_a_config_without_the_keys_of_a_run_is_refused(tmp_path: Path, key: str) -> None:
    groups = {name: {"name": "own", "size": 3} for name in CHOICES}  # of a plugin that is not there
    whole = {**groups, "epochs": 1, "lr": 0.1, "newer": True}
    RunDir(tmp_path).write_settings(whole)
    assert RunDir(tmp_path).config() == whole
    RunDir(tmp_path).write_settings({name: value for name, value in whole.items() if name != key})
    with pytest.raises(CheckpointError, match=f"config.yaml: its '{key}' is missing"):
        RunDir(tmp_path).config()
    assert reader.Run.of(tmp_path).config == {}
