"""`svhn convert`: every layout into every other one, pixels, labels, boxes and groups unchanged."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svhncli import registry
from svhncli.cli import main as cli
from svhncli.commands.convert import SOURCES
from svhncli.config.choices import CHOICES
from svhncli.config.verbs.results import LAYOUTS
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.formats import conversion

SIDE = 16
COUNTS = {"train": 14, "val": 6, "test": 5}


@pytest.fixture
def digits(folder: Path) -> Path:
    """Single digits in an .npz, two of each house number."""
    arrays = {}
    for part, n in COUNTS.items():
        draw = numpy_generator(0, "convert", part)
        arrays[f"{part}_images"] = draw.integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)
        arrays[f"{part}_labels"] = np.arange(n) % 10
        arrays[f"{part}_groups"] = np.arange(n) // 2
    np.savez(folder / "digits.npz", **arrays)
    return folder / "digits.npz"


def convert(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The result of `svhn convert`; `next` is the words of the command that trains on it."""
    capsys.readouterr()
    assert cli.main(["convert", *words, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    (command,) = result["next"]
    result["next"] = shlex.split(command)[2:]
    return result


def loaded(words: list[str], **changed: Any) -> DataSet:
    """The data that words of a command name."""
    values = dict(word.removeprefix("data.").split("=", 1) for word in words if word.startswith("data."))
    (name,) = (word.removeprefix("data=") for word in words if word.startswith("data="))
    kind = CHOICES["data"][name]
    typed = {
        key: {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)
        for key, value in values.items()
    }
    return registry.data(kind(**(typed | changed)), None, None, lambda *_: None)


def assert_same(first: DataSet, second: DataSet, boxes: bool = False, groups: bool = True) -> None:
    for part in ("train", "val", "test"):
        before, after = getattr(first, part), getattr(second, part)
        assert np.array_equal(before.images, after.images), part
        longest = max(before.labels.shape[1], after.labels.shape[1])
        assert np.array_equal(before.padded(longest).labels, after.padded(longest).labels), part
        if groups:
            alike = [data.groups[:, None] == data.groups for data in (before, after)]
            assert np.array_equal(*alike), part
        if boxes:
            assert np.array_equal(before.boxes, after.boxes, equal_nan=True), part


def test_the_layouts_of_the_config_are_those_that_can_be_written() -> None:
    assert tuple(conversion.LAYOUTS) == LAYOUTS
    assert set(SOURCES.values()) <= set(CHOICES["data"])


@pytest.mark.parametrize("first", LAYOUTS)
def test_single_digits_go_from_every_layout_into_every_other_one(
    digits: Path, capsys: pytest.CaptureFixture[str], first: str
) -> None:
    before = loaded(["data=arrays", f"data.root={digits}"])
    written = convert(capsys, "data=arrays", f"data.root={digits}", f"layout={first}", "out=first")
    assert written["images"] == COUNTS
    assert_same(before, loaded(written["next"]), groups=first in ("folder", "arrays"))
    for second in LAYOUTS:
        again = convert(capsys, *written["next"], f"layout={second}", f"out=second-{second}")
        assert_same(before, loaded(again["next"]), groups=first in ("folder", "arrays") and first == second)
