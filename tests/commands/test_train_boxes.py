"""Networks that learn from boxes, from the command line: what they demand, and what they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from photo_files import write_mchar

from svhncli.cli import main as cli
from svhncli.commands.check import RESULT
from svhncli.training.checks.suite import CHECKS

pytestmark = pytest.mark.engine

DATA = ("data=mchar", "data.root=mchar", "data.height=32", "data.width=64", "split=auto")
SMALL = ("-q", "threads=1", "epochs=1", "batch_size=20", "model.width=0.5", "model.depth=1", "out=run")
DETECTOR = ("model=spotter",)
LOCATED = ("model=spotter", "model.stn=true", "model.stn_size=[32,48]", "reg.box_loss=1")
COLUMNS = (
    *("model.hidden=16", "model.reader=columns", "model.stn=true", "model.stn_size=[24,32]"),
    "reg.box_loss=1",
)


@pytest.fixture
def mchar(folder: Path) -> Path:
    root = folder / "mchar"
    for seed, part in enumerate(("train", "val")):
        write_mchar(root, part, 40, seed)
    return root


@pytest.mark.parametrize("network", [DETECTOR, LOCATED, COLUMNS], ids=["detector", "located", "columns"])
@pytest.mark.usefixtures("mchar")
def test_it_trains_is_evaluated_and_exported(
    network: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *DATA, *SMALL, *network, "data.fit=pad"]) == 0
    assert cli.main(["eval", "run", "part=val", "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out.splitlines()[-1])["val"]["accuracy"] <= 1
    assert cli.main(["export", "run"]) == 0  # which compares ONNX and PyTorch
    assert cli.main(["predict", "run", "mchar/mchar_val", "format=tianchi", "out=codes.csv"]) == 0
    assert len(Path("codes.csv").read_text().splitlines()) == 41


@pytest.mark.usefixtures("mchar", "quick_checks")
def test_every_check_runs_on_a_detector_behind_a_transformer() -> None:
    small = ("threads=1", "batch_size=20", "model.width=0.5", "model.depth=1", "lr=0.003", "check.steps=20")
    assert cli.main(["check", *DATA, *small, *LOCATED]) == 8, "40 images are too few"
    checks = json.loads(Path("outputs/check", RESULT).read_text())["checks"]
    assert [check["name"] for check in checks] == [*CHECKS]
    sound = {"one preprocessing", "independent samples", "gradients", "one seed", "resume", "averages"}
    assert not sound - {check["name"] for check in checks if check["passed"]}


def test_boxes_that_changed_are_refused_when_a_run_is_resumed(
    mchar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = mchar / "mchar_train.json"
    assert cli.main(["train", *DATA, *SMALL, *DETECTOR]) == 0
    before = file.read_text()
    content = json.loads(before)
    next(iter(content.values()))["width"][0] += 1
    file.write_text(json.dumps(content))
    assert cli.main(["train", "--resume", "run", "epochs=2"]) == 3
    assert "boxes have changed" in capsys.readouterr().err
    file.write_text(before)
    assert cli.main(["train", "--resume", "run", "epochs=2"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((*DETECTOR, "reg.augment.policy=randaugment"), 2, "moves digits out of their boxes"),
        ((*DETECTOR, "model.stn=true"), 2, "set reg.box_loss=1"),
        ((*DETECTOR, "reg.box_loss=1"), 2, "add model.stn=true"),
        (("model=cnn", "reg.box_loss=1"), 2, "add model.stn=true"),
    ],
)
@pytest.mark.usefixtures("mchar")
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *DATA, *SMALL, *words]) == code
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_data_without_boxes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "data=synth", "data.n_train=40", "data.n_test=0", *SMALL, *DETECTOR]) == 3
    assert "learns from the boxes of digits, and synth has none" in capsys.readouterr().err
