"""The runs whose reports are tested, and a report as a browser parses it."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import made_once

from svhncli.cli import main as cli

SMALL = [
    "data=tiny",
    "data.n_train=150",
    "data.n_test=40",
    "model=linear",
    "epochs=2",
    "threads=1",
    "device=cpu",
]
OF_ALL = ["summary", "use", "diagnosis", "curves", "confusion", "mistakes", "dynamics", "calibration"]
OF_ALL += ["data", "environment", "missing"]
"""Sections of a run that nothing but `svhn train` has seen."""
EVALUATION_FILES = [
    "SHA256SUMS",
    "confusion.png",
    "mistakes.png",
    "predictions.csv",
    "reliability.png",
    "results.json",
]
"""In the folder that `svhn eval` writes, where a digit was misread."""


class Page(HTMLParser):
    """A page as a browser parses it: its elements, and its text without style sheets."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] not in ("style", "script"):
            self.text += f" {data}"

    def visible_text(self) -> str:
        return " ".join(self.text.split())

    def sections(self) -> list[str]:
        return [attrs["id"] for tag, attrs in self.elements if tag == "section"]

    def contents(self) -> list[str]:
        """The sections to which the table of contents links."""
        return re.findall(r'<li><a href="#(\w+)">', self.source)

    def refers_to(self) -> list[str]:
        """Everything that a browser might fetch."""
        names = ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
        urls = [value for _, attrs in self.elements for name, value in attrs.items() if name in names]
        return urls + re.findall(r"url\(([^)]*)\)|@import (\S+)", self.source)


def _train() -> None:
    assert cli.main(["train", *SMALL, "hydra.run.dir=single"]) == 0
    assert cli.main(["train", *SMALL, "split=kfold", "jobs=1", "split.k=2", "hydra.run.dir=folds"]) == 0
    sweep = ["lr=1e-2,1e-3", "init_from=null,nowhere", "hydra.sweep.dir=sweep"]
    assert cli.main(["train", "-m", *SMALL, *sweep]) == 1
    numbers = ["data=synth_full", "data.n_train=60", "data.n_test=0", "split.fraction=0.3"]
    numbers += ["epochs=1", "model=linear", "threads=1"]
    assert cli.main(["train", *numbers, "hydra.run.dir=numbers"]) == 0


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `single`, `folds` (two) and `numbers`, and a sweep with failed jobs."""
    return made_once(tmp_path_factory, "reports", _train)


@pytest.fixture
def run_copy(reports: Path, tmp_path: Path) -> Path:
    """A copy of the run `single`, to be damaged."""
    return Path(shutil.copytree(reports / "single", tmp_path / "single"))
