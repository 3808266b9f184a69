"""In real processes: a run that is killed or stopped and resumed ends with the bits of an undisturbed run."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_mat
from forked import Forked
from runs_made import train_here

from svhncli.cli import main as cli
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.data.store.cache import default_root
from svhncli.runs import checkpoint

Spawn = Callable[..., Forked]

# Everything that carries state: EMA, momentum, plateau, patience, dropout, mixup, cutmix, augmentation.
RUN = [
    "data.n_train=400",
    "data.n_test=60",
    "epochs=4",
    "batch_size=32",
    "threads=1",
    "device=cpu",
    "model.width=0.25",
    "optim=sgd",
    "schedule=plateau",
    "reg=strong",
    "reg.l0=0.001",
    "reg.cutmix=1",
    "reg.augment.policy=randaugment",
    "reg.patience=3",
    "report=false",
]


def train(spawn: Spawn, folder: Path, *words: str) -> Forked:
    return spawn("train", f"hydra.run.dir={folder}", *RUN, *words)


def finish(process: Forked) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def bits(run: Path) -> dict[str, str]:
    """Hashes of everything that must not differ."""
    return {
        "best": checkpoint.digest(checkpoint.load(run / "best.pt")["weights"]),
        "last": checkpoint.digest(checkpoint.load(run / "last.pt")["state"]),
        "metrics": hashlib.sha256((run / "metrics.csv").read_bytes()).hexdigest(),
        "predictions": hashlib.sha256((run / "val_predictions.csv").read_bytes()).hexdigest(),
        **{
            name: hashlib.sha256((run / "plots" / name).read_bytes()).hexdigest()
            for name in ("augmented.png", "predictions.png", "watch.png", "watch_dark.png")
        },
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is never interrupted; it is made in this process, since the process does not matter."""
    return train_here(tmp_path_factory.mktemp("undisturbed") / "run", *RUN)


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    run = tmp_path_factory.mktemp("one_epoch") / "run"
    assert cli.main(["train", f"hydra.run.dir={run}", *RUN, "epochs=1"]) == 0
    return run


@pytest.fixture
def run_copy(one_epoch: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(one_epoch, tmp_path / "run"))


def signal_at(process: Forked, text: str, number: signal.Signals) -> str:
    """Send a signal as soon as a line of the progress contains `text`; the output until then."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            process.send_signal(number)
            return seen
    raise AssertionError(f"'{text}' was never printed:\n{seen}")


@pytest.mark.fault(
    "SIGKILL of a run", "it is resumed to the bits of an undisturbed run, and no temporary file stays", "137"
)
def test_a_killed_run_is_resumed_to_the_same_bits(spawn: Spawn, tmp_path: Path, undisturbed: Path) -> None:
    run = tmp_path / "run"
    process = train(spawn, run)
    signal_at(process, "epoch 2/4", signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    process = spawn("train", "--resume", str(run))
    signal_at(process, "epoch 3/4", signal.SIGKILL)
    finish(process)
    (run / f"{TEMP_PREFIX}1-last.pt").write_bytes(b"left behind by a kill within a save")
    code, out, err = finish(spawn("train", "--resume", str(run), "--json"))
    assert (code, json.loads(out)["status"]) == (0, "done"), err
    assert bits(run) == bits(undisturbed)
    assert not list(run.glob(f"{TEMP_PREFIX}*"))


@pytest.mark.fault(
    "Ctrl-C, SIGTERM, SIGHUP, SIGUSR2 or SIGXCPU",
    "the state is saved at the end of the step, and the command that resumes it is printed",
    "130, 143, 129, 140, 152",
)
@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
        (signal.SIGUSR2, 140),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.full),
        pytest.param(signal.SIGXCPU, 152, marks=pytest.mark.full),
    ],
)
def test_a_stopped_run_saves_within_the_epoch_and_names_the_resume_command(
    spawn: Spawn, tmp_path: Path, undisturbed: Path, number: signal.Signals, exit_code: int
) -> None:
    run = tmp_path / "run"
    process = train(spawn, run)
    signal_at(process, "epoch 1/4", number)
    code, out, err = finish(process)
    assert code == exit_code
    assert f"svhn train --resume {run}" in err
    assert "Traceback" not in err
    assert out == ""
    assert json.loads((run / "summary.json").read_text())["status"] == "interrupted"
    saved = checkpoint.load(run / "last.pt")["state"]
    assert saved["epoch"] >= 1
    code, _, err = finish(spawn("train", "--resume", str(run)))
    assert code == 0, err
    assert bits(run) == bits(undisturbed)


STOP_IN_STEP_17 = """
import os, signal, torch

seen = []

