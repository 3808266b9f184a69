"""Checkpoints whose content is not of their run, under a SHA-256 that fits: refused with what does not fit,
exit code 4, whatever reads them. Some would crash torch's fused optimizers."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import made_once
from runs_made import SMALL

from svhncli.cli import main as cli
from svhncli.runs import checkpoint

pytestmark = pytest.mark.engine
Change = Callable[[dict[str, Any]], object]
WEIGHT = "head.linear.weight"


def _train() -> None:
    assert cli.main(["train", *SMALL, "watch=4", "reg.ema=0.9", "optim=adam", "out=run"]) == 0
    words = ["layout=folder", "data.n_train=20", "data.n_test=20", "out=images"]
    assert cli.main(["render", *words]) == 0


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    shutil.copytree(made_once(tmp_path_factory, "foreign", _train), folder, dirs_exist_ok=True)
    return folder / "run"


def exchange(file: Path, change: Change) -> None:
    content = checkpoint.load(file)
    change(content)
    checkpoint.save(file, content)


META: dict[str, Change] = {
    "no meta": lambda content: content.pop("meta"),
    "meta is a list": lambda content: content.update(meta=[1]),
    "no fold": lambda content: content["meta"].pop("fold"),
    "positions in words": lambda content: content["meta"].update(positions="one"),
    "other classes": lambda content: content["meta"].update(classes=11),
    "another shape": lambda content: content["meta"].update(in_shape=[1, 32, 32]),
    "a deeper shape": lambda content: content["meta"].update(in_shape=[3, 32, 32, 1]),
    "a preprocess of one channel": lambda content: content["meta"]["preprocess"].update(
        mean=[0.5], std=[0.5]
    ),
    "no deviation": lambda content: content["meta"]["preprocess"].update(std=[0.0, 0.0, 0.0]),
    "a mean that is none": lambda content: content["meta"]["preprocess"].update(mean=[math.nan] * 3),
    "images of 10^9 pixels": lambda content: content["meta"]["preprocess"].update(height=1 << 30),
    "a model that is none": lambda content: content["meta"]["config"].update(model={"name": "os.system"}),
    "a key that is none": lambda content: content["meta"]["config"].update(_target_="os.system"),
    "a key that is missing": lambda content: content["meta"]["config"].pop("data"),
    "a key out of its range": lambda content: content["meta"]["config"]["data"].update(limit=-1),
    "an interpolation": lambda content: content["meta"]["config"].update(lr="${oc.env:HOME}"),
}
WEIGHTS: dict[str, Change] = {
    "no weights": lambda weights: weights.clear(),
    "a weight less": lambda weights: weights.pop(WEIGHT),
    "a weight more": lambda weights: weights.update(more=torch.zeros(1)),
    "a weight in words": lambda weights: weights.update({WEIGHT: "zeros"}),
    "another size": lambda weights: weights.update({WEIGHT: weights[WEIGHT][:5].clone()}),
    "complex numbers": lambda weights: weights.update({WEIGHT: weights[WEIGHT].to(torch.complex64)}),
    "whole numbers": lambda weights: weights.update({WEIGHT: weights[WEIGHT].long()}),
}
BEST = META | {
    name: lambda content, change=change: change(content["weights"]) for name, change in WEIGHTS.items()
}


@pytest.mark.fault(
    "a checkpoint holds something else, with a SHA-256 that fits", "refused with what does not fit", "4"
)
@pytest.mark.parametrize("change", BEST.values(), ids=BEST)
def test_best_pt_is_refused_by_every_command(
    run: Path, capsys: pytest.CaptureFixture[str], change: Change
) -> None:
    exchange(run / "best.pt", change)
    image = next(Path("images").rglob("*.png"))
    for words in (
        ["eval", "run"],
        ["predict", "run", str(image)],
        ["ensemble", "run"],
        ["export", "run"],
        ["train", *SMALL, "init_from=run", "out=other"],
    ):
        code, errors = cli.main(words), capsys.readouterr().err
        if words[0] == "train" and code == 0:
            continue  # a new head is trained where only the number of classes differs
        assert code == 4, (words, errors)
        assert "best.pt'" in errors
        assert "Traceback" not in errors


def test_a_config_is_exported_as_it_was_understood(run: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["meta"]["config"].update(init_from=7)  # a folder, as data.root=2024 is
        content["meta"]["config"].pop("seed")

    exchange(run / "best.pt", change)
    assert cli.main(["export", "run"]) == 0
    assert "seed 0." in (run / "export" / "model_card.md").read_text()
    assert "init_from: '7'" in (run / "export" / "config.yaml").read_text()


def state_of(change: Change) -> Change:
    return lambda content: change(content["state"])


def moments(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    return lambda content: change(content["state"]["optimizer"]["state"][0])


LAST = {name: change for name, change in META.items() if name in ("no meta", "meta is a list", "no fold")}
LAST |= {
    f"{name} ({part})": state_of(lambda state, change=change, of=of: change(of(state)))
    for part, of in {"network": lambda state: state["model"], "average": lambda s: s["ema"]["module"]}.items()
    for name, change in WEIGHTS.items()
}
LAST |= {
    "no state": lambda content: content.pop("state"),
    "no optimizer": state_of(lambda state: state.pop("optimizer")),
    "moments of another size": moments(lambda kept: kept.update(exp_avg=torch.zeros(3))),
    "a moment of one number": moments(lambda kept: kept.update(exp_avg_sq=kept["step"].clone())),
    "moments of doubles": moments(lambda kept: kept.update(exp_avg_sq=kept["exp_avg_sq"].double())),
    "moments in words": moments(lambda kept: kept.update(exp_avg="zeros")),
    "moments of a parameter more": state_of(
        lambda state: state["optimizer"]["state"].update({99: copy.deepcopy(state["optimizer"]["state"][0])})
    ),
    "a group of parameters less": state_of(lambda state: state["optimizer"]["param_groups"].pop()),
    "a moment less": moments(lambda kept: kept.pop("exp_avg")),
    "a learning rate in words": state_of(
        lambda state: state["optimizer"]["param_groups"][0].update(lr="fast")
    ),
    "another switch": state_of(lambda state: state["optimizer"]["param_groups"][0].update(maximize=True)),
    "a decay rate that is none": state_of(
        lambda state: state["optimizer"]["param_groups"][0].update(betas=(0.9, None))
    ),
    "a best value in words": state_of(lambda state: state["stopper"].update(best="good")),
    "no count of epochs": state_of(lambda state: state["stopper"].update(stale=None)),
    "no average": state_of(lambda state: state.update(ema=None)),
    "a tally of another size": state_of(lambda state: state["tally"].update(counts=torch.zeros(2, 3))),
    "epochs before the first": state_of(lambda state: state.update(epoch=-1)),
    "epochs that are not in the table": state_of(lambda state: state.update(epoch=9)),
    "a step beyond the epoch": state_of(lambda state: state.update(step=10**6)),
    "a table in words": state_of(lambda state: state.update(history=["good"] * 2)),
    "a table without loss": state_of(lambda state: state["history"][0].pop("val_loss")),
    "a best epoch that is not in the table": state_of(lambda state: state["best"].update(epoch=9)),
    "watched images of another number": state_of(lambda state: state.update(watched=[torch.zeros(3, 1, 10)])),
}


@pytest.mark.fault(
    "`last.pt` is not of its run, with a SHA-256 that fits", "refused with what does not fit", "4"
)
@pytest.mark.parametrize("change", LAST.values(), ids=LAST)
def test_last_pt_is_refused_on_resume_and_nothing_is_lost(
    run: Path, capsys: pytest.CaptureFixture[str], change: Change
) -> None:
    exchange(run / "last.pt", change)
    kept = {name: (run / name).read_bytes() for name in ("best.pt", "last.pt", "summary.json")}
    code = cli.main(["train", "--resume", "run", "epochs=3"])
    errors = capsys.readouterr().err
    assert code == 4, errors
    assert "last.pt'" in errors
    assert "Traceback" not in errors
    assert {name: (run / name).read_bytes() for name in kept} == kept


def test_best_pt_of_another_epoch_is_refused_at_the_end(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot_be_beaten(state: dict[str, Any]) -> None:
        for row in (state["best"], state["history"][state["best"]["epoch"] - 1]):
            row["val_accuracy"] = 1.0

    exchange(run / "last.pt", state_of(cannot_be_beaten))
    exchange(run / "best.pt", lambda content: content["row"].update(epoch=9))
    code = cli.main(["train", "--resume", "run", "epochs=3"])
    errors = capsys.readouterr().err
    assert code == 4, errors
    assert "best.pt'" in errors
    assert "its epoch 9 is not as the history in last.pt has it" in errors


def test_a_path_that_the_system_does_not_look_at_keeps_no_one_from_exporting(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange(run / "best.pt", lambda content: content["meta"]["config"]["data"].update(fonts="x" * 300))
    assert cli.main(["export", "run"]) == 0
    assert "the run's own images are not available (data.fonts: cannot read '" in capsys.readouterr().err
