"""Python 3.14's argparse formats each argument's help when it is added, which Hydra 1.3's is not made for.

https://github.com/python/cpython/blob/3.14/Lib/argparse.py, `_ActionsContainer._check_help`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from svhncli.cli import main as cli
from svhncli.config.verbs import VERBS


class Formatter(argparse.HelpFormatter):
    """As in Python 3.14, where this is a part of `_expand_help`."""

    def _expand_help(self, action: argparse.Action) -> str:
        text = self._get_help_string(action)
        assert text is not None
        return text if "%" not in text else super()._expand_help(action)


@pytest.fixture(autouse=True)
def _argparse_of_3_14(monkeypatch: pytest.MonkeyPatch) -> None:
    before = argparse._ActionsContainer.add_argument

    def add_argument(self: Any, *names: Any, **options: Any) -> argparse.Action:
        action = before(self, *names, **options)
        self._check_help(action)
        return action

    def check_help(self: Any, action: argparse.Action) -> None:
        if action.help and hasattr(self, "_get_formatter"):
            try:
                Formatter("svhn")._expand_help(action)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError("badly formed help string") from error

    monkeypatch.setattr(argparse._ActionsContainer, "_check_help", check_help, raising=False)
    monkeypatch.setattr(argparse._ActionsContainer, "add_argument", add_argument)


def test_hydras_own_parser_is_refused() -> None:
    from hydra._internal.utils import get_args_parser

    with pytest.raises(ValueError, match="badly formed help string"):
        get_args_parser()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gets_as_far_as_its_command(
    verb: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, "--help"]) == 0
    capsys.readouterr()
    assert cli.main([verb, "--cfg", "job"]) == 0
    assert capsys.readouterr().out


def test_hydras_own_flags_are_answered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--info", "config"]) == 0
    with pytest.raises(SystemExit) as ended:  # Hydra's own
        cli.main(["train", "--hydra-help"])
    assert ended.value.code == 0
    assert "--multirun" in capsys.readouterr().out


def test_runs_and_sweeps_train(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data.n_train=60", "data.n_test=20", "threads=1", "model=linear", "epochs=1", "report=false"]
    assert cli.main(["train", *words]) == 0
    assert cli.main(["train", "-m", *words, "seed=0,1", "jobs=1"]) == 0
    assert cli.main(["eval", "latest", "part=val"]) == 0


def test_argparse_is_left_as_it_was(folder: Path) -> None:
    before = argparse.ArgumentParser._check_help
    cli.main(["train", "--cfg", "job"])
    assert argparse.ArgumentParser._check_help is before
