"""How `svhn train` ends before its last epoch: early stopping, a loss that diverges."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runs_made import SMALL, rows, train

from svhncli.cli import main as cli


def test_early_stopping_ends_a_run_and_is_the_reported_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train(capsys, "epochs=30", "reg.patience=2", "lr=1e-9")
    assert summary["reason"].startswith("early stop")
    assert summary["last"]["epoch"] == summary["best"]["epoch"] + 2 < 30


def test_a_run_that_stopped_early_goes_on_with_more_patience(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def resume(*words: str) -> tuple[dict[str, Any], str]:
        assert cli.main(["train", "--resume", "run", "--json", *words]) == 0
        out, err = capsys.readouterr()
        return json.loads(out), err

    stopped = train(capsys, "epochs=9", "reg.patience=1", "lr=1e-9", run=Path("run"))
    first = stopped["last"]["epoch"]
    assert first < 9
    assert "is finished" in resume()[1]
    summary, err = resume("epochs=10")
    assert "nothing is left to do; it goes on with a larger reg.patience, or with reg.patience=0" in err
    assert summary["last"]["epoch"] == first
    assert resume("epochs=10", "reg.patience=2")[0]["last"]["epoch"] == first + 1
    done, _ = resume("epochs=10", "reg.patience=0")
    assert done["last"]["epoch"] == 10
    assert done["reason"] == "all 10 epochs done"
    assert "is finished" in resume("epochs=10", "reg.patience=0")[1]


@pytest.mark.fault("the folder of a run is removed while it trains", "it ends and says so", "6")
def test_a_run_whose_folder_is_removed_ends_and_says_so(folder: Path, spawn: Callable[..., Any]) -> None:
    process = spawn("train", *SMALL, "epochs=1000000", "reg.patience=0", "out=run")
    assert any("epoch 2/" in " ".join(line.split()) for line in process.stderr)
    Path("run").rename("elsewhere")
    _, err = process.communicate()
    assert process.returncode == 6, err
    assert "Traceback" not in err
    assert re.search(r"error: cannot write 'run/\S+': its folder is gone\n  hint: it was moved", err)
    assert not Path("run").exists()


@pytest.mark.fault(
    "the loss becomes NaN or infinite", "the run is `diverged`; epoch, step and layer are named", "7"
)
def test_a_diverging_loss_gives_exit_code_7_and_names_the_epoch(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, "lr=1e38", "optim=sgd", "report=true"]) == 7
    err = capsys.readouterr().err
    assert "epoch 1" in err
    assert "lower lr" in err
    assert "Traceback" not in err
    run = next((folder / "outputs" / "train").iterdir())
    for name in ("summary.json", "status.json"):
        assert json.loads((run / name).read_text())["status"] == "diverged"
    page = (run / "report.html").read_text()
    assert "The loss diverged" in page
    assert not re.search(r"\bnan\b", page)


@pytest.mark.fault(
    "the loss grows beyond all bounds", "the run ends as `diverged`, and the verdict says what to try", "0"
)
def test_a_loss_that_diverges_but_stays_finite_is_a_status_of_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(capsys, "epochs=2", "lr=1e-3", "out=first")
    assert first["status"] == "done"
    words = ["epochs=3", "lr=1e5", "optim=sgd", "schedule=constant", "report=true", "out=run"]
    summary = train(capsys, *words)
    assert summary["status"] == "diverged"
    assert summary["reason"] == "all 3 epochs done, and the loss diverged"
    assert summary["last"]["train_loss"] > 1e4
    assert json.loads((folder / "run" / "status.json").read_text())["status"] == "diverged"
    assert "The loss diverged: all 3 epochs done" in (folder / "run" / "report.html").read_text()
    assert cli.main(["train", "--resume", "run"]) == 0
    assert "is finished" in capsys.readouterr().err
    sweep = [*words[:-2], "seed=0,1", "split=kfold", "split.k=2", "out=sweep"]
    assert cli.main(["train", "-m", *SMALL, *sweep]) == 0
    jobs = [row["status"] for row in rows(folder / "sweep" / "summary.csv")]
    assert jobs == ["diverged", "diverged"]
    assert cli.main(["compare", "first", "run"]) == 0


def test_a_loss_that_diverges_in_the_last_step_is_detected_in_validation(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, "lr=1e38", "optim=sgd", "epochs=1", "batch_size=1000"]) == 7
    assert "val_loss became" in capsys.readouterr().err
    assert not list((folder / "outputs").glob("train/*/best.pt"))


def test_min_delta_stops_early_but_does_not_choose_the_best_epoch(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = train(capsys, "epochs=6", "lr=1e-4", "metric=val_loss", "reg.min_delta=100", "reg.patience=3")
    losses = [float(row["val_loss"]) for row in rows(folder / summary["run_dir"] / "metrics.csv")]
    assert len(losses) == 4
    assert summary["best"]["val_loss"] == min(losses) < losses[0]
    assert "init_from" in summary["next"][1], "more epochs would stop again at once"
