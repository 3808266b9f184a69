"""Jobs of a sweep side by side and on launchers: none that ends takes another with it or is lost."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
from conftest import fold_summary
from forked import Forked

from svhncli.cli import main as cli
from svhncli.cli.launchers import explained
from svhncli.core import files
from svhncli.runs import checkpoint
from svhncli.runs.run_dir import RunDir
from svhncli.runs.sweeps import sweep_job

pytestmark = pytest.mark.usefixtures("folder")

SMALL = ["data=tiny", "data.n_train=120", "data.n_test=40", "model=linear", "device=cpu", "watch=0"]
SMALL += ["report=false", "reg.patience=0"]
ENDLESS = 10**6


def wait_for(is_so: Callable[[], bool]) -> None:
    """Two minutes are far more than anything here takes. Between two looks others have the CPU."""
    end = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.02)


def trains(job: Path) -> bool:
    log = job / "train.log"
    return log.is_file() and "  epoch " in log.read_text()


def is_done(job: Path) -> bool:
    return (job / "summary.json").is_file() and RunDir(job).summary().status == "done"


def holder(parent: Forked, job: Path) -> int:
    """The child of a process that has a job's lock."""
    lock = str((job / ".lock").absolute())
    for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if os.path.exists(link) and os.readlink(link) == lock:
                return int(pid)
    raise AssertionError(f"nobody has {lock}")


def bits(job: Path) -> tuple[str, bytes]:
    return checkpoint.digest(checkpoint.load(job / "best.pt")["weights"]), (job / "metrics.csv").read_bytes()


@pytest.mark.fault("SIGKILL of a job of a sweep", "it fails alone; the sweep goes on", "1")
def test_a_killed_process_fails_its_job_alone_and_ctrl_c_saves_the_others(spawn: Callable[..., Any]) -> None:
    words = [*SMALL, "threads=1"]
    swept = f"epochs={ENDLESS},{ENDLESS + 1},1,2"
    process = spawn("train", "-m", *words, swept, "jobs=2", "out=beside", start_new_session=True)
    killed, stopped, third, fourth = (Path(f"beside/epochs-{n}") for n in (ENDLESS, ENDLESS + 1, 1, 2))
    wait_for(lambda: trains(killed) and trains(stopped))
    assert not (third / "train.log").exists()  # two at once, no more
    waits = holder(process, stopped)
    os.kill(waits, signal.SIGSTOP)  # the others get the CPU
    os.kill(holder(process, killed), signal.SIGKILL)
    wait_for(lambda: is_done(third) and is_done(fourth))  # in a process in place of the killed one
    os.kill(waits, signal.SIGCONT)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, shown = process.communicate()
    assert process.returncode == 130, shown
    assert "Traceback" not in shown
    assert shown.count("stopping after this step") == 1
    assert shown.endswith("  hint: resume with: svhn train --resume beside\n")
    assert re.search(rf"job 1/4 epochs={ENDLESS} failed: .* was ended by SIGKILL; what was saved", shown)
    assert RunDir(killed).summary().status == "failed"
    assert RunDir(stopped).summary().status == "interrupted"
    assert (stopped / "last.pt").is_file()
    assert RunDir(third).config()["jobs"] == 1  # folds of its own would not share the CPUs out again

    assert cli.main(["train", "-m", *words, "epochs=1,2", "out=alone"]) == 0
    for job in (third, fourth):
        assert bits(job) == bits(Path("alone") / job.name)


# ----------------------------------------------------------------------------- jobs=


@pytest.fixture
def finished() -> Path:
    """A sweep of two jobs that are done, made from its files alone."""
    for lr in ("0.01", "0.001"):
        (Path("sweep") / f"lr-{lr}").mkdir(parents=True)
        RunDir(Path("sweep") / f"lr-{lr}").write_summary(fold_summary(0.5))
    files.write_json(Path("sweep/sweep.json"), {"overrides": ["device=cpu", "lr=1e-2,1e-3"]})
    return Path("sweep")


@pytest.mark.parametrize(
    "words", [["--resume", "sweep", "jobs=2"], ["-m", "device=cpu", "lr=1e-2,1e-3", "out=sweep", "jobs=2"]]
)
def test_a_sweep_goes_on_with_any_number_of_jobs_at_once_and_keeps_it(
    words: list[str], finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *words]) == 0
    assert "sweep    2 jobs, 2 at once, in sweep;" in capsys.readouterr().err
    assert cli.main(["train", "--resume", "sweep"]) == 0
    assert "sweep    2 jobs, 2 at once, in sweep;" in capsys.readouterr().err