def count(module, _):
    if type(module).__name__ == "Cnn" and module.training:
        seen.append(1)
        if len(seen) == 17:
            os.kill(os.getpid(), signal.SIGTERM)

torch.nn.modules.module.register_module_forward_pre_hook(count)
"""


@pytest.mark.fault("SIGUSR1", "the state is saved, and the run goes on", "0")
def test_a_run_that_is_asked_to_save_goes_on(spawn: Spawn, folder: Path, undisturbed: Path) -> None:
    (folder / "asks.py").write_text(STOP_IN_STEP_17.replace("SIGTERM", "SIGUSR1"))
    code, _, err = finish(train(spawn, folder / "run", "plugins=[asks]"))
    assert code == 0, err
    assert "saved    in epoch 2, step 5, as SIGUSR1 asks" in err
    assert bits(folder / "run") == bits(undisturbed)


def test_a_signal_within_an_epoch_takes_effect_at_the_end_of_the_step(
    spawn: Spawn, folder: Path, undisturbed: Path
) -> None:
    """A plugin sends the signal from within the 17th step, the 5th of the second epoch."""
    (folder / "stop_at.py").write_text(STOP_IN_STEP_17)
    run = folder / "run"
    code, _, err = finish(train(spawn, run, "plugins=[stop_at]"))
    assert code == 143, err
    saved = checkpoint.load(run / "last.pt")["state"]
    assert (saved["epoch"], saved["step"]) == (1, 5)
    assert json.loads((run / "summary.json").read_text())["best"]["epoch"] == 1
    code, _, err = finish(spawn("train", "--resume", str(run)))
    assert code == 0, err
    assert bits(run) == bits(undisturbed)


@pytest.mark.parametrize(
    ("data", "fresh"),
    [
        ("synth", "true"),
        pytest.param("mix", "false", marks=pytest.mark.full),
        pytest.param("mix", "true", marks=pytest.mark.full),
    ],
)
def test_mixed_in_or_fresh_images_are_the_same_after_a_stop_within_an_epoch(
    spawn: Spawn, folder: Path, data: str, fresh: str
) -> None:
    """As above: 17 steps are an epoch of 12 (or 13) and a part of the next, whose images are new."""
    (folder / "stop_at.py").write_text(STOP_IN_STEP_17)
    words = [*RUN, f"data.fresh={fresh}", "epochs=2"]
    if data == "synth":
        words += ["data.n_train=200", "batch_size=16"]  # as many steps of fewer images
    if data == "mix":
        for part, seed in (("train", 0), ("test", 1)):
            write_mat(folder / "d", part, 230, seed)
        words[:2] = ["data=mix", "data.root=d", "data.check_md5=false", "data.n_rendered=150"]
    whole, broken = folder / "whole", folder / "broken"
    code, _, err = finish(spawn("train", f"hydra.run.dir={whole}", *words))
    assert code == 0, err
    code, _, err = finish(spawn("train", f"hydra.run.dir={broken}", *words, "plugins=[stop_at]"))
    assert code == 143, err
    saved = checkpoint.load(broken / "last.pt")["state"]
    assert saved["epoch"] == 1
    assert saved["step"] in (4, 5)
    code, _, err = finish(spawn("train", "--resume", str(broken)))
    assert code == 0, err
    assert bits(broken) == bits(whole)
    assert not list(default_root().glob(".fresh-*"))


def test_a_split_that_comes_out_differently_is_refused(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise training images would be validated on, for instance after an update of svhn."""
    content = checkpoint.load(run_copy / "last.pt")
    content["meta"]["split"] = "another"
    checkpoint.save(run_copy / "last.pt", content)
    assert cli.main(["train", "--resume", str(run_copy), "epochs=2"]) == 3
    assert "split" in capsys.readouterr().err


def test_a_resume_that_fails_leaves_the_summary_of_the_finished_run(run_copy: Path) -> None:
    before = (run_copy / "summary.json").read_bytes()
    (run_copy / "last.pt").write_bytes(b"")
    assert cli.main(["train", "--resume", str(run_copy), "epochs=2"]) == 4
    assert (run_copy / "summary.json").read_bytes() == before
    assert json.loads((run_copy / "status.json").read_text())["status"] == "failed"


