"""The run that an argument names: by its folder, a file in it, a fold, a sweep or `latest`."""

from __future__ import annotations

from pathlib import Path

import pytest

from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.runs.locate import (
    checkpoint_file,
    checkpoint_files,
    is_begun,
    member_files,
    reported_folder,
    resumable,
    run_folder,
)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def make_run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("epochs: 1\n")
    return path


def test_latest_is_the_newest_timestamp(folder: Path) -> None:
    make_run(Path("outputs/train/2026-01-02_00-00-00-000001"))
    newest = make_run(Path("outputs/train/2026-01-02_00-00-00-000002"))
    Path("outputs/train/2027-01-01_00-00-00-000000").mkdir()  # never began
    make_run(Path("outputs/train/zzz"))  # not a timestamp
    assert run_folder(None) == run_folder("latest") == newest
    assert reported_folder(None) == reported_folder("latest") == newest


def test_a_run_is_located_by_its_folder_a_file_or_a_fold(folder: Path) -> None:
    run = make_run(Path("r"))
    (run / "fold0").mkdir()
    for name in ("last.pt", "fold0/best.pt"):
        (run / name).write_bytes(b"")
    for word in ("r", "r/last.pt", "r/fold0", "r/fold0/best.pt"):
        assert run_folder(word) == run


def test_latest_may_be_a_finished_run_of_several_folds(folder: Path) -> None:
    run = folder / "outputs" / "train" / "2030-01-01_00-00-00-000000"
    (run / "fold0").mkdir(parents=True)
    for file in ("config.yaml", "summary.json", "fold0/last.pt"):
        (run / file).write_text("{}")
    assert run_folder("latest").name == run.name


@pytest.mark.parametrize("word", [None, "latest", "nowhere", "elsewhere.pt"])
def test_anything_but_a_run_is_refused(folder: Path, word: str | None) -> None:
    Path("elsewhere.pt").write_bytes(b"")
    with pytest.raises(CheckpointError):
        run_folder(word)
    with pytest.raises(CheckpointError):
        reported_folder(word)


def test_a_report_is_of_the_fold_or_sweep_that_the_argument_names(folder: Path) -> None:
    touch(
        "run/config.yaml", "run/fold0/split.json", "run/fold0/best.pt", "sweep/sweep.json", "sweep/a/best.pt"
    )
    assert reported_folder("run/fold0/best.pt") == Path("run/fold0")
    assert reported_folder("run") == Path("run")
    assert reported_folder("sweep/sweep.json") == Path("sweep")


def test_a_run_has_the_checkpoints_of_all_folds_but_not_of_the_fit_on_all_data(folder: Path) -> None:
    touch("single/config.yaml", "single/best.pt", "single/last.pt", "single/snapshots/epoch002.pt")
    touch("run/config.yaml", "run/boot0/best.pt", "run/boot1/best.pt", "run/all/best.pt", "new/config.yaml")
    assert checkpoint_files("run") == [Path("run/boot0/best.pt"), Path("run/boot1/best.pt")]
    assert checkpoint_files("single") == [checkpoint_file("single")] == [Path("single/best.pt")]
    assert (
        checkpoint_files("single/last.pt") == [checkpoint_file("single/last.pt")] == [Path("single/last.pt")]
    )
    assert checkpoint_files("run/all") == [checkpoint_file("run/all")] == [Path("run/all/best.pt")]
    with pytest.raises(CheckpointError, match=r"no best\.pt yet"):
        checkpoint_files("new")
    with pytest.raises(CheckpointError, match=r"has 3 networks, and this takes one"):
        checkpoint_file("run")


def test_a_folder_of_checkpoints_gives_the_members_of_an_ensemble_unless_it_is_a_run(folder: Path) -> None:
    touch(
        "single/config.yaml",
        "single/best.pt",
        "single/last.pt",
        "single/snapshots/epoch002.pt",
        "single/snapshots/epoch001.pt",
    )
    assert member_files("single") == [Path("single/best.pt")]
    assert member_files("single/snapshots") == [Path(f"single/snapshots/epoch00{n}.pt") for n in (1, 2)]


def test_the_run_or_sweep_that_began_last_is_resumed(folder: Path) -> None:
    sweep, run = "outputs/sweep/2026-01-01_00-00-00-000000", "outputs/train/2026-01-02_00-00-00-000000"
    assert resumable("", sweeps_only=False) is None
    with pytest.raises(CheckpointError, match="there is no sweep"):
        resumable("", sweeps_only=True)
    touch(f"{sweep}/sweep.json", f"{run}/config.yaml")
    assert resumable("", sweeps_only=False) == Path(run)
    assert resumable("", sweeps_only=True) == resumable(sweep, sweeps_only=True) == Path(sweep)
    with pytest.raises(UsageError, match="is not a sweep"):
        resumable(run, sweeps_only=True)


def test_a_sweep_in_the_home_folder_is_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    touch("sweep/sweep.json")
    assert resumable("~/sweep", sweeps_only=True) == folder / "sweep"


@pytest.mark.parametrize(
    "names",
    [[], [".lock", "SHA256SUMS"], ["env.json"], [f"{TEMP_PREFIX}1234-1-env.json", ".hydra", "multirun.yaml"]],
)
def test_a_start_that_was_killed_before_there_was_a_run_is_no_hindrance(
    tmp_path: Path, names: list[str]
) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert not is_begun(tmp_path)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"holds other files, such as 'mine\.txt'"):
        is_begun(tmp_path)