def test_without_a_gpu_jobs_train_one_after_another_unless_a_number_is_given(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--resume", "sweep", "jobs=auto"]) == 0
    assert "sweep    2 jobs in sweep;" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("jobs=1,2", "'jobs=1,2': a sweep cannot vary how many of its jobs train at once"),
        ("jobs=0", "jobs=0: must be 1 or more"),
        ("jobs=all", "jobs=all"),
    ],
)
def test_a_number_of_jobs_that_makes_no_sense_is_refused(
    word: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "-m", *SMALL, "lr=1e-2,1e-3", word]) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.iterdir())


# ----------------------------------------------------------------------------- launchers


@pytest.mark.parametrize(
    ("launcher", "extra", "package"),
    [
        ("slurm", "slurm", "submitit"),
        ("slurm_local", "slurm", "submitit"),
        ("joblib", "joblib", "joblib"),
        ("ray", "ray", "ray"),
    ],
)
def test_a_launcher_that_is_not_installed_names_the_command_that_installs_it(
    launcher: str, extra: str, package: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if find_spec("hydra_plugins") and find_spec(f"hydra_plugins.hydra_{package}_launcher"):
        pytest.skip(f"hydra-{package}-launcher is installed")
    assert cli.main(["train", "-m", *SMALL, "lr=1e-2,1e-3", f"hydra/launcher={launcher}"]) == 2
    shown = capsys.readouterr().err
    assert "this hydra/launcher needs a package that is not installed" in shown
    assert f"pip install 'svhncli[{extra}]'" in shown
    assert not list(folder.iterdir())


class Requeued(BaseException):
    """What submitit's handler does when it has queued the job again: it ends the process."""


@pytest.fixture
def submitit(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A process as submitit starts it, whose handler of SIGUSR2 queues the job again. It yields what the job
    had written when it was called."""
    seen: list[str] = []

    def handler(number: int, _: object) -> NoReturn:
        seen.append(RunDir(Path("sweep/lr-0.01")).status().status)
        raise Requeued

    before = signal.signal(signal.SIGUSR2, handler)
    monkeypatch.setenv("SUBMITIT_FOLDER", "jobs")
    yield seen
    signal.signal(signal.SIGUSR2, before)


def test_a_job_that_slurm_is_about_to_end_is_saved_before_submitit_queues_it_again(
    submitit: list[str],
) -> None:
    def send() -> None:
        wait_for(lambda: trains(Path("sweep/lr-0.01")))
        os.kill(os.getpid(), signal.SIGUSR2)

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(Requeued):
        cli.main(["train", "-m", *SMALL, f"epochs={ENDLESS}", "threads=1", "lr=1e-2,1e-3", "out=sweep"])
    sender.join()
    assert submitit == ["interrupted"]
    assert checkpoint.load(Path("sweep/lr-0.01/last.pt"))["state"]["epoch"] >= 1


def test_a_job_of_submitit_goes_on_after_the_signal_to_the_bits_of_one_that_got_none(
    spawn: Callable[..., Any],
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra slurm")
    words = [*SMALL, "epochs=40", "threads=1", "lr=1e-2"]
    process = spawn("train", "-m", *words, "hydra/launcher=slurm_local", "out=sweep")
    job = Path("sweep/defaults")
    wait_for(lambda: trains(job))
    (controller,) = (path.parent.name for path in Path("sweep/.submitit").glob("*/*_submitted.pkl"))
    (pid,) = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    os.kill(int(pid), signal.SIGUSR2)
    _, shown = process.communicate()
    assert process.returncode == 0, shown
    assert "  resumed  after epoch " in (job / "train.log").read_text()
    assert cli.main(["train", *words, "out=alone"]) == 0
    assert bits(job) == bits(Path("alone"))


def test_a_lost_job_is_named_with_the_file_of_its_output(folder: Path) -> None:
    sweep, job = folder / "sweep", folder / "sweep" / "lr-0.01"
    output = sweep / ".submitit" / "77" / "77_0_log.err"
    output.parent.mkdir(parents=True)
    output.touch()

    def why() -> str | None:
        return explained(sweep_job(1, job, {}), sweep).reason

    assert why() == f"it did not start; its output: {sweep / '.submitit'}"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra" / "hydra.yaml").write_text("hydra: {job: {id: '77'}}\n")
    assert why() == f"it ended without a result; its output: {output}"
    with RunDir(job).held():
        assert why() == f"it still runs; its output: {output}"
    RunDir(job).write_summary(fold_summary(0.5))
    assert why() == fold_summary(0.5).reason
