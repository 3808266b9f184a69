"""`svhn train -m`: a folder per job, failures reported at once, only unfinished jobs run again."""

from __future__ import annotations

import csv
import gc
import json
import pickle
import re
import shutil
import signal
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import fold_summary
from forked import Forked
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from svhncli.cli import grammar, hydra_app, sweep
from svhncli.cli import main as cli
from svhncli.cli.job import JobTask, slug
from svhncli.cli.sweep import _table
from svhncli.core import files
from svhncli.core.errors import CheckpointError, UsageError
from svhncli.runs import locate
from svhncli.runs.run_dir import RunDir
from svhncli.runs.sweeps import SweepJob, ranked

SMALL = [
    "data=tiny",
    "data.n_train=120",
    "data.n_test=40",
    "model=linear",
    "epochs=1",
    "threads=1",
    "device=cpu",
    "watch=0",
    "report=false",
]


pytestmark = pytest.mark.usefixtures("folder")


def sweep_folder() -> Path:
    (folder,) = Path("outputs/sweep").iterdir()
    return folder


# ----------------------------------------------------------------------------- names


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=6))
def test_a_folder_name_is_short_and_needs_no_quotes(words: list[str]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,119}", slug(words))
    assert not slug(words).startswith(".")


@given(st.lists(st.text("ab/=,.-_", min_size=1), min_size=1, max_size=3), st.data())
def test_different_overrides_have_different_folders(words: list[str], data: st.DataObject) -> None:
    other = data.draw(
        st.sampled_from([[*words, "a=1"], [words[0] + "/", *words[1:]], [words[0] + "x" * 200]])
    )
    assert slug(words) != slug(other)


def test_a_folder_name_holds_the_swept_values() -> None:
    assert slug(["lr=0.001", "model=cnn"]) == "lr-0.001_model-cnn"
    assert re.fullmatch(r"data.root--a-b-[0-9a-f]{8}", slug(["data.root=/a/b"]))


def test_the_config_of_a_finished_job_is_not_kept(folder: Path) -> None:
    """Else a sweep would need more memory with every job."""
    configs: list[weakref.ref[DictConfig]] = []
    alive = []

    def task(config: DictConfig) -> None:
        gc.collect()
        alive.append(sum(config() is not None for config in configs))
        configs.append(weakref.ref(config))

    hydra_app.launch("train", task, ["-m", "seed=0,1,2"])
    assert alive == [0, 0, 0]


def test_jobs_are_every_combination_in_order() -> None:
    swept, jobs = sweep.expand(["lr=1e-3,3e-4", "epochs=2", "model=cnn,mlp"])
    assert swept == ["lr", "model"]
    assert [" ".join(job) for job in jobs] == [
        "lr=0.001 epochs=2 model=cnn",
        "lr=0.001 epochs=2 model=mlp",
        "lr=0.0003 epochs=2 model=cnn",
        "lr=0.0003 epochs=2 model=mlp",
    ]


def test_glob_and_range_are_sweeps() -> None:
    assert len(sweep.expand(["optim=glob(adam*)"])[1]) == 2
    assert len(sweep.expand(["seed=range(0,3)"])[1]) == 3
    with pytest.raises(UsageError, match="cannot list the jobs"):
        sweep.expand(["lr=interval(0,1)"])


# ----------------------------------------------------------------------------- ranks


def row(job: int, status: str, metric: str | None = None, score: float | None = None) -> SweepJob:
    nothing = dict.fromkeys(
        ("best_epoch", "val_loss", "val_accuracy", "test_accuracy", "seconds", "reason"), None
    )
    return SweepJob(job=job, status=status, metric=metric, score=score, run_dir="", **nothing)


def test_the_highest_accuracy_and_the_lowest_loss_come_first() -> None:
    accuracies = [row(1, "done", "val_accuracy", 0.5), row(2, "failed"), row(3, "done", "val_accuracy", 0.9)]
    assert [job.job for job in ranked(accuracies)] == [3, 1, 2]
    losses = [row(1, "unfinished"), row(2, "done", "val_loss", 0.5), row(3, "done", "val_loss", 0.1)]
    assert [job.job for job in ranked(losses)] == [3, 2, 1]


