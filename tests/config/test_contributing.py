"""CONTRIBUTING.md describes the layout as it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import REPO
from house import ROOMS

from svhncli.config.declare import CHOICES

TEXT = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_rooms_are_listed_in_their_order() -> None:
    table = TEXT[TEXT.index("## Rooms") : TEXT.index("## How data flows")]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == ROOMS


def test_every_group_has_a_convention() -> None:
    table = TEXT[TEXT.index("The other groups work the same way") : TEXT.index("### A metric")]
    assert {*re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)} == {*CHOICES} - {"reg"}


def test_every_file_that_is_named_exists_except_the_new_ones() -> None:
    named = set(re.findall(r"`((?:svhncli|tests|docs|benchmarks|conf|core)/[\w./]*)`", TEXT))
    new = {"svhncli/models/pooled.py", "svhncli/commands/count.py"}
    missing = {
        path for path in named if not (REPO / path).exists() and not (REPO / "svhncli" / path).exists()
    }
    assert missing == new


# ----------------------------------------------------------------------------- the worked diffs

FILES = {"A model": 2, "A metric": 1, "A verb": 2, "A regularizer": 2}
"""Heading -> how many files its diffs change."""
RUN = """
import sys
from svhncli.cli.main import main
train = "train model=pooled metric=val_certainty reg.orthogonal=0.5 data=tiny epochs=1 threads=1 device=cpu"
assert main([*train.split(), "hydra.run.dir=run", "-q"]) == 0
sys.exit(main(["count", "run", "--json"]))
"""


def worked_diffs() -> dict[str, dict[str, list[str]]]:
    """Heading -> file -> its diffs; the file is the last one that the text names before a diff."""
    diffs: dict[str, dict[str, list[str]]] = {}
    for section in TEXT[TEXT.index("## Adding a part") :].split("\n### ")[1:]:
        by_file = diffs.setdefault(section.partition(":")[0], defaultdict(list))
        pieces = re.split(r"```diff\n(.*?)```\n", section, flags=re.DOTALL)
        path = ""
        for prose, diff in zip(pieces[::2], pieces[1::2], strict=False):
            path = [path, *re.findall(r"`(svhncli/[\w/]+\.py)`", prose)][-1]
            by_file[path].append(diff)
    return diffs


def apply(diff: str, path: Path) -> None:
    """Insert added lines after the lines of context; without any, append them to the file."""
    lines = diff.splitlines()
    added = "\n".join(line[1:] for line in lines if line.startswith("+"))
    if context := "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+")):
        text = path.read_text()
        assert text.count(context) == 1, context
        path.write_text(text.replace(context, f"{context}{added}\n"))
    else:
        path.write_text(f"{path.read_text()}\n\n{added}\n" if path.exists() else f"{added}\n")


@pytest.mark.e2e
def test_the_worked_diffs_add_what_they_promise(tmp_path: Path) -> None:
    for name in ("svhncli", "conf", "docs"):
        shutil.copytree(REPO / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    diffs = worked_diffs()
    assert {heading: len(by_file) for heading, by_file in diffs.items() if by_file} == FILES
    for by_file in diffs.values():
        for path, of_file in by_file.items():
            for diff in of_file:
                apply(diff, tmp_path / path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for command in ([str(tmp_path / "docs" / "generate.py")], ["-c", RUN]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"parameters": 3 * 4 * 4 * 10 + 10}
    assert (tmp_path / "conf" / "model" / "pooled.yaml").is_file()
    assert (tmp_path / "conf" / "count.yaml").is_file()
    assert "val_certainty" in (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
