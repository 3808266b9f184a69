"""One run on several processes makes what one process makes, and ends whole however one of them ends."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PIPE
from forked import Forked, Server
from runs_made import train_here

from svhncli.cli import main as cli
from svhncli.core.errors import UsageError
from svhncli.engine.device import Machine
from svhncli.runs import checkpoint
from svhncli.training.jobs import share_out

pytestmark = pytest.mark.e2e

SMALL = [
    *("data.n_train=240", "data.n_test=40", "epochs=2", "batch_size=37", "threads=1", "device=cpu"),
    *("precision=fp32", "model.width=0.25", "watch=0", "report=false"),
]
"""Batches of 36 and 31 images: one of their halves is larger."""
EVERYTHING = [
    *SMALL,
    *("optim=sgd", "lr=0.02", "optim.clip=1", "reg.l2=0.1", "reg.ema=0.9", "reg.mixup=0.4", "reg.cutmix=1"),
    *("reg.augment.policy=randaugment", "reg.augment.noise=0.05", "reg.augment.elastic=1"),
]
"""All that is drawn for a batch, and all that comes after the gradients, but for dropout."""


def ranks(server: Server, size: int, *words: str) -> list[Forked]:
    """Processes as torchrun starts them, all with the same words."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(size):
        with pytest.MonkeyPatch.context() as patch:
            own = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            for name, value in own.items():
                patch.setenv(name, str(value))
            started.append(server.start(*words, stdout=PIPE, stderr=PIPE))
    return started


def ended(processes: list[Forked]) -> list[tuple[int, str]]:
    """Exit codes, and what was printed."""
    return [(process.returncode or 0, out + err) for process in processes for out, err in [heard(process)]]


def heard(process: Forked) -> tuple[str, str]:
    return process.communicate(timeout=120)


def until(process: Forked, text: str) -> str:
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"'{text}' was never printed:\n{seen}")


def bits(run: Path) -> dict[str, str]:
    """Hashes of everything that must not differ."""
    return {
        "best": checkpoint.digest(checkpoint.load(run / "best.pt")["weights"]),
        "last": checkpoint.digest(checkpoint.load(run / "last.pt")["state"]),
        "metrics": hashlib.sha256((run / "metrics.csv").read_bytes()).hexdigest(),
        "predictions": hashlib.sha256((run / "val_predictions.csv").read_bytes()).hexdigest(),
    }