def test_jobs_with_the_same_score_are_ranked_by_their_loss_then_by_order() -> None:
    jobs = [row(number, "done", "val_accuracy", 0.9) for number in (4, 3, 2, 1)]
    jobs[0] = replace(jobs[0], val_loss=0.2)
    jobs[1] = replace(jobs[1], val_loss=0.1)
    assert [job.job for job in ranked(jobs)] == [3, 4, 1, 2]
    assert _table(jobs).title == "4 jobs, best val_accuracy first, ties by val loss, then by job"


# ----------------------------------------------------------------------------- whole sweeps


def test_jobs_go_on_after_a_failure_and_only_the_failed_jobs_run_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["train", "-m", *SMALL, "init_from=start,null", "lr=1e-2,1e-3"]) == 1
    first, folder = capsys.readouterr(), sweep_folder()
    assert "job 1/4 init_from=start lr=0.01 failed: " in first.err
    assert first.err.index("job 1/4 init_from=start lr=0.01 failed") < first.err.index("job 2/4")  # at once
    assert f"2 of 4 jobs failed; run them again with: svhn train --resume {folder}" in first.err
    status = {path.parent.name: files.read_json(path)["status"] for path in folder.glob("*/summary.json")}
    assert status == {
        "init_from-start_lr-0.01": "failed",
        "init_from-start_lr-0.001": "failed",
        "init_from-null_lr-0.01": "done",
        "init_from-null_lr-0.001": "done",
    }
    assert files.read_json(folder / "init_from-start_lr-0.01" / "summary.json")["exit_code"] == 4

    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "done", "failed", "failed"]
    assert float(rows[0]["score"]) >= float(rows[1]["score"])
    assert all(row["test_accuracy"] and Path(row["run_dir"], "best.pt").is_file() for row in rows[:2])
    assert [row["lr"] for row in rows[2:]] == ["0.01", "0.001"]
    assert "start" in rows[2]["reason"]

    shutil.copytree(folder / "init_from-null_lr-0.01", "start")
    weights = {path: path.stat().st_mtime_ns for path in folder.glob("*/best.pt")}
    assert cli.main(["train", "--resume", "--json"]) == 0
    second = capsys.readouterr()
    assert "job 3/4 init_from=null lr=0.01 is already done" in second.err
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    result = json.loads(second.out)
    assert Path(result["sweep_dir"]) == folder
    assert [row["status"] for row in result["jobs"]] == ["done"] * 4


