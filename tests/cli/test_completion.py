"""What Tab offers, checked in real shells; a shell that is not installed is skipped."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

from svhncli.cli import catalog, completion
from svhncli.cli import main as cli
from svhncli.config.verbs import VERBS
from svhncli.config.verbs.training import TrainConfig

DEADLINE = 20  # seconds, after which a shell that does not answer has failed


def offered(*words: str) -> list[str]:
    lines = completion.candidates(list(words), cli.FLAGS, cli.SHORT, cli.VALUES)
    return [line.split("\t")[0] for line in lines]


@pytest.fixture
def svhn_on_path(tmp_path: Path) -> dict[str, str]:
    command = tmp_path / "bin" / "svhn"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m svhncli "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(REPO), "HOME": str(tmp_path), "TERM": "xterm"}


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


def after_tab(command: list[str], typed: str, wanted: str, env: dict[str, str], cwd: Path, ready: str) -> str:
    """Type into an interactive shell, press Tab, and return what the terminal shows until `wanted`."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execve(command[0], command, env)
    try:
        read_until(terminal, ready)
        os.write(terminal, typed.encode() + b"\t")
        return read_until(terminal, wanted)
    finally:
        os.close(terminal)
        os.kill(child, 9)
        os.waitpid(child, 0)


def read_until(terminal: int, wanted: str) -> str:
    shown = ""
    while wanted not in shown:
        if not select.select([terminal], [], [], DEADLINE)[0]:
            pytest.fail(f"no {wanted!r} within {DEADLINE} s; the terminal shows {shown!r}")
        shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(terminal, 65536).decode(errors="replace"))
    return shown


# ----------------------------------------------------------------------------- the candidates


def test_first_word_is_a_verb() -> None:
    assert offered("") == [*VERBS, "help", "completion"]
    assert offered("tr") == ["train"]


def test_every_flag_is_offered_anywhere() -> None:
    assert offered("train", "lr=1", "--") == list(cli.FLAGS)


def test_every_choice_of_every_group_is_offered() -> None:
    for group in catalog.defaults("train"):
        assert offered("train", f"{group}=") == [f"{group}={name}" for name in catalog.choices(group)]


def test_every_root_key_and_group_is_offered_for_an_empty_word() -> None:
    words = {word.rstrip("=") for word in offered("train", "")}
    assert words == set(TrainConfig.__dataclass_fields__) | {"experiment", "debug"}


def test_keys_are_those_of_the_active_choice() -> None:
    assert offered("train", "optim.mom") == []
    assert offered("train", "optim=sgd", "optim.mom") == ["optim.momentum="]
    assert offered("train", "reg=strong", "reg.augment.rot") == ["reg.augment.rotate="]


def test_a_sweep_completes_after_the_comma() -> None:
    assert offered("train", "-m", "model=cnn,m") == ["model=cnn,mlp"]


def test_the_listed_values_of_a_key_are_offered() -> None:
    assert offered("train", "metric=") == ["metric=val_accuracy", "metric=val_loss"]
    assert offered("train", "test=") == ["test=true", "test=false"]


def test_the_values_of_a_flag_are_offered() -> None:
    assert offered("train", "--cfg", "") == ["job", "hydra", "all"]
    assert offered("train", "-c", "j") == ["job"]


def test_runs_are_offered_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train/2026-01-01_00-00-00-000000", "sweep/2026-01-02_00-00-00-000000"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    runs = ["latest", "outputs/sweep/2026-01-02_00-00-00-000000", "outputs/train/2026-01-01_00-00-00-000000"]
    assert offered("eval", "")[:3] == runs
    assert offered("train", "--resume", "o")[:2] == runs[1:]
    assert offered("train", "init_from=l") == ["init_from=latest"]
    assert "latest" not in offered("eval", runs[1], "")


# ----------------------------------------------------------------------------- the shells


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("svhn tr", ["train"]),
        ("svhn train model=c", ["cnn"]),  # bash takes = for the start of a word
        ("svhn train model=cnn,d", ["cnn,datawhale"]),
        ("svhn train batch", ["batch_size="]),
        ("svhn train --resu", ["--resume"]),
        ("svhn train device=", ["auto", "cpu", "cuda"]),
    ],
)
def test_bash(line: str, expected: list[str], svhn_on_path: dict[str, str], tmp_path: Path) -> None:
    ask = f'eval "$(svhn completion bash)"; COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _svhn_complete'
    program = f"{ask}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(
        [needs("bash"), "--norc", "-c", program],
        env=svhn_on_path,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == expected, done.stderr


def test_bash_at_a_terminal(svhn_on_path: dict[str, str], tmp_path: Path) -> None:
    start = tmp_path / "rc"
    start.write_text('eval "$(svhn completion bash)"; PS1="ready> "\n')
    command = [needs("bash"), "--noprofile", "--rcfile", str(start), "-i"]
    after_tab(command, "svhn train model=wi", "de_resnet ", svhn_on_path, tmp_path, "ready> ")


def test_zsh_at_a_terminal(svhn_on_path: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".zshrc").write_text('eval "$(svhn completion zsh)"; PS1="ready> "\n')
    command, env = [needs("zsh"), "-i"], {**svhn_on_path, "ZDOTDIR": str(tmp_path)}
    after_tab(command, "svhn train model=wi", "de_resnet ", env, tmp_path, "ready> ")
    after_tab(command, "svhn train batch", "_size=", env, tmp_path, "ready> ")


def test_fish(svhn_on_path: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    typed = [
        "svhn tr",
        "svhn train model=wi",
        "svhn train batch",
        "svhn train --resu",
        "svhn train data.root=pho",
    ]
    program = "svhn completion fish | source;" + ";".join(f"complete -C '{line}'" for line in typed)
    done = subprocess.run(
        [needs("fish"), "--no-config", "-c", program],
        env=svhn_on_path,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    words = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert words == ["train", "model=wide_resnet", "batch_size=", "--resume", "data.root=photos/"], (
        done.stderr
    )