def test_a_kfold_run_is_resumed_at_the_fold_where_it_stopped(spawn: Spawn, tmp_path: Path) -> None:
    words = ["split=kfold", "split.k=3", "epochs=2", "jobs=1"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert finish(train(spawn, whole, *words))[0] == 0
    process = train(spawn, broken, *words)
    seen = signal_at(process, "fold1 ", signal.SIGTERM)
    assert finish(process)[0] == 143
    assert "fold0" in seen
    done = (broken / "fold0" / "summary.json").stat().st_mtime_ns
    code, _, err = finish(spawn("train", "--resume", str(broken)))
    assert code == 0, err
    assert (broken / "fold0" / "summary.json").stat().st_mtime_ns == done, "a finished fold is not run again"
    for name in ("fold0", "fold1", "fold2"):
        assert bits(whole / name) == bits(broken / name)
    assert (whole / "oof_predictions.csv").read_bytes() == (broken / "oof_predictions.csv").read_bytes()


def test_another_seed_gives_other_bits(tmp_path: Path, undisturbed: Path) -> None:
    run = tmp_path / "run"
    assert cli.main(["train", f"hydra.run.dir={run}", *RUN, "seed=1"]) == 0
    hashes, reference = bits(run), bits(undisturbed)
    assert all(hashes[name] != reference[name] for name in hashes)


def test_resuming_a_finished_run_changes_nothing_and_is_reported(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in undisturbed.iterdir() if p.is_file()}
    assert cli.main(["train", "--resume", str(undisturbed)]) == 0
    assert "is finished" in capsys.readouterr().err
    assert {p.name: p.stat().st_mtime_ns for p in undisturbed.iterdir() if p.is_file()} == before


def test_a_changed_key_is_refused_by_name(undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--resume", str(undisturbed), "lr=0.5", "model=mlp"]) == 2
    assert "model" in capsys.readouterr().err
    assert cli.main(["train", "--resume", str(undisturbed), "optim.momentum=0.5"]) == 2
    err = capsys.readouterr().err
    assert "optim.momentum=0.9 in that run, not 0.5" in err
    assert cli.main(["train", "--resume", str(undisturbed), "epochs=2"]) == 2
    assert "raised, not lowered" in capsys.readouterr().err
    assert cli.main(["train", "--resume", str(undisturbed), "optim.momentun=0.5"]) == 2
    assert "optim.momentum" in capsys.readouterr().err


def test_more_epochs_stretch_the_schedule_and_the_new_lr_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = [*RUN, "schedule=cosine", "lr=0.01"]
    assert cli.main(["train", f"hydra.run.dir={run}", *words, "epochs=1"]) == 0
    assert cli.main(["train", "--resume", str(run), "epochs=2"]) == 0
    assert "from 1 to 2 epochs: lr is 5.0e-03" in capsys.readouterr().err  # the middle of a cosine
    rows = (run / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["0.01", "0.005"]


def test_a_file_of_the_run_means_the_run(undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", f"resume={undisturbed / 'last.pt'}"]) == 0
    assert "is finished" in capsys.readouterr().err


def test_resuming_a_missing_run_is_exit_code_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--resume"]) == 4
    assert cli.main(["train", "--resume", "nowhere"]) == 4
    (folder / "best.pt").write_bytes(b"x")
    assert cli.main(["train", "--resume", "best.pt"]) == 4
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.fault(
    "a bit flips in `best.pt` or `last.pt`",
    "the file is refused by name; the other one is left as it is",
    "4",
)
def test_a_damaged_checkpoint_is_exit_code_4_and_nothing_is_lost(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = bytearray((run_copy / "last.pt").read_bytes())
    raw[len(raw) // 2] ^= 1
    (run_copy / "last.pt").write_bytes(raw)
    best = (run_copy / "best.pt").read_bytes()
    assert cli.main(["train", "--resume", str(run_copy), "epochs=2"]) == 4
    assert "damaged" in capsys.readouterr().err
    assert (run_copy / "best.pt").read_bytes() == best
    assert cli.main(["eval", str(run_copy / "last.pt")]) == 4


@pytest.mark.fault("two processes train in one folder", "the second ends before it touches a file", "5")
def test_a_run_directory_is_held_against_a_second_process(
    spawn: Spawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    process = train(spawn, run, "epochs=50", "reg.patience=0")
    signal_at(process, "epoch  1/50", signal.SIGSTOP)
    assert cli.main(["train", "--resume", str(run)]) == 5
    assert "another process" in capsys.readouterr().err


@pytest.mark.fault(
    "the data is not what it was when a run is resumed", "refused, with what has changed in the counts", "3"
)
def test_data_that_changed_is_refused(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint names its data by a fingerprint: a run is never resumed on other images unnoticed."""
    content = checkpoint.load(run_copy / "last.pt")
    content["meta"]["fingerprint"] = "of other data"
    checkpoint.save(run_copy / "last.pt", content)
    assert cli.main(["train", "--resume", str(run_copy), "epochs=2"]) == 3
    err = capsys.readouterr().err
    assert "images or labels have changed" in err
    assert "there are as many images of each digit as before" in err
