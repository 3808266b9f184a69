"""`svhn verify`, and what other commands make of a run whose files are damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import made_once
from runs_made import SMALL

from svhncli.cli import main as cli
from svhncli.core.sums import SUMS
from svhncli.runs import checkpoint

pytestmark = pytest.mark.engine
TEXTS = ["config.yaml", "env.json", "data.json", "split.json", "metrics.csv", "timing.csv", "summary.json"]
TEXTS += ["status.json", "val_predictions.csv", "plots/mistakes.json", "plots/mistakes.png"]


def _train() -> None:
    assert cli.main(["train", *SMALL, "out=run"]) == 0
    assert cli.main(["train", *SMALL, "split=kfold", "split.k=2", "jobs=1", "out=folds"]) == 0
    assert cli.main(["train", "-m", *SMALL, "lr=1e-2,1e-3", "hydra.sweep.dir=sweep"]) == 0


@pytest.fixture
def runs(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Copies of a run, a run of two folds and a sweep of two jobs."""
    return Path(shutil.copytree(made_once(tmp_path_factory, "verified", _train), tmp_path / "runs"))


def flip(file: Path) -> None:
    """Another digit in the middle, as a flipped bit makes it: no format notices that."""
    content = bytearray(file.read_bytes())
    place = next(i for i in range(len(content) // 2, len(content)) if chr(content[i]).isdigit())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "files", "checkpoints"), [("run", 17, 2), ("folds", 31, 4), ("sweep", 36, 4)]
)
def test_intact_files_are_counted(
    runs: Path, capsys: pytest.CaptureFixture[str], name: str, files: int, checkpoints: int
) -> None:
    assert cli.main(["verify", str(runs / name), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "does not list" not in err
    result = json.loads(out)
    assert (result["files"], result["checkpoints"]) == (files, checkpoints)


@pytest.mark.fault("a bit flips in any file of a run", "`svhn verify` names it", "4")
@pytest.mark.parametrize("name", [*TEXTS, "best.pt", "last.pt"])
def test_a_damaged_file_is_named(runs: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    flip(runs / "run" / name)
    assert cli.main(["verify", str(runs / "run")]) == 4
    errors = capsys.readouterr().err
    assert "1 of 19 files are not what was written" in errors
    assert f"run/{name}'" in errors


@pytest.mark.fault("the end of `SHA256SUMS` is cut off", "`svhn verify` warns of what it does not list", "0")
def test_a_file_that_is_not_listed_is_named(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(runs)
    record = runs / "run" / "SHA256SUMS"
    *lines, last = record.read_text().splitlines()
    record.write_text("".join(f"{line}\n" for line in lines))
    assert cli.main(["verify", "run"]) == 0
    warning = " ".join(capsys.readouterr().err.split())
    assert f"does not list, and nothing was compared with: run/{last.split()[1]}" in warning


def test_damage_in_folds_and_jobs_and_a_missing_file_are_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(runs / "folds" / "fold1" / "metrics.csv")
    (runs / "folds" / "fold0" / "split.json").unlink()
    assert cli.main(["verify", str(runs / "folds")]) == 4
    errors = capsys.readouterr().err
    assert "fold1/metrics.csv': its SHA-256" in errors
    assert "fold0/split.json': missing" in errors
    job = next(path for path in sorted((runs / "sweep").iterdir()) if (path / "best.pt").is_file())
    flip(job / "metrics.csv")
    flip(runs / "sweep" / "sweep.json")
    assert cli.main(["verify", str(runs / "sweep")]) == 4
    errors = capsys.readouterr().err
    assert f"{job.name}/metrics.csv'" in errors
    assert "sweep.json'" in errors


def test_a_run_of_an_earlier_version_has_only_its_checkpoints(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "run" / SUMS).unlink()
    assert cli.main(["verify", str(runs / "run")]) == 0
    out, errors = capsys.readouterr()
    assert "0 files, 2 checkpoints" in out
    assert "earlier version" in errors


def trained(run: Path) -> Iterator[str]:
    for name in ("best.pt", "last.pt"):
        yield checkpoint.digest(checkpoint.load(run / name))
    for name in ("config.yaml", "metrics.csv", "split.json", "val_predictions.csv"):
        yield (run / name).read_text()


@pytest.mark.fault(
    "a run with a damaged table, summary or config is resumed",
    "what the checkpoints know takes its place, with a warning",
    "0",
)
@pytest.mark.parametrize("name", TEXTS)
def test_a_run_with_a_damaged_file_is_resumed_to_the_same_bits(
    runs: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """What the checkpoints know takes the place of the file, and a warning says so."""
    run, expected = runs / "run", runs / "expected"
    shutil.copytree(run, expected)
    assert cli.main(["train", "--resume", str(expected), "epochs=3"]) == 0
    capsys.readouterr()
    flip(run / name)
    assert cli.main(["train", "--resume", str(run), "epochs=3"]) == 0
    if name in ("config.yaml", "env.json", "timing.csv", "summary.json"):
        assert f"{name}' is damaged" in capsys.readouterr().err
    assert list(trained(run)) == list(trained(expected))
    assert cli.main(["verify", str(run)]) == 0


@pytest.mark.fault("`config.yaml` is damaged before anything was trained", "refused by name", "4")
def test_a_damaged_config_without_checkpoints_is_refused(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(runs / "run" / "config.yaml")
    for name in ("best.pt", "last.pt"):
        (runs / "run" / name).unlink()
    assert cli.main(["train", "--resume", str(runs / "run")]) == 4
    assert "config.yaml' is damaged" in capsys.readouterr().err


@pytest.mark.fault("`svhn gather` meets a damaged file", "refused by name; nothing is written", "4")
@pytest.mark.parametrize("name", ["summary.json", "split.json", "val_predictions.csv", "plots/mistakes.png"])
def test_damage_in_a_job_is_not_gathered(runs: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    jobs = runs / "jobs"
    for fold in (0, 1):
        words = ["split=kfold", "split.k=2", f"split.fold={fold}", f"out={jobs / str(fold)}"]
        assert cli.main(["train", *SMALL, *words]) == 0
    flip(jobs / "1" / name)
    assert cli.main(["gather", str(jobs)]) == 4
    assert f"{name}' is damaged" in capsys.readouterr().err
    assert not (jobs / "gathered").exists()
