"""`svhn --help` and `svhn help`: every verb, flag, key and choice, without heavy imports."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import fields
from importlib import metadata

import pytest
from conftest import REPO

from svhncli import __version__
from svhncli.cli import catalog, overview
from svhncli.cli import main as cli
from svhncli.config.verbs import VERBS

ENV = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}


def test_no_verb_prints_the_help_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "usage: svhn VERB" in printed.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb_and_flag(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in [*VERBS, *cli.FLAGS])


def test_the_words_of_a_verb_are_keys_of_it() -> None:
    for verb, declared in VERBS.items():
        names = {item.name for item in fields(declared.config)}
        assert set(catalog.plain_keys(verb)) <= names
        assert catalog.takes_run(verb) == ("run" in names)


def test_the_overview_has_every_verb_with_its_words_and_meaning() -> None:
    text = overview.overview(cli.FLAGS, cli.SHORT)
    for verb in VERBS.values():
        row = rf"^  {re.escape(f'{verb.name} {verb.words}'.rstrip())}  +{re.escape(verb.meaning)}$"
        assert re.search(row, text, re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_lists_every_key_with_meaning_and_every_choice(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, "--help"]) == cli.main(["help", verb]) == 0
    text = capsys.readouterr().out
    flowing = " ".join(text.split())
    for key in catalog.keys(verb).values():
        assert f" {key.path} " in text
        assert " ".join(key.rule["meaning"].split()[:3]) in flowing
    for group in catalog.defaults(verb):
        assert all(f"{group}={choice}" in text for choice in catalog.choices(group))
    assert max(map(len, text.splitlines())) <= 80


def test_help_shows_ranges_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["train", "--help"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "epochs 20 passes over the training set [int >= 1]" in lines
    assert "split.k 5 number of folds [int >= 2]" in lines
    assert any(line.startswith("lr from optim learning rate") for line in lines)


def test_help_and_completion_import_nothing_heavy() -> None:
    program = (
        "import sys; from svhncli.cli.main import main\n"
        "main(['train', '--help']); main(['--complete', 'train', '']); main(['trian'])\n"
        "sys.exit(str({'hydra', 'omegaconf', 'torch', 'numpy', 'rich', 'yaml'} & {*sys.modules} or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENV, capture_output=True, text=True, check=False
    )
    assert done.stderr == "svhn: error: unknown verb 'trian'\n  hint: did you mean 'train'?\n\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    python, torch = platform.python_version(), metadata.version("torch")
    assert capsys.readouterr().out == f"svhn {__version__} (Python {python}, torch {torch})\n"


def test_the_version_is_defined_in_a_single_place() -> None:
    assert not re.search(r"^version", (REPO / "pyproject.toml").read_text(), re.MULTILINE)
    assert __version__ in (REPO / "svhncli" / "__init__.py").read_text()


@pytest.mark.fault("the reader of a pipe ends first", "the command ends without a word", "141")
def test_a_pipe_closed_by_its_reader_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "svhncli", "train", "--help"],
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_help_of_a_group_is_about_that_group_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "train", "schedule", "split"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("schedule: how lr changes over the run (default: cosine)")
    assert "schedule.warmup" in text
    assert "\n\nsplit: " in text
    assert "model=" not in text
    assert "flags" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert cli.main(["help", "train", "modle"]) == 2
    assert "did you mean 'model'?" in capsys.readouterr().err
    assert cli.main(["help", "export", "model"]) == 2
    assert "neither a group nor a key of svhn export" in capsys.readouterr().err


def test_help_of_a_key_is_about_that_key_with_the_choices_that_have_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["help", "train", "model.width", "lr"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"model=cnn\n +model\.width +1 .*model=wide_resnet\n +model\.width +8 ", text, re.S)
    assert re.search(r"\n +lr +from optim +learning rate", text)
    assert "dropout" not in text
