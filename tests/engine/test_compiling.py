"""When a network is compiled; that a compiled one is saved, evaluated and resumed as one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_gpu import GPU, fake_gpu

from svhncli.cli import main as cli
from svhncli.config.rules import rule_of
from svhncli.config.verbs.training import TrainingConfig
from svhncli.core.errors import UsageError
from svhncli.engine import compiling
from svhncli.engine.device import Machine
from svhncli.runs import checkpoint
from svhncli.runs.run_dir import RunDir

CPU = Machine(torch.device("cpu"), "fp32", 1)


def broken(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """torch.compile where there is no compiler."""

    def call(*args: Any) -> None:
        raise RuntimeError("No working C++ compiler found\nSet TORCH_LOGS for more")

    return call


def test_auto_compiles_nothing_on_the_cpu() -> None:
    assert not compiling.is_worthwhile("auto", CPU, 10 * compiling.REPAYS)
    assert not compiling.is_worthwhile(False, CPU, 10 * compiling.REPAYS)


def test_auto_compiles_long_runs_on_gpus_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(GPU, "bf16", 1)
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    with fake_gpu():
        for capability, images, expected in [
            ((7, 5), compiling.REPAYS, True),
            ((7, 5), compiling.REPAYS - 1, False),
            ((6, 1), compiling.REPAYS, False),
        ]:
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, value=capability: value)
            assert compiling.is_worthwhile("auto", machine, images) == expected
        assert not compiling.is_worthwhile(False, machine, compiling.REPAYS)
        monkeypatch.setattr(torch, "compile", broken)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
        assert not compiling.is_worthwhile("auto", machine, compiling.REPAYS)


def test_help_names_the_size_from_which_runs_are_compiled() -> None:
    (key,) = [item for item in fields(TrainingConfig) if item.name == "compile"]
    assert f"in runs of {compiling.REPAYS // 10**6} million images or more" in rule_of(key)["meaning"]


def test_a_missing_compiler_is_named_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(UsageError, match=r"does not work here: No working C\+\+ compiler found$") as error:
        compiling.is_worthwhile(True, CPU, 0)
    assert "g++" in error.value.hint


RUN = ["train", "data.n_train=300", "data.n_test=50", "model=mlp", "model.widths=[16]", "reg.dropout=0.2"]
RUN += ["epochs=2", "threads=1", "device=cpu", "precision=fp32", "report=false", "watch=0"]


@pytest.mark.full
@pytest.mark.engine
def test_a_compiled_run_is_evaluated_and_repeated_like_any_other(tmp_path: Path) -> None:
    """With a real compiler, which takes a quarter of a minute at first."""
    for name, key in [("plain", "false"), ("first", "true"), ("second", "true")]:
        assert cli.main([*RUN, f"compile={key}", f"out={tmp_path / name}"]) == 0
        assert RunDir(tmp_path / name).env().machine.compiled == (key == "true")
    plain, first, second = (
        checkpoint.load(tmp_path / name / "last.pt") for name in ("plain", "first", "second")
    )
    assert checkpoint.digest(first["state"]) == checkpoint.digest(second["state"])
    assert plain["state"]["model"].keys() == first["state"]["model"].keys()
    losses = [run["state"]["history"][-1]["val_loss"] for run in (plain, first)]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert losses[0] != losses[1], "compiled code rounds differently, which is why it is recorded"
    assert cli.main(["eval", str(tmp_path / "first")]) == 0
    assert cli.main([*RUN, "compile=false", f"init_from={tmp_path / 'first'}", f"out={tmp_path / 'on'}"]) == 0
    assert cli.main(["train", "--resume", str(tmp_path / "first"), "epochs=3"]) == 0
    assert RunDir(tmp_path / "first").env().machine.compiled
