"""Files of strangers on the command line: the right exit code, one message, and nothing of them runs."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import write_run
from PIL import Image

from svhncli.cli import main as cli
from svhncli.config.groups.model import DatawhaleConfig
from svhncli.data.framing import Framing

GLOBAL = "# @package _global_\n"
LAUGHS = GLOBAL + "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n"
LAUGHS += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
CONFIGS = {
    "a billion laughs": LAUGHS,
    "a ring": f"{GLOBAL}name: &a [*a]\n",
    "10,000 levels": f"{GLOBAL}name: {'[' * 10_000}\n",
    "a tag": f"{GLOBAL}name: !!python/object/apply:os.mkdir [canary]\n",
    "a target": f"{GLOBAL}model:\n  _target_: os.mkdir\n  path: canary\n",
    "a target of the whole": f"{GLOBAL}_target_: os.mkdir\npath: canary\n",
    "a module": f"{GLOBAL}plugins: [canary_module]\nlr: nothing\n",
    "no number": f"{GLOBAL}lr: .nan\n",
    "an unknown choice": f"{GLOBAL}defaults:\n  - override /model: lin\n",
    "an unknown resolver": f"{GLOBAL}name: ${{eval:1}}\n",
    "a variable that is not set": f"{GLOBAL}name: ${{oc.env:SVHN_NOT_SET}}\n",
}


@pytest.mark.fault(
    "a config, an exclude list or a run's config is damaged or hostile",
    "one message; nothing is run",
    "2, 3 or 4",
)
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_of_a_stranger_is_one_message(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "canary_module.py").write_text("import os\nos.mkdir('canary')\n")
    (folder / "my/experiment").mkdir(parents=True)
    (folder / "my/experiment/mine.yaml").write_text(CONFIGS[kind])
    words = ["--config-dir", "my", "experiment=mine", "data.n_train=200", "epochs=1", "out=run"]
    assert cli.main(["train", *words]) == 2
    errors = capsys.readouterr().err
    assert errors.count("svhn: error:") == 1
    assert "'my/experiment/mine.yaml'" in errors
    assert "Traceback" not in errors
    assert not (folder / "canary").exists()


def wrong_json(root: Path) -> str:
    (root / "mchar_train").mkdir()
    (root / "mchar_train.json").write_text("[" * 10_000)
    return "data=mchar"


def wrong_zip(root: Path) -> str:
    (root / "mchar_train.json").write_text("{}")
    (root / "mchar_train.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    return "data=mchar"


def wrong_hdf5(root: Path) -> str:
    (root / "train.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 4)
    return "data=arrays"


def wrong_mat(root: Path) -> str:
    (root / "train_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\xff" * 64)
    return "data=svhn data.check_md5=false"


def wrong_csv(root: Path) -> str:
    (root / "labels.csv").write_bytes(b"file,label\n" + b"a" * 200_000 + b",1\n")
    return "data=folder"


def wrong_exclude(root: Path) -> str:
    (root / "exclude.txt").write_bytes(b"\xff\xfe\xfd")
    return "data=synth data.n_train=200 data.n_test=100 data.exclude=data/exclude.txt"


DATA: dict[str, tuple[Callable[[Path], str], str]] = {
    "JSON": (wrong_json, "mchar_train.json"),
    "zip": (wrong_zip, "mchar_train.zip"),
    "HDF5": (wrong_hdf5, "train.h5"),
    ".mat": (wrong_mat, "train_32x32.mat"),
    "CSV": (wrong_csv, "labels.csv"),
    "exclude list": (wrong_exclude, "exclude.txt"),
}


@pytest.mark.fault("a file of labels or an archive is damaged", "one message with its name", "3")
@pytest.mark.parametrize("kind", DATA)
def test_damaged_data_is_exit_code_3_and_one_message(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, name = DATA[kind]
    (folder / "data").mkdir()
    words = write(folder / "data").split()
    root = [] if words[0] == "data=synth" else ["data.root=data"]
    assert cli.main(["train", *words, *root, "out=run"]) == 3
    errors = capsys.readouterr().err
    assert errors.count("svhn: error:") == 1
    assert re.search(rf"svhn: error: .*{name}'", errors)
    assert "Traceback" not in errors


HOSTILE = (
    "=cmd|'calc'!A0.png",
    "@SUM(1).png",
    "-1+1.png",
    "+1.png",
    "'=1.png",
    "\t=1.png",
    "a\x1b[2J\x07.png",
    "two\nlines.png",
    "car\rriage.png",
    "<script>alert(1)</script>.png".replace("/", "\u2044"),
    os.fsdecode(b"\xff\xfe.png"),
)


@pytest.fixture
def photos(folder: Path) -> Path:
    """A run, and images whose names do harm where they are taken for more than names."""
    write_run(folder / "run", Framing(24, 48), 4, DatawhaleConfig())
    (folder / "photos").mkdir()
    draw = np.random.default_rng(0)
    for name in HOSTILE:
        Image.fromarray(draw.integers(0, 256, (24, 48, 3), np.uint8)).save(folder / "photos" / name)
    return folder


@pytest.mark.fault(
    "a file name is a spreadsheet's formula", "its cell in a CSV is inert, and is read back as it was", "0"
)
def test_no_cell_of_predictions_is_a_formula_and_all_are_read_back(photos: Path) -> None:
    from svhncli.core import cells

    os.chdir(photos / "photos")
    words = [f"./{name}" if name.startswith(("-", "@")) else name for name in HOSTILE]
    assert cli.main(["predict", "../run", *words, "out=../predicted.csv"]) == 0
    text = (photos / "predicted.csv").read_bytes().decode(errors="surrogateescape")
    raw = [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:]
    assert not [cell for cell in raw if cell[0] in "=+@\t\r\n-"]
    rows = list(cells.rows(io.StringIO(text, newline="")))
    assert [row[0] for row in rows[1:]] == words


def test_a_submission_has_the_names_of_the_images_letter_by_letter(photos: Path) -> None:
    """The contest compares them, so they may not be changed."""
    assert cli.main(["predict", "run", "photos", "format=tianchi", "out=submission.csv"]) == 0
    with (photos / "submission.csv").open(newline="", errors="surrogateescape") as file:
        assert [row["file_name"] for row in csv.DictReader(file)] == sorted(HOSTILE)


@pytest.mark.fault("a file name holds escape codes or line ends", "they are shown escaped", "0")
def test_a_terminal_obeys_no_file_name(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in HOSTILE:
        (photos / "photos" / name).write_bytes(b"no image")
    assert cli.main(["predict", "run", "photos"]) == 3
    errors = capsys.readouterr().err
    assert "\x1b" not in errors
    assert "\x07" not in errors
    assert "a\\x1b[2J\\x07.png" in errors


def test_a_message_obeys_no_file_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "data=folder", "data.root=a\x1b]0;b\x07"]) != 0
    errors = capsys.readouterr().err
    assert "\x1b" not in errors
    assert "a\\x1b]0;b\\x07" in errors
