"""Every command that a run prints or shows in its report works as printed."""

from __future__ import annotations

import html
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import write_mat
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from svhncli.cli import main as cli
from svhncli.report.next_commands import after_training, for_shell
from svhncli.runs.reader import Run
from svhncli.runs.results import Diagnosis, FoldSummary

MAT = ["data=svhn", "data.root=mat", "data.check_md5=false", "data.download=false"]
MCHAR = ["data=mchar", "data.root=mchar", "split=official", "data.height=16", "data.width=32"]
SYNTH = ["data=tiny", "data.n_train=150", "data.n_test=40", "data.size=16"]
TINY = ["epochs=1", "model=linear", "batch_size=32", "threads=1", "device=cpu", "watch=0", "jobs=1"]
KINDS = {
    "synth": [*SYNTH, *TINY],
    "svhn": [*MAT, *TINY],
    "a folder": ["data=folder", "data.root=folder", *TINY],
    "mchar": [*MCHAR, *TINY],
    "synth_full": ["data=synth_full", "data.n_train=60", "data.n_test=20", "data.height=16", *TINY],
    "tianchi": [
        *("experiment=tianchi", "data.root=mchar", "data.height=32", "data.width=64"),
        *("model.width=0.25", "epochs=1", "threads=1", "device=cpu", "watch=0"),
    ],
    "k-fold": [*SYNTH, *TINY, "split=kfold", "split.k=2"],
    "bootstrap": [*SYNTH, *TINY, "split=bootstrap", "split.n=2"],
    "seeds": [*SYNTH, *TINY, "repeats=2"],
    "fine-tuned": [*SYNTH, *TINY, "model=cnn", "model.width=0.25", "init_from=base"],
    "stopped early": [*SYNTH, *TINY, "epochs=9", "lr=1e-30", "reg.patience=1"],
    "without a test part": [*SYNTH[:2], "data.n_test=0", *TINY],
    "not tested": [*SYNTH, *TINY, "test=false"],
}
LIKE_OTHERS = {
    "synth",
    "svhn",
    "mchar",
    "synth_full",
    "bootstrap",
    "seeds",
    "not tested",
    "without a test part",
}
"""Kinds that only the full tier tries."""
SLOW = ("train", "check", "export")
"""Verbs whose printed commands are only composed and checked, unless the test is of the full tier."""
EXPORTED = {"a folder composed", "tested-joined"}
"""A run and an ensemble that are exported all the same."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data and a run to start from, in the current folder."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_mat(folder / "mat", "train", 120, 0)
        write_mat(folder / "mat", "test", 40, 1)
        small = ["data.n_train=60", "data.n_test=20", "data.size=16"]
        assert cli.main(["render", "layout=folder", "part=train", "out=folder", *small]) == 0
        assert cli.main(["render", "layout=mchar", "out=mchar", *small]) == 0
        base = [*SYNTH, *TINY, "model=cnn", "model.width=0.25", "report=false", "out=base", "name=base"]
        assert cli.main(["train", *base]) == 0
        yield folder


def of_page(page: Path) -> list[str]:
    """The commands that a report shows."""
    shown = re.findall(r'<code class="command">(.*?)</code>', page.read_text(), re.DOTALL)
    return [html.unescape(text) for text in shown]


def executable(command: str, full: bool) -> list[str]:
    """The words of a printed command, with less work, and an image for PATHS."""
    program, verb, *words = shlex.split(command)
    assert program == "svhn"
    words = ["mat/test_32x32.mat" if word == "PATHS..." else word for word in words]
    if verb in SLOW and not full and not {"--resume", "-m", *EXPORTED} & {*words}:
        return [verb, *words, "--cfg", "job"]
    less = {"human": ["html=true", "n=3"], "check": ["check.steps=20", "threads=1"]}
    return [verb, *words, *less.get(verb, [])]


def run_all(commands: list[str], full: bool, capsys: pytest.CaptureFixture[str]) -> None:
    failed = []
    for command in dict.fromkeys(commands):
        capsys.readouterr()
        code = cli.main(executable(command, full))
        if code not in ((0, 8) if " check" in command else (0,)):
            failed.append(f"{code}: {command}\n{capsys.readouterr().err[-400:]}")
    assert not failed, "\n".join(failed)


COMMON = [pytest.param(kind, False, id=f"{kind} composed") for kind in KINDS if kind not in LIKE_OTHERS]
ALL = [pytest.param(kind, True, id=f"{kind} run", marks=pytest.mark.full) for kind in KINDS]


@pytest.mark.parametrize(("kind", "full"), COMMON + ALL)
def test_the_commands_of_a_run_work(
    place: Path, kind: str, full: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run = f"{kind} {'run' if full else 'composed'}"
    capsys.readouterr()
    assert cli.main(["train", *KINDS[kind], f"out={run}", "--json"]) == 0
    commands = json.loads(capsys.readouterr().out)["next"]
    assert len(commands) > 1
    run_all([*commands, *of_page(Path(run, "report.html"))], full, capsys)


def test_the_commands_of_an_ensemble_and_of_a_sweep_work(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = []
    for name, words in {"tested": [], "untested": ["data.n_test=0"]}.items():
        folds = [*SYNTH, *TINY, "split=kfold", "split.k=2", *words, f"hydra.run.dir={name}"]
        assert cli.main(["train", *folds]) == 0
        capsys.readouterr()
        assert cli.main(["ensemble", name, f"out={name}-joined", "--json"]) == 0
        commands += json.loads(capsys.readouterr().out)["next"]
    capsys.readouterr()
    assert cli.main(["train", "-m", *SYNTH, *TINY, "lr=0.01,0.001", "out=sweep"]) == 0
    printed = re.findall(r"svhn compare .*", capsys.readouterr().out)
    assert printed == ["svhn compare sweep"]
    run_all([*commands, *printed, *of_page(Path("sweep/report.html"))], False, capsys)


@pytest.mark.parametrize(
    ("verdict", "more"), [("underfitting", True), ("overfitting", False), ("diverged", False)]
)
def test_more_epochs_are_suggested_only_where_they_may_help(place: Path, verdict: str, more: bool) -> None:
    if not Path("judged").is_dir():
        assert cli.main(["train", *SYNTH, *TINY, "report=false", "out=judged"]) == 0
    run = Run.of(Path("judged"))
    assert isinstance(run.summary, FoldSummary)
    judged = Diagnosis(verdict=verdict, why="", advice=[], train_accuracy=0.9, val_accuracy=0.8, gap=0.1)
    commands = after_training(run, replace(run.summary, diagnosis=judged))
    assert any("--resume" in command for command in commands) == more


def test_images_without_labels_are_offered_for_prediction(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for digit, number in itertools.product(range(10), range(4)):
        file = folder / "mine" / "train" / str(digit) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 12), (20 * digit, 5 * number, 0)).save(file)
    (folder / "mine" / "test").mkdir()
    Image.new("RGB", (12, 12)).save(folder / "mine" / "test" / "a.png")
    words = ["data=folder", "data.root=mine", "model=linear", "epochs=1", "threads=1", "watch=0"]
    assert cli.main(["train", *words, "report=false", "out=run", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "unread   test (no labels)" in err
    (command,) = (word for word in json.loads(out)["next"] if word.startswith("svhn predict"))
    assert command == f"svhn predict run {folder}/mine/test"
    assert cli.main(shlex.split(command)[1:]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@given(st.text())
def test_a_word_is_quoted_for_the_shell(text: str) -> None:
    assert shlex.split(for_shell(text)) == [text]


def test_the_quotes_of_hydra_do_not_make_a_command_unreadable() -> None:
    assert for_shell(r"data.group='(meter\d+)_'") == r""" "data.group='(meter\d+)_'" """.strip()


def test_lr_find_prints_the_training_with_its_lr(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["data=folder", "data.root=folder", "model=linear", "batch_size=16", "threads=1", "grey=true"]
    assert cli.main(["lr-find", *own, "steps=160", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert cli.main([*shlex.split(result["next"])[1:], "--cfg", "job"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["lr"] == pytest.approx(result["lr"], rel=0.05)
    assert (config["data"]["root"], config["grey"], config["out"]) == (str(place / "folder"), True, None)
    assert result["configured"] == 3e-4
