"""Every command that the README shows works, in the order in which it stands, and its tables are complete."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from conftest import REPO
from PIL import Image
from scipy.io import savemat

from svhncli.cli import main as cli
from svhncli.config.choices import CHOICES

README = (REPO / "README.md").read_text()


def examples() -> list[list[str]]:
    """The words after `svhn` of every line in the README's shell blocks, comments left out."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words[1:] for words in lines if words]


def smaller(words: list[str]) -> list[str]:
    """The same command on little data, one thread and a small network."""
    if words[0] == "render":
        return [*words, "data.size=16", "data.n_train=60", "data.n_test=30"]
    if words[0] == "inspect":
        return [*words, "data.check_md5=false"] if "data=svhn" in words else words
    if words[0] == "human":
        return [*words, "data.n_train=200", "data.n_test=0"]
    if words[0] not in ("train", "check", "lr-find", "learning-curve") or "--resume" in words:
        return words
    if "experiment=tianchi" in words:  # debug=fast would choose other data
        return [*words, "epochs=1", "model.hidden=16", "threads=1", "device=cpu"]
    shrunk = [re.sub(r"^(epochs|model\.width)=\d+$", r"\1=1", word) for word in words]
    # a network of two epochs doubts whole classes
    shrunk = [re.sub(r"^data\.exclude=.*", "data.exclude=few.txt", word) for word in shrunk]
    if "model=wide_resnet" in words:
        shrunk = [word for word in shrunk if not word.startswith("model.depth")]
        shrunk += ["model.depth=10", "model.width=1"]
    if {"data=svhn", "data=mix"} & {*words}:
        shrunk.append("data.check_md5=false")
    else:
        shrunk.append("data.n_train=200")
    if "data=mix" in words:
        shrunk.append("data.n_rendered=200")
    return [*shrunk, "debug=fast", "threads=1", "device=cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which files of the official layout, and pictures, lie where the README looks for them."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data" / "svhn").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for part, count in (("train", 120), ("test", 40)):
        savemat(
            folder / "data" / "svhn" / f"{part}_32x32.mat",
            {
                "X": draw.integers(0, 256, (32, 32, 3, count), dtype=np.uint8),
                "y": draw.integers(1, 11, (count, 1)),
            },
        )
    (folder / "digits").mkdir()
    for name in ("a", "b"):
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            folder / f"digits/{name}.png"
        )
    (folder / "my_world.yaml").write_text("plate: {chance: 1}\n")
    (folder / "few.txt").write_text("train/3\ntrain/5\n")
    (folder / "my_fonts").mkdir()
    shutil.copy(
        Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf"),
        folder / "my_fonts" / "Mine.ttf",
    )
    return folder


@pytest.mark.parametrize("words", examples(), ids=" ".join)
def test_an_example_of_the_readme_runs(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(place)
    codes = (0, 8) if words[0] == "check" else (0,)  # so little data cannot pass every check
    assert cli.main(smaller(words)) in codes, capsys.readouterr().err


def test_there_are_examples_of_everything() -> None:
    lines = [" ".join(words) for words in examples()]
    for what in (
        "train model=cnn optim=adam lr=3e-4",
        "train -m",
        "--resume",
        "init_from",
        "split=kfold",
        "eval",
        "compare",
        "inspect latest",
        "predict",
        "export",
        "experiment=tianchi",
    ):
        assert any(what in line for line in lines), what


@pytest.mark.parametrize("group", ["data", "split"])
def test_the_tables_name_every_choice(group: str) -> None:
    table = README[README.index(f"| `{group}=`") :].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(CHOICES[group])


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (REPO / "Makefile").read_text()
    for targets in re.findall(r"^    make (\w+)|`make (\w+)`", README, re.MULTILINE):
        target = "".join(targets)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
