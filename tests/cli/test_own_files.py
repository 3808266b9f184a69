"""Mistakes in a config file of the user's own: the file is named, and what to write there."""

from __future__ import annotations

from pathlib import Path

import pytest

from svhncli.cli import main as cli

GLOBAL = "# @package _global_\n"
FILES = {
    "a key twice": (f"{GLOBAL}lr: 1\nlr: 2\n", "line 3", "duplicate key lr"),
    "a byte-order mark": (f"\ufeff{GLOBAL}lr: 1e-3\n", "experiment", "without a byte-order mark"),
    "a comment above": (f"# mine\n{GLOBAL}lr: 1e-3\n", "experiment", "its first line # @package _global_"),
    "another package": ("# @package _globl_\nlr: 1e-3\n", "_globl_", "its first line # @package _global_"),
    "a dot in a key": (f"{GLOBAL}data.root: x\n", "'data.root'", "indented"),
    "no space": (f"{GLOBAL}lr:1\n", "'lr:1'", "a space follows the colon: lr: 1"),
    "a number as a key": (f"{GLOBAL}1: 2\n", "'1'", ""),
    "a word that is true": (f"{GLOBAL}on: 2\n", "'True'", ""),
    "a control character": (f"{GLOBAL}name: a\x07\n", "not YAML", "in UTF-8"),
    "Latin-1": (f"{GLOBAL}name: é\n".encode("latin-1"), "not UTF-8", "save it"),
    "UTF-16": (f"{GLOBAL}lr: 1\n".encode("utf-16"), "not UTF-8", "save it"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_mistake_names_its_file(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, message, hint = FILES[kind]
    file = folder / "my/experiment/mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main(["train", "--config-dir", "my", "experiment=mine", "--cfg", "job"]) == 2
    printed = capsys.readouterr().err
    assert "'my/experiment/mine.yaml'" in printed
    assert message in printed
    assert hint in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("defaults", "hint"),
    [
        ("  - model: mlp", "- override /model: mlp"),
        ("  - override model: mlp", "- override /model: mlp"),
        ("  override /model: mlp", "- override /model: mlp"),
    ],
)
def test_how_a_recipe_chooses_a_part_is_shown(
    defaults: str, hint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "my/experiment").mkdir(parents=True)
    (folder / "my/experiment/mine.yaml").write_text(f"{GLOBAL}defaults:\n{defaults}\n")
    assert cli.main(["train", "--config-dir", "my", "experiment=mine", "--cfg", "job"]) == 2
    assert hint in capsys.readouterr().err


def test_a_choice_whose_name_is_a_list_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my/data").mkdir(parents=True)
    (folder / "my/data/mine.yaml").write_text("name: [folder]\n")
    assert cli.main(["train", "--config-dir", "my", "data=mine", "--cfg", "job"]) == 2
    assert "unknown data" in capsys.readouterr().err
