"""The command line: flags, configs that are shown, what `--resume` takes, folders of runs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from forked import Forked
from hydra._internal.hydra import Hydra
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from svhncli.cli import dispatch, execution, grammar
from svhncli.cli import main as cli
from svhncli.config.groups.model import CnnConfig, MlpConfig
from svhncli.config.loading import from_dict
from svhncli.config.verbs.training import TrainConfig
from svhncli.config.words import quote
from svhncli.core.errors import UsageError
from svhncli.runs.locate import reserve

pytestmark = pytest.mark.usefixtures("folder")


# ----------------------------------------------------------------------------- parsing a command line


def test_flags_may_stand_anywhere_and_leave_the_words_in_order() -> None:
    line = cli.parse(["--json", "train", "lr=1", "-q", "model=cnn", "--debug"])
    assert line.words == ["train", "lr=1", "model=cnn"]
    assert line.flags == {"--json", "--quiet", "--debug"}


@pytest.mark.parametrize("words", [["--cfg", "job"], ["-c", "job"], ["--cfg=job"]])
def test_a_flag_of_hydra_keeps_its_value(words: list[str]) -> None:
    line = cli.parse(["train", *words, "lr=1"])
    assert (line.hydra, line.words) == (["--cfg", "job"], ["train", "lr=1"])


def test_info_takes_no_override_for_its_value() -> None:
    assert cli.parse(["train", "--info", "lr=1"]).hydra == ["--info", "all"]
    assert cli.parse(["train", "--info", "defaults"]).hydra == ["--info", "defaults"]


@pytest.mark.parametrize(
    ("words", "resume", "left"),
    [
        (["--resume"], "", []),
        (["--resume", "epochs=3"], "", ["epochs=3"]),
        (["--resume", "some/run", "epochs=3"], "some/run", ["epochs=3"]),
        (["--resume", "--json"], "", []),
        (["--resume=some/run"], "some/run", []),
        (["epochs=3"], None, ["epochs=3"]),
    ],
)
def test_resume_takes_the_next_word_unless_it_is_an_override(
    words: list[str], resume: str | None, left: list[str]
) -> None:
    line = cli.parse(["train", *words])
    assert (line.resume, line.words[1:]) == (resume, left)


def test_resume_takes_a_path_with_an_equals_sign_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "lr=1").mkdir()
    assert cli.parse(["train", "--resume", "lr=1"]).resume == "lr=1"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.text(alphabet="\\'${}\"=,[] a", max_size=12)
)
def test_a_quoted_path_comes_back_whatever_it_contains(text: str) -> None:
    (word,) = grammar.parse([f"run={quote(text)}"], "eval")
    assert OmegaConf.to_container(OmegaConf.create({"run": word.value()}), resolve=True) == {"run": text}


# ----------------------------------------------------------------------------- showing a config


def test_cfg_job_prints_the_config_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert cli.main(["train", "lr=0.25", "--cfg", "job", "model=mlp"]) == 0
    printed = capsys.readouterr()
    config = from_dict(TrainConfig, OmegaConf.to_container(OmegaConf.create(printed.out)))
    assert (config.lr, config.model) == (0.25, MlpConfig())
    assert printed.err == ""
    assert list(folder.iterdir()) == []


def test_cfg_shows_a_config_whose_run_is_not_given_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", "--cfg", "job"]) == 0
    assert OmegaConf.is_missing(OmegaConf.create(capsys.readouterr().out), "run")


@pytest.mark.parametrize("words", [["hydra"], ["all"], ["job", "--package", "optim"], ["job", "--resolve"]])
def test_every_kind_of_cfg_prints(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--cfg", *words]) == 0
    assert capsys.readouterr().out


def test_config_dir_adds_choices(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    own = folder / "own" / "model"
    own.mkdir(parents=True)
    (own / "thin.yaml").write_text("defaults: [cnn, _self_]\nwidth: 0.25\n")
    assert cli.main(["train", "--config-dir", "own", "model=thin", "--cfg", "job"]) == 0
    assert OmegaConf.create(capsys.readouterr().out).model == CnnConfig(width=0.25).__dict__


@pytest.mark.parametrize(
    ("file", "text", "word", "key"),
    [
        ("model/big.yaml", "name: cnn\nwidht: 2\n", "model=big", "model.widht"),
        ("experiment/mine.yaml", "# @package _global_\nepoch: 3\n", "experiment=mine", "epoch"),
        ("experiment/mine.yaml", "# @package _global_\nreg:\n  l3: 3\n", "experiment=mine", "reg.l3"),
    ],
)
def test_an_unknown_key_names_its_file(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, word: str, key: str
) -> None:
    path = Path("own", file)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    Path("own/model").mkdir(exist_ok=True)
    Path("own/model/other.yaml").write_text("name: mlp\n")
    for more in (["--cfg", "job"], [], ["-m", "lr=1e-3,1e-2"]):
        assert cli.main(["train", "--config-dir", "own", word, *more]) == 2
        assert f"unknown key '{key}' in '{path}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("# @package _global_\nmodel: mlp\n", "model: mlp is a word", "- override /model: mlp"),
        ("# @package _global_\nreg: none\n", "reg: none is a word", "- override /reg: none"),
        ("epochs: 3\n", "sets keys of a group that does not exist: experiment", "# @package _global_"),
        ("# @package _global_\nepochs: [3\n", "line 3 is not YAML: expected ',' or ']'", "key: value"),
        ("# @package _global_\nepochs: 3: 4\n", "line 2 is not YAML: mapping values", "key: value"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, message: str, hint: str
) -> None:
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text(text)
    for more in (["--cfg", "job"], [], ["-m", "lr=1e-3,1e-2"]):
        assert cli.main(["train", "--config-dir", "own", "experiment=mine", *more]) == 2
        printed = capsys.readouterr().err
        assert "'own/experiment/mine.yaml'" in printed
        assert message in printed
        assert hint in printed


@pytest.mark.parametrize(("group", "choice"), [("data", "synth"), ("model", "linear")])
def test_a_choice_of_ones_own_without_a_name_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], group: str, choice: str
) -> None:
    Path("own", group).mkdir(parents=True)
    Path("own", group, "mine.yaml").write_text("unheard: of\n")
    assert cli.main(["train", "--config-dir", "own", f"{group}=mine", "--cfg", "job"]) == 2
    printed = capsys.readouterr().err
    assert f"this {group} has no name in 'own/{group}/mine.yaml'" in printed
    assert f"such as name: {choice}" in printed


def test_a_config_file_cannot_resume_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text("# @package _global_\nresume: x\n")
    assert cli.main(["train", "--config-dir", "own", "experiment=mine"]) == 2
    assert "resume stands in a config file" in capsys.readouterr().err


TEXTS = [r"(meter\d+)_", r"meter\d+", "^a[0-9]{2}$", "my run (v2): it's", "~/a b", "50% off!", "a|b", "é (ü)"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_needs_no_quotes_of_hydra(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert cli.main(["train", f"name={text}", "data=folder", f"data.group={text}", "--cfg", "job"]) == 0
    config = OmegaConf.create(capsys.readouterr().out)
    assert (config.name, config.data.group) == (text, text)


def test_a_plugin_of_the_current_folder_composes_without_a_yaml(
    folder: Path, spawn: Callable[..., Forked]
) -> None:
    (folder / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom svhncli.registry import register\n"
        "from svhncli.config.rules import key\n"
        "@dataclass\nclass Mine:\n    name: str = key('mine', 'the network')\n"
        "    depth: int = key(3, 'layers', low=1)\n"
        "register('model', Mine, lambda *args: None)\n"
    )
    out, err = spawn("train", "plugins=[mine]", "model=mine", "model.depth=5", "--cfg", "job").communicate()
    assert OmegaConf.create(out).model == {"name": "mine", "depth": 5}, err
    assert cli.main(["train", "model=mine", "--cfg", "job"]) == 2, (
        "a plugin that is not named is not imported"
    )


def test_hydra_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["before"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    cli.main(["train", "--cfg", "job"])
    cli.main(["train", "--cfg", "job", "nonsense=1"])
    assert sys.argv == ["before"]
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_hydra_composes_a_command_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compose, composed = Hydra.compose_config, []

    def counted(self: Hydra, **words: object) -> object:
        composed.append(words["config_name"])
        return compose(self, **words)

    monkeypatch.setattr(Hydra, "compose_config", counted)
    assert cli.main(["eval", "nowhere"]) == 4  # the run does not exist
    assert composed == ["eval"]


# ----------------------------------------------------------------------------- resume


def test_changes_beside_resume_are_plain_values() -> None:
    overrides = grammar.parse(["epochs=20", "model=cnn", "data.root='a b'", "model.widths=[1,2]"], "train")
    assert dispatch.changes(overrides, "train") == {
        "epochs": 20,
        "model": "cnn",
        "data.root": "a b",
        "model.widths": [1, 2],
    }


@pytest.mark.parametrize("word", ["+lr=1", "~model", "hydra.verbose=true", "epoch=3"])
def test_resume_refuses_anything_but_known_keys(word: str) -> None:
    with pytest.raises(UsageError):
        dispatch.changes(grammar.parse([word], "train"), "train")


@pytest.mark.parametrize(
    "words", [["--resume"], ["resume=latest"], ["--resume", "latest"], ["--resume", "nowhere"]]
)
def test_resume_without_a_run_is_a_checkpoint_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *words]) == 4
    assert capsys.readouterr().err.startswith("svhn: error: there is no run")


# ----------------------------------------------------------------------------- run directories


def test_runs_started_in_the_same_instant_get_folders_of_their_own() -> None:
    reserved: list[Path] = []
    moment = datetime(2026, 11, 23, 14, 5, 9, 999_990)
    starts = [threading.Thread(target=lambda: reserved.append(reserve("train", moment))) for _ in range(40)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(set(reserved)) == 40
    assert min(reserved).name == "2026-11-23_14-05-09-999990"
    assert max(reserved).name == "2026-11-23_14-05-10-000029"
    assert all(path.is_dir() for path in reserved)


def test_an_unused_run_directory_is_removed_and_a_used_directory_stays(folder: Path) -> None:
    used, unused = reserve("train"), reserve("train")
    (used / "config.yaml").write_text("")
    (unused / ".hydra").mkdir()
    execution.release(used)
    execution.release(unused)
    assert list(folder.glob("outputs/train/*")) == [used.absolute()]
    (used / "config.yaml").unlink()
    execution.release(used)
    assert list(folder.iterdir()) == []


def test_a_quiet_command_leaves_the_next_of_the_same_process_its_voice(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SVHN_QUIET", raising=False)
    words = ["render", "layout=folder", "data.n_train=20", "data.n_test=10"]
    assert cli.main(["-q", *words, "out=silent"]) == 0
    assert "render train" not in capsys.readouterr().err
    assert cli.main([*words, "out=shown"]) == 0
    assert "render train" in capsys.readouterr().err
    monkeypatch.setenv("SVHN_QUIET", "1")
    assert cli.main(["-q", *words, "out=set"]) == 0
    assert os.environ["SVHN_QUIET"] == "1"