def state(run: Path) -> dict[str, Any]:
    return checkpoint.load(run / "last.pt")["state"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process, which is this one."""
    return train_here(tmp_path_factory.mktemp("alone") / "run", *EVERYTHING)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """Two processes."""
    run = tmp_path_factory.mktemp("together") / "run"
    for code, text in ended(ranks(server, 2, "train", f"out={run}", *EVERYTHING)):
        assert code == 0, text
    return run


def test_two_processes_make_the_run_that_one_makes(alone: Path, together: Path) -> None:
    """But for rounding: gradients and batch norm are summed in another order. In 14 steps it stays small."""
    ours, theirs = state(together), state(alone)
    for part, weights in [("model", theirs["model"]), ("ema", theirs["ema"]["module"])]:
        own = ours["model"] if part == "model" else ours["ema"]["module"]
        for name, values in weights.items():
            torch.testing.assert_close(own[name], values, rtol=1e-3, atol=1e-4, msg=f"{part} {name}")
    for own, row in zip(ours["history"], theirs["history"], strict=True):
        assert own == pytest.approx(row, rel=1e-4, abs=1e-4)
    assert len(theirs["history"]) == 2


def test_a_run_of_two_processes_says_so(alone: Path, together: Path) -> None:
    assert json.loads((together / "env.json").read_text())["machine"]["devices"] == 2
    assert "devices" not in json.loads((alone / "env.json").read_text())["machine"]
    assert checkpoint.load(together / "last.pt")["meta"]["config"]["devices"] == 2
    assert "machine  2 processes, each cpu, fp32, 1 thread;" in (together / "train.log").read_text()


def test_a_signal_to_any_process_stops_all_after_one_step_and_resume_has_the_same_bits(
    server: Server, tmp_path: Path, together: Path
) -> None:
    run = tmp_path / "run"
    first, second = ranks(server, 2, "train", f"out={run}", *EVERYTHING)
    until(first, "epoch 1/2")
    second.send_signal(signal.SIGTERM)
    results = ended([first, second])
    assert [code for code, _ in results] == [143, 143], results
    assert f"svhn train --resume {run}" in results[0][1]
    assert state(run)["epoch"] == 1
    for code, text in ended(ranks(server, 2, "train", "--resume", str(run))):
        assert code == 0, text
    assert bits(run) == bits(together)


def test_another_number_of_processes_may_resume_and_the_header_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, together: Path
) -> None:
    run = Path(shutil.copytree(together, tmp_path / "run"))
    threads = torch.get_num_threads()
    assert cli.main(["train", "--resume", str(run), "devices=1", "epochs=3"]) == 0
    torch.set_num_threads(threads)
    assert "devices was 2 when this run started and is 1 now" in capsys.readouterr().err
    assert len(state(run)["history"]) == 3


IN_STEP_5 = """
import multiprocessing, os, signal, sys, torch
from svhncli.training import ranks

ranks.BEAT, ranks.STALL = 0.1, 1.5
steps = []

def count(module, _):
    if type(module).__name__ == "Cnn" and module.training:
        steps.append(1)
        if len(steps) == 5 and os.environ["RANK"] == "{rank}":
            os.kill(os.getpid(), signal.{name})

torch.nn.modules.module.register_module_forward_pre_hook(count)
"""
"""A plugin: a rank sends itself a signal in its fifth step; a stall is noticed after 1.5 s instead of 20."""


@pytest.mark.fault(
    "one of several processes that train one network is killed or stalls",
    "all end, and the rank is named",
    "1",
)
@pytest.mark.parametrize(
    ("rank", "name", "how"),
    [
        (1, "SIGKILL", "rank 1 was ended by SIGKILL"),
        pytest.param(0, "SIGKILL", "rank 0 was ended by SIGKILL", marks=pytest.mark.full),
        pytest.param(0, "SIGSTOP", r"rank 0 has given no sign of life for \d+ s", marks=pytest.mark.full),
    ],
)
def test_a_rank_that_is_killed_or_stalls_ends_the_run_by_its_name(
    spawn: Callable[..., Forked], folder: Path, together: Path, rank: int, name: str, how: str
) -> None:
    (folder / "ends.py").write_text(IN_STEP_5.format(rank=rank, name=name))
    run = Path(shutil.copytree(together, folder / "run"))
    process = spawn("train", "--resume", "run", "epochs=4", "plugins=[ends]")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert re.search(f"svhn: error: {how}; what was saved before is whole\n  hint: resume with: ", err), err
    assert "Traceback" not in err
    status = json.loads((run / "status.json").read_text())
    assert (status["status"], status["reason"].partition(" ")[0]) == ("failed", "rank")
    assert state(run)["epoch"] == 2


def test_a_rank_that_stalls_is_ended_by_the_others(server: Server, folder: Path, together: Path) -> None:
    (folder / "ends.py").write_text(IN_STEP_5.format(rank=1, name="SIGSTOP"))
    run = Path(shutil.copytree(together, folder / "run"))
    words = "train", "--resume", "run", "epochs=4", "plugins=[ends]"
    (code, text), (stalled, _) = ended(ranks(server, 2, *words))
    assert (code, stalled) == (1, -signal.SIGKILL)
    assert re.search(r"rank 1 has given no sign of life for \d+ s; what was saved before is whole", text), (
        text
    )
    assert state(run)["epoch"] == 2


PRINTS_NORMS = """
import hashlib, sys, torch

def tell(module, _):
    if type(module).__name__ == "Cnn" and not module.training:
        values = b"".join(buffer.numpy().tobytes() for buffer in module.buffers())
        print("norms", hashlib.sha256(values).hexdigest(), file=sys.stderr)

torch.nn.modules.module.register_module_forward_pre_hook(tell)
"""
"""A plugin: at every validation a rank prints what its batch norm would use."""


def test_without_sync_norm_all_processes_still_validate_one_network(server: Server, folder: Path) -> None:
    (folder / "prints_norms.py").write_text(PRINTS_NORMS)
    words = ["train", "out=run", *SMALL, "sync_norm=false", "plugins=[prints_norms]"]
    (code, first), (_, second) = ended(ranks(server, 2, *words))
    assert code == 0, first
    ours, theirs = (list(dict.fromkeys(re.findall("norms (.*)", text))) for text in (first, second))
    assert ours[:2] == theirs
    assert len(theirs) == 2  # after each epoch


@pytest.mark.full
def test_ctrl_c_stops_what_devices_has_started(spawn: Callable[..., Forked], tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = spawn("train", f"out={run}", *SMALL, "epochs=40", "devices=2", start_new_session=True)
    until(process, "epoch  3/40")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the ranks get the signal, too
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert f"svhn train --resume {run}" in err
    assert "Traceback" not in err
    assert json.loads((run / "status.json").read_text())["status"] == "interrupted"
    assert state(run)["epoch"] >= 3


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        (["train", "-m", "devices=2", "lr=1,2"], "a sweep trains many", "leave devices out of -m"),
        (["train", "devices=0"], "devices=0: must be 1 or more", ""),
        (["train", "devices=2", "data.fresh=true"], "data.fresh=true", "data.fresh=false"),
    ],
)
def test_what_devices_cannot_do_is_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, words: list[str], problem: str, fix: str
) -> None:
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert problem in err
    assert fix in err
    assert not list(folder.glob("outputs/*/*"))


def test_several_networks_are_trained_by_jobs_and_not_by_devices() -> None:
    machine = Machine(torch.device("cpu"), "fp32", 1)
    with pytest.raises(UsageError, match="these are 5 networks") as error:
        share_out("auto", 5, machine, 0, devices=2)
    assert "jobs=2" in error.value.hint
    share_out("auto", 1, machine, 0, devices=2)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["eval", "run"], "svhn eval is one"),
        (["train", "-m", "lr=1,2"], "svhn train -m is one"),
        (["train", "devices=3"], "torchrun has started 2 processes"),
    ],
)
def test_what_torchrun_cannot_start_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    words: list[str],
    problem: str,
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(words) == 2
    assert problem in capsys.readouterr().err
    assert not list(folder.glob("outputs/*/*"))
