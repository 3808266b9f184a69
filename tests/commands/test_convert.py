"""`svhn convert`: every layout into every other one, pixels, labels, boxes and groups unchanged."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import write_mchar
from PIL import Image

from svhncli import registry
from svhncli.cli import main as cli
from svhncli.commands.convert import SOURCES
from svhncli.config.choices import CHOICES
from svhncli.config.verbs.results import LAYOUTS
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.formats import conversion

pytestmark = pytest.mark.engine

SIDE = 16
FEW = ("data.n_train=20", "data.n_test=0")
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


BOXED = ("svhn_full", "mchar", "folder", "parquet")
"""Layouts that keep photographs of any size and the boxes of their digits."""
UNBOXED = ("folder", "arrays", "parquet")
"""Layouts that take numbers without boxes."""


@pytest.fixture
def contest(folder: Path) -> list[str]:
    """Photographs of numbers with boxes, in the contest's layout with labels for its test part."""
    for part, n in COUNTS.items():
        write_mchar(folder / "contest", "test_a" if part == "test" else part, n, seed=n)
    return ["data=mchar", f"data.root={folder / 'contest'}", "data.height=24", "data.width=40"]


@pytest.mark.parametrize("first", BOXED)
def test_photographs_of_numbers_go_from_every_layout_into_every_other_one_with_their_boxes(
    contest: list[str], capsys: pytest.CaptureFixture[str], first: str
) -> None:
    before = loaded(contest)
    written = convert(capsys, *contest, f"layout={first}", "out=first")
    assert written["images"] == COUNTS
    for second in BOXED:
        words = convert(capsys, *written["next"], f"layout={second}", f"out=second-{second}")["next"]
        after = loaded(words)
        assert_same(before, after, boxes=True)
        for part in COUNTS:
            files = [{file.name: file for file in data.originals[part]()} for data in (before, after)]
            for names in zip(getattr(before, part).names, getattr(after, part).names, strict=True):
                first_image, second_image = (by[name].image() for by, name in zip(files, names, strict=True))
                assert np.array_equal(first_image, second_image)  # at its own size


@pytest.mark.parametrize("first", UNBOXED)
def test_numbers_without_boxes_go_into_every_layout_that_needs_none(
    contest: list[str], folder: Path, capsys: pytest.CaptureFixture[str], first: str
) -> None:
    numbers = convert(capsys, *contest, "layout=arrays", "out=numbers")["next"]
    before = loaded(numbers)
    assert_same(loaded(contest), before)  # as the network sees them
    written = convert(capsys, *numbers, f"layout={first}", "out=first")
    for second in UNBOXED:
        words = convert(capsys, *written["next"], f"layout={second}", f"out=second-{second}")["next"]
        assert_same(before, loaded(words))
    for second in ("mchar", "svhn_full"):
        assert cli.main(["convert", *written["next"], f"layout={second}", "out=refused"]) == 2
        assert "needs the boxes of the digits" in capsys.readouterr().err
    assert cli.main(["convert", *written["next"], "layout=mat", "out=refused"]) == 2
    assert "single digits" in capsys.readouterr().err
    assert not (folder / "refused").exists()


def test_images_left_out_are_left_out_of_the_copy_and_their_labels_stay_with_the_others(
    contest: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = list(loaded(contest).train.names)
    (folder / "exclude.txt").write_text(f"{names[3]}\n")
    words = convert(capsys, *contest, "data.exclude=exclude.txt", "layout=parquet", "out=fewer")["next"]
    before = loaded(contest).train
    kept = [row for row in range(len(names)) if row != 3]
    after = loaded(words).train
    assert np.array_equal(before.images[kept], after.images)
    assert np.array_equal(before.labels[kept], after.labels)


def test_deep_images_are_written_as_the_network_sees_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for digit in "12":
        (folder / "deep" / digit).mkdir(parents=True)
        for i in range(3):
            values = np.linspace(0, 4095, 12 * 12).reshape(12, 12).astype(np.uint16) // (i + 1)
            Image.fromarray(values).save(folder / "deep" / digit / f"{i}.png")
    before = loaded(["data=folder", f"data.root={folder / 'deep'}", "data.height=12", "data.width=12"])
    assert before.framing is not None
    assert before.framing.white == 4095
    words = convert(
        capsys, "data=folder", "data.root=deep", "data.height=12", "data.width=12", "layout=mchar", "out=copy"
    )["next"]
    assert np.array_equal(before.train.images, loaded(words).train.images)


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["layout=folder", "out=there"], 2, "no data is named"),
        (["data=tiny", "layout=zip", "out=there"], 2, "layout=zip"),
        (
            ["data=synth_full", "data.n_train=20", "data.n_test=0", "layout=folder", "out=there"],
            2,
            "is rendered",
        ),
        (["data=folder", "data.root=nowhere", "layout=arrays", "out=there"], 3, "nowhere"),
        (["data=tiny", *FEW, "layout=arrays", "out=full"], 2, "other files"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_converted_is_refused_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, problem: str
) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("mine")
    assert cli.main(["convert", *words]) == code
    assert problem in capsys.readouterr().err
    assert not (folder / "there").exists()
    assert [path.name for path in (folder / "full").iterdir()] == ["mine.txt"]
