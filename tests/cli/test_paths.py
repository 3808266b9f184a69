"""Paths on the command line keep their meaning when a run is used from another folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import environment

from svhncli.cli import catalog
from svhncli.cli import main as cli
from svhncli.config.choices import CHOICES
from svhncli.config.groups.data import MixConfig
from svhncli.config.groups.split import OfficialConfig
from svhncli.config.rules import with_absolute_paths
from svhncli.config.verbs import VERBS
from svhncli.config.verbs.training import TrainConfig
from svhncli.runs.run_dir import RunDir

SMALL = ["data.n_train=60", "data.n_test=20", "threads=1", "device=cpu", "model=linear"]
SMALL += ["watch=0", "report=false"]


def test_every_path_key_becomes_absolute_and_a_tilde_is_expanded(folder: Path) -> None:
    data = MixConfig(root="data/svhn", world="~/w.yaml", fonts="fonts", exclude=None)
    config = with_absolute_paths(TrainConfig(data=data, split=OfficialConfig(file="val.mat"), cache="cache"))
    assert (config.data.root, config.data.fonts) == (str(folder / "data/svhn"), str(folder / "fonts"))
    assert config.data.world == str(Path.home() / "w.yaml")
    assert config.data.exclude is None
    assert (config.split.file, config.cache) == (str(folder / "val.mat"), str(folder / "cache"))
    assert with_absolute_paths(config) == config


def test_every_key_that_names_an_input_of_a_run_is_a_path_key() -> None:
    keys = {key.path: key for key in catalog.walk(VERBS["train"].config)}
    for group in CHOICES:
        for kind in CHOICES[group].values():
            keys |= {key.path: key for key in catalog.walk(kind, f"{group}.")}
    path_keys = {path for path, key in keys.items() if key.rule["path"]}
    assert path_keys == {"cache", "data.root", "data.exclude", "data.world", "data.fonts", "split.file"}


@pytest.mark.full
def test_a_run_with_its_own_world_is_resumed_and_evaluated_from_another_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "world.yaml").write_text("plate:\n  chance: 0.5\n")
    words = [*SMALL, "data.world=world.yaml", "epochs=1", "hydra.run.dir=run", "--json"]
    assert cli.main(["train", *words]) == 0
    before = json.loads(capsys.readouterr().out)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert cli.main(["eval", "../run", "part=test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["accuracy"] == before["test"]["accuracy"]
    assert cli.main(["train", "--resume", "../run", "epochs=2", "--json"]) == 0


def test_a_run_saved_with_a_relative_path_is_still_resumed_in_its_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "world.yaml").write_text("plate:\n  chance: 0.5\n")
    words = [*SMALL, "data.world=world.yaml", "epochs=1", "hydra.run.dir=run"]
    assert cli.main(["train", *words]) == 0
    saved = RunDir(folder / "run").config()
    saved["data"]["world"] = "world.yaml"
    RunDir(folder / "run").write_settings(saved)
    assert cli.main(["train", "--resume", "run", "epochs=2"]) == 0, capsys.readouterr().err


def test_latest_is_named_and_a_missing_run_is_found_missing_before_torch_is_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, "epochs=1"]) == 0
    (run,) = (folder / "outputs" / "train").iterdir()
    shown = run.relative_to(folder)
    capsys.readouterr()
    for words in (["eval", "latest"], ["report", "latest"], ["compare", "latest", "latest"]):
        cli.main(words)
        assert f"latest: {shown}\n" in capsys.readouterr().err, words
    monkeypatch.setenv("SVHN_QUIET", "1")  # as -q does
    cli.main(["eval", "latest"])
    assert "latest:" not in capsys.readouterr().err
    probe = f"import sys; {TYPED}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=environment())
    assert done.stdout == "4\nFalse\n"
    assert "there is no run 'nowhere'" in done.stderr


TYPED = "from svhncli.cli.main import main; print(main(['eval', 'nowhere']))"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("out=1e3", "1e3"),
        ("out=true", "true"),
        ("out=${now:%Y}", time.strftime("%Y")),
        ("hydra.run.dir=007", "007"),
    ],
)
def test_a_run_lies_in_the_folder_that_was_typed(word: str, name: str, folder: Path) -> None:
    assert cli.main(["train", "data=folder", "data.root=x", word]) == 3, "the data is missing"
    assert {path.name for path in folder.iterdir()} <= {name}


def test_a_file_in_the_place_of_the_run_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run").touch()
    assert cli.main(["train", "data=folder", "data.root=.", "out=run"]) == 6
    assert "cannot write 'run': File exists" in capsys.readouterr().err


def test_a_current_folder_that_was_removed_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    assert cli.main(["eval", "latest"]) == 6
    assert "the current folder was removed" in capsys.readouterr().err
