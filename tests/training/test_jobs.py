"""Folds and seeds in parallel end with the bits of a sequential run, also after a process is killed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fold_processes import FOLDS, IN_STEP_5, SMALL, Spawn
from forked import Forked

from svhncli.cli import main as cli
from svhncli.config.groups.split import BootstrapConfig, KfoldConfig
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import UsageError
from svhncli.data.split import Fold
from svhncli.runs import checkpoint
from svhncli.training import jobs


def bits(run: Path, *names: str) -> dict[str, str]:
    """Hashes of everything in a run's folds that must not differ."""
    hashes = {"oof": hashlib.sha256((run / "oof_predictions.csv").read_bytes()).hexdigest()}
    for name in names:
        folder = run / name
        hashes[f"{name} best"] = checkpoint.digest(checkpoint.load(folder / "best.pt")["weights"])
        hashes[f"{name} last"] = checkpoint.digest(checkpoint.load(folder / "last.pt")["state"])
        for file in ("metrics.csv", "val_predictions.csv", "split.json"):
            hashes[f"{name} {file}"] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    return hashes


def three(run: Path) -> dict[str, str]:
    return bits(run, *(f"fold{i}" for i in range(3)))


def summary_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


@pytest.fixture(scope="module")
def sequential_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds, trained sequentially in this process."""
    run = tmp_path_factory.mktemp("sequential_run") / "run"
    assert cli.main(["train", f"hydra.run.dir={run}", *FOLDS, "jobs=1"]) == 0
    return run


def seen_until(process: Forked, pattern: str) -> str:
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"'{pattern}' was never printed:\n{seen}")


def children(process: Forked) -> list[int]:
    """Processes that train: those of the parent's children which are not multiprocessing's helper."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def gone(pids: list[int]) -> bool:
    """Whether processes end; a minute is far more than they need."""
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        os.sched_yield()
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_parallel_folds_have_the_bits_of_sequential_folds(sequential_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert cli.main(["train", f"hydra.run.dir={run}", *FOLDS, "jobs=2"]) == 0
    assert three(run) == three(sequential_run)
    parallel, sequential = summary_of(run), summary_of(sequential_run)
    for key in ("val_accuracy", "val_loss", "test_accuracy", "score"):
        assert parallel[key] == sequential[key], key
    log = (run / "train.log").read_text()
    for fold in range(3):  # every line of the log names its fold
        assert re.findall(rf"fold{fold} +epoch (\d)/3", log) == ["1", "2", "3"]
        assert len(re.findall(rf"fold{fold} +done: val \d", log)) == 1


@pytest.mark.fault(
    "a process group of folds is stopped", "every fold that trains saves its state", "130, 143"
)
@pytest.mark.parametrize(
    ("number", "exit_code", "at_once"),
    [(signal.SIGINT, 130, 1), pytest.param(signal.SIGTERM, 143, 2, marks=pytest.mark.full)],
)
def test_stopped_folds_are_saved_and_resumed_to_the_same_bits(
    spawn: Spawn, tmp_path: Path, sequential_run: Path, number: signal.Signals, exit_code: int, at_once: int
) -> None:
    run = tmp_path / "run"
    process = spawn("train", f"hydra.run.dir={run}", *FOLDS, "jobs=2", start_new_session=True)
    seen_until(process, "epoch 2/3")
    workers = children(process)
    assert len(workers) == 2
    os.killpg(process.pid, number)  # as a terminal does: the workers get the signal, too
    _, err = process.communicate(timeout=120)
    assert process.returncode == exit_code, err
    assert f"svhn train --resume {run}" in err
    assert "Traceback" not in err
    assert gone(workers)
    assert summary_of(run)["status"] == "interrupted"
    states = [json.loads(path.read_text())["status"] for path in run.glob("fold*/status.json")]
    assert "interrupted" in states, "no fold saved its state"
    assert cli.main(["train", "--resume", str(run), f"jobs={at_once}"]) == 0
    assert three(run) == three(sequential_run)


@pytest.mark.fault(
    "a process of folds is paused (SIGSTOP), and the command stopped",
    "it is woken, saves its state and ends",
    "143",
)
def test_a_paused_process_is_woken_so_that_it_saves_its_state(spawn: Spawn, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = spawn("train", f"hydra.run.dir={run}", *FOLDS, "epochs=100000", "reg.patience=0", "jobs=2")
    seen_until(process, "fold0 +epoch")
    seen_until(process, "fold1 +epoch")
    os.kill(children(process)[0], signal.SIGSTOP)
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    states = [json.loads((run / f"fold{n}" / "status.json").read_text())["status"] for n in (0, 1)]
    assert states == ["interrupted", "interrupted"]


@pytest.mark.fault("SIGKILL of a command that has started processes", "they end, too", "137")
def test_no_process_outlives_a_killed_parent_and_the_run_goes_on(
    spawn: Spawn, tmp_path: Path, sequential_run: Path
) -> None:
    run = tmp_path / "run"
    process = spawn("train", f"hydra.run.dir={run}", *FOLDS, "jobs=2")
    seen_until(process, "epoch 2/3")
    workers = children(process)
    process.kill()
    process.communicate(timeout=60)
    assert workers
    assert gone(workers)
    assert cli.main(["train", "--resume", str(run), "jobs=1"]) == 0
    assert three(run) == three(sequential_run)


KILLED = (
    IN_STEP_5
    + """
def first():
    os.kill(os.getpid(), signal.SIGKILL)

def second():
    pass
"""
)


@pytest.mark.fault("SIGKILL of one process of several", "it is named, the others save their state", "1")
def test_a_process_that_is_killed_is_named_and_the_others_are_saved(
    spawn: Spawn, folder: Path, sequential_run: Path
) -> None:
    """As the kernel does when memory runs out; a plugin does it, so plugins are loaded there, too."""
    (folder / "kills.py").write_text(KILLED)
    process = spawn("train", "hydra.run.dir=run", *FOLDS, "jobs=2", "plugins=[kills]")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert re.search(r"the process that trained fold\d was ended by SIGKILL", err), err
    assert "svhn train --resume run jobs=1" in err
    assert "Traceback" not in err
    assert cli.main(["train", "--resume", "run", "jobs=1"]) == 0
    assert three(folder / "run") == three(sequential_run)


def test_all_processes_of_a_run_that_is_asked_to_save_do_so_and_go_on(
    spawn: Spawn, tmp_path: Path, sequential_run: Path
) -> None:
    run = tmp_path / "run"
    process = spawn("train", f"hydra.run.dir={run}", *FOLDS, "jobs=2", start_new_session=True)
    seen_until(process, "epoch 1/3")
    os.killpg(process.pid, signal.SIGUSR1)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "as SIGUSR1 asks" in (run / "train.log").read_text()
    assert three(run) == three(sequential_run)


# ----------------------------------------------------------------------------- seeds


def test_a_repeat_equals_a_run_with_its_seed_on_the_same_split(folder: Path) -> None:
    assert cli.main(["train", "hydra.run.dir=run", *SMALL, "seed=5", "repeats=2", "jobs=1"]) == 0
    assert cli.main(["train", "hydra.run.dir=alone", *SMALL, "seed=6", "split.seed=5"]) == 0
    for file in ("metrics.csv", "val_predictions.csv"):
        assert (folder / "run" / "seed6" / file).read_bytes() == (folder / "alone" / file).read_bytes()
    repeat, alone = (checkpoint.load(folder / name / "best.pt") for name in ("run/seed6", "alone"))
    assert checkpoint.digest(repeat["weights"]) == checkpoint.digest(alone["weights"])
    summary = summary_of(folder / "run")
    assert [(fold["name"], fold["seed"], fold["fold"]) for fold in summary["folds"]] == [
        (f"seed{seed}", seed, "holdout") for seed in (5, 6)
    ]
    accuracies = [fold["best"]["val_accuracy"] for fold in summary["folds"]]
    assert summary["seeds"] == {
        "n": 2,
        "mean": pytest.approx(np.mean(accuracies)),
        "sd": pytest.approx(np.std(accuracies, ddof=1)),
    }


def test_more_seeds_can_be_added_and_finished_seeds_are_kept(folder: Path) -> None:
    words = [*SMALL[:2], "epochs=1", "threads=1", "model=linear", "jobs=1"]
    assert cli.main(["train", "hydra.run.dir=run", *words, "repeats=2"]) == 0
    before = (folder / "run" / "seed0" / "last.pt").stat().st_mtime_ns
    assert cli.main(["train", "--resume", "run", "repeats=3"]) == 0
    assert (folder / "run" / "seed0" / "last.pt").stat().st_mtime_ns == before
    assert [fold["seed"] for fold in summary_of(folder / "run")["folds"]] == [0, 1, 2]
    assert cli.main(["train", "--resume", "run", "repeats=2"]) == 2


def test_a_run_of_a_single_seed_cannot_become_a_run_of_several(folder: Path, capsys: Any) -> None:
    assert cli.main(["train", "hydra.run.dir=run", "data=tiny", "epochs=1", "model=linear"]) == 0
    capsys.readouterr()
    assert cli.main(["train", "--resume", "run", "repeats=3"]) == 2
    assert "repeats" in capsys.readouterr().err


# ----------------------------------------------------------------------------- the plan

CONFIG = TrainConfig(lr=0.1, split=KfoldConfig(k=2), seed=3)
TWO = [Fold(f"fold{i}", np.arange(5) + 5 * (1 - i), np.arange(5) + 5 * i) for i in range(2)]


def test_a_single_fold_and_seed_is_a_single_job_with_an_unchanged_config() -> None:
    (job,) = jobs.plan(CONFIG, TWO[:1])
    assert (job.name, job.config) == ("fold0", CONFIG)


def test_jobs_are_named_by_seed_and_fold_and_keep_the_seed_of_the_split() -> None:
    planned = jobs.plan(replace(CONFIG, repeats=2), TWO)
    assert [job.name for job in planned] == ["seed3-fold0", "seed3-fold1", "seed4-fold0", "seed4-fold1"]
    assert [(job.config.seed, job.config.split.seed, job.config.repeats) for job in planned] == [
        (3, 3, 1),
        (3, 3, 1),
        (4, 3, 1),
        (4, 3, 1),
    ]


def test_repeats_of_a_bootstrap_are_refused() -> None:
    with pytest.raises(UsageError, match="repetitions already"):
        jobs.plan(replace(CONFIG, split=BootstrapConfig(n=2), repeats=2), TWO)


def test_the_number_of_jobs_keeps_all_cpus_busy_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for (cpus, wanted, count, threads), expected in {
        (2, "auto", 5, 0): 3,  # 3 + 2
        (2, "auto", 6, 0): 2,
        (8, "auto", 5, 0): 5,
        (8, "auto", 20, 0): 10,  # 10 + 10
        (8, "auto", 12, 0): 12,
        (8, "auto", 9, 2): 5,  # 5 + 4, each with two threads
        (8, "auto", 5, 16): 1,
        (1, "auto", 5, 0): 1,
        (2, 2, 5, 0): 2,
        (8, 3, 5, 0): 3,
        (8, 9, 5, 8): 5,
    }.items():
        monkeypatch.setattr(jobs, "available_cpus", lambda cpus=cpus: cpus)
        assert jobs.how_many(wanted, count, torch.device("cpu"), threads=threads) == expected


def test_a_gpu_trains_one_job_and_one_that_was_chosen_is_the_only_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for (name, wanted, count), expected in {
        ("cuda", "auto", 5): 4,
        ("cuda", "auto", 3): 3,
        ("cuda:1", "auto", 5): 1,
        ("cuda:1", 2, 5): 2,
    }.items():
        assert jobs.how_many(wanted, count, torch.device(name), threads=0) == expected