def test_a_mistake_that_all_jobs_share_is_refused_before_any_job_starts(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    for words in (["lr=1e-3,1e-2", "nonsense=1"], ["model=cnn,cnnn"], ["lr=1e-3,1e-3"]):
        assert cli.main(["train", "-m", *SMALL[:3], *words]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "starts" not in printed.err
        assert list(folder.iterdir()) == []


def test_a_job_shows_one_line_and_keeps_its_details_in_its_log(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "epochs=1", "lr=1e-2,1e-3", "report=false", "out=sweep"]
    assert cli.main(["train", "-m", *words, "reg.augment.hflip=true"]) == 0
    shown = capsys.readouterr().err.splitlines()
    warning = "warning: reg.augment.hflip=true: a mirrored digit is a different digit or none"
    assert shown[0] == "sweep    2 jobs in sweep; details in each train.log"
    for number, lr in ((1, "0.01"), (2, "0.001")):
        name = f"job {number}/2 lr={lr}"
        own = [line for line in shown if line.startswith(name)]
        assert own[:2] == [f"{name} starts", f"{name}: {warning}"]
        assert re.fullmatch(rf"{re.escape(name)}: val [\d.]+%, val loss [\d.]+ in epoch 1; [\d.]+ s", own[2])
        assert len(own) == 3
        log = Path("sweep", f"lr-{lr}", "train.log").read_text()
        assert "epoch 1/1" in log
        assert warning in log
    assert len(shown) == 7


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_whole_sweep_and_the_hint_names_the_resume_command(
    number: signal.Signals, code: int, folder: Path, spawn: Callable[..., Forked]
) -> None:
    process = spawn("train", "-m", *SMALL, "epochs=1000000", "reg.patience=0", "lr=1e-3,1e-4")
    lines, give_up = [], time.monotonic() + 60
    for line in process.stderr:
        lines.append(line)
        if line.startswith("job 1/2"):
            log = sweep_folder() / "lr-0.001" / "train.log"
            while not log.is_file() or "  epoch " not in log.read_text():
                assert time.monotonic() < give_up, lines
            process.send_signal(number)
        if line.startswith("job 2/2"):
            process.kill()
    assert process.wait() == code, lines[-5:]
    assert lines[-1] == f"  hint: resume with: svhn train --resume {sweep_folder()}\n"
    assert "Traceback" not in "".join(lines)


# ----------------------------------------------------------------------------- resuming


@pytest.fixture
def finished_sweep(folder: Path) -> Path:
    """A sweep whose jobs are all done, made from its files alone."""
    sweep = folder / "outputs/sweep/2026-01-01_00-00-00-000000"
    for lr, accuracy in (("0.01", 0.25), ("0.001", 0.75)):
        (sweep / f"lr-{lr}").mkdir(parents=True)
        RunDir(sweep / f"lr-{lr}").write_summary(fold_summary(accuracy))
    files.write_json(sweep / "sweep.json", {"overrides": ["lr=1e-2,1e-3"]})
    return sweep


def test_a_finished_sweep_prints_its_table_again(
    finished_sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--resume", str(finished_sweep)]) == 0
    table = capsys.readouterr().out
    assert 0 < table.index(" 75.00% ") < table.index(" 25.00% ")
    with (finished_sweep / "summary.csv").open(newline="") as file:
        assert [row["lr"] for row in csv.DictReader(file)] == ["0.001", "0.01"]


@pytest.mark.parametrize("words", [["--resume"], ["-m", "--resume"], ["resume=latest"]])
def test_resume_without_a_value_resumes_the_sweep_if_it_is_the_latest(
    words: list[str], finished_sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path("outputs/train") / "2025-12-31_00-00-00-000000").mkdir(parents=True)
    assert cli.main(["train", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sweep_dir"] == str(finished_sweep.relative_to(Path.cwd()))


def test_the_run_or_sweep_that_began_last_is_the_latest(finished_sweep: Path) -> None:
    run = Path("outputs/train/2026-01-02_00-00-00-000000")
    run.mkdir(parents=True)
    newest = locate.resumable("", sweeps_only=False)
    assert newest == finished_sweep.relative_to(Path.cwd())  # no run has begun in `run` yet
    (run / "config.yaml").write_text("")
    assert locate.resumable("", sweeps_only=False) == run
    assert locate.resumable("", sweeps_only=True) == finished_sweep.relative_to(Path.cwd())


def test_a_resumed_sweep_keeps_its_overrides(
    finished_sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--resume", str(finished_sweep), "epochs=3"]) == 2
    assert cli.main(["train", "-m", "lr=1,2", f"hydra.sweep.dir={finished_sweep}"]) == 2
    printed = capsys.readouterr().err
    assert "'epochs=3': a resumed sweep keeps its overrides" in printed
    assert "already holds a different sweep" in printed


@pytest.mark.parametrize(
    "word",
    [
        "plugins=[evil]",
        "hydra.launcher._target_=os.system",
        "++hydra.launcher._target_=os.system",
        "hydra={launcher:{_target_:os.system}}",
        "hydra/launcher=x",
        "+model@hydra.launcher=cnn",
    ],
)
def test_a_sweeps_record_cannot_name_code_to_run(word: str, finished_sweep: Path) -> None:
    files.write_json(finished_sweep / "sweep.json", {"overrides": ["lr=1e-2,1e-3", word]})
    with pytest.raises(CheckpointError, match="asks for plugins or Hydra settings"):
        sweep.resume(finished_sweep, [], [], as_json=False, debug=False)


def test_resuming_a_folder_without_a_sweep_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "-m", "--resume", str(folder)]) == 2
    assert cli.main(["train", "-m", "--resume"]) == 4
    printed = capsys.readouterr().err
    assert "is not a sweep" in printed
    assert "there is no sweep under outputs/sweep" in printed


def test_a_job_can_be_sent_to_another_process() -> None:
    job = JobTask(4, ["lr"], debug=False)
    assert pickle.loads(pickle.dumps(job)) == job


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr=1e-3,abc"], "lr=abc has the wrong type"),
        (["lr=1e-3,-1"], "lr=-1.0: must be above 0"),
        (["model=linear,mpl"], "unknown model 'mpl'"),
        (["lr=1e-3,1e-2", "model=cnn,mlp", "model.width=0.5"], "'model.width' belongs to"),
    ],
)
def test_a_mistake_in_any_value_is_refused_before_the_first_job(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli.main(["train", "-m", *SMALL, *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(Path().glob("outputs/sweep/*"))


def test_a_choice_of_the_user_s_own_folder_can_be_swept(folder: Path) -> None:
    (folder / "own" / "model").mkdir(parents=True)
    (folder / "own" / "model" / "mine.yaml").write_text("name: mlp\nwidths: [8]\n")
    assert cli.main(["train", "-m", "--config-dir", "own", *SMALL, "model=mine,linear"]) == 0


def test_a_folder_may_have_resolvers_and_begin_with_the_home_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    year = time.strftime("%Y")
    for word, place in (
        ("hydra.run.dir='made/${now:%Y}/run'", f"made/{year}/run"),
        ("hydra.run.dir='~/run'", "home/run"),
        ("out='~/other'", "home/other"),
    ):
        assert cli.main(["train", *SMALL, "epochs=1", "report=false", word]) == 0
        assert (folder / place / "best.pt").is_file()
    write_recipe(folder, "hydra: {run: {dir: ~/third}}")
    own = ["--config-dir", "own", "experiment=mine", "epochs=1", "report=false"]
    assert cli.main(["train", *SMALL, *own]) == 0
    assert (folder / "home/third/best.pt").is_file()
    sweep = ["hydra.sweep.dir='swept/${now:%Y}'", "lr=1e-3,1e-4"]
    assert cli.main(["train", "-m", *SMALL, "epochs=1", "report=false", *sweep]) == 0
    assert (folder / f"swept/{year}/summary.csv").read_text().count(",done,") == 2
    assert {path.name for path in folder.iterdir()} >= {"made", "home", "swept"}
    assert not (folder / "~").exists()


def write_recipe(folder: Path, text: str) -> None:
    (folder / "own" / "experiment").mkdir(parents=True, exist_ok=True)
    (folder / "own" / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")


@pytest.mark.parametrize(
    ("text", "run", "sweep"),
    [
        ("seed: 1", None, None),
        ("hydra: {run: {dir: ~/a}}", "home/a", None),
        ("hydra: {sweep: {dir: '~/b-${now:%Y}'}}", None, f"home/b-{time.strftime('%Y')}"),
        ("out: ~/c", "home/c", "home/c"),
    ],
)
def test_a_file_of_the_user_s_own_may_name_the_folder(
    text: str, run: str | None, sweep: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    write_recipe(folder, text)
    words = grammar.parse(["experiment=mine", "lr=1e-3,1e-4"], "train")
    for kind, place in (("run", run), ("sweep", sweep)):
        named = hydra_app.named_folder("train", ["--config-dir", "own"], words, kind)
        assert named == (place and str(folder / place))
    assert hydra_app.named_folder("train", [], words[1:], "run") is None
