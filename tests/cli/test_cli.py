"""The command line: flags, verbs, mistakes and their messages."""

from __future__ import annotations

import errno
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from dataclasses import fields
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pytest
from conftest import REPO
from hydra._internal.hydra import Hydra
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from svhncli import __version__
from svhncli.cli import catalog, dispatch, hydra_app, overview
from svhncli.cli import main as cli
from svhncli.config.groups.model import CnnConfig, MlpConfig
from svhncli.config.loading import from_dict
from svhncli.config.verbs import VERBS
from svhncli.config.verbs.training import TrainConfig
from svhncli.config.words import quote
from svhncli.core.errors import SvhnError, UsageError
from svhncli.core.signals import EXIT_CODES
from svhncli.runs.locate import reserve

ENV = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def svhn(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "svhncli", *words],
        env=ENV,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


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
    (word,) = hydra_app.parse([f"run={quote(text)}"], "eval")
    assert OmegaConf.to_container(OmegaConf.create({"run": word.value()}), resolve=True) == {"run": text}


# ----------------------------------------------------------------------------- help


def test_no_verb_prints_the_help_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "usage: svhn VERB" in printed.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb_and_flag(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in [*VERBS, *cli.FLAGS])


def test_the_words_of_a_verb_are_keys_of_it() -> None:
    for verb, declared in VERBS.items():
        names = {item.name for item in fields(declared.config)}
        assert set(catalog.plain_keys(verb)) <= names
        assert catalog.takes_run(verb) == ("run" in names)


def test_the_overview_has_every_verb_with_its_words_and_meaning() -> None:
    text = overview.overview(cli.FLAGS, cli.SHORT)
    for verb in VERBS.values():
        row = rf"^  {re.escape(f'{verb.name} {verb.words}'.rstrip())}  +{re.escape(verb.meaning)}$"
        assert re.search(row, text, re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_lists_every_key_with_meaning_and_every_choice(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, "--help"]) == cli.main(["help", verb]) == 0
    text = capsys.readouterr().out
    flowing = " ".join(text.split())
    for key in catalog.keys(verb).values():
        assert f" {key.path} " in text
        assert " ".join(key.rule["meaning"].split()[:3]) in flowing
    for group in catalog.defaults(verb):
        assert all(f"{group}={choice}" in text for choice in catalog.choices(group))
    assert max(map(len, text.splitlines())) <= 80


def test_help_shows_ranges_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["train", "--help"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "epochs 20 passes over the training set [int >= 1]" in lines
    assert "split.k 5 number of folds [int >= 2]" in lines
    assert any(line.startswith("lr from optim learning rate") for line in lines)


def test_help_and_completion_import_nothing_heavy() -> None:
    program = (
        "import sys; from svhncli.cli.main import main\n"
        "main(['train', '--help']); main(['--complete', 'train', '']); main(['trian'])\n"
        "sys.exit(str({'hydra', 'omegaconf', 'torch', 'numpy', 'rich', 'yaml'} & {*sys.modules} or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENV, capture_output=True, text=True, check=False
    )
    assert done.stderr == "svhn: error: unknown verb 'trian'\n  hint: did you mean 'train'?\n\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    python, torch = platform.python_version(), metadata.version("torch")
    assert capsys.readouterr().out == f"svhn {__version__} (Python {python}, torch {torch})\n"


def test_the_version_is_defined_in_a_single_place() -> None:
    assert not re.search(r"^version", (REPO / "pyproject.toml").read_text(), re.MULTILINE)
    assert __version__ in (REPO / "svhncli" / "__init__.py").read_text()


def test_a_pipe_closed_by_its_reader_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "svhncli", "train", "--help"],
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# ----------------------------------------------------------------------------- showing a config


def test_cfg_job_prints_the_config_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], empty_folder: Path
) -> None:
    assert cli.main(["train", "lr=0.25", "--cfg", "job", "model=mlp"]) == 0
    printed = capsys.readouterr()
    config = from_dict(TrainConfig, OmegaConf.to_container(OmegaConf.create(printed.out)))
    assert (config.lr, config.model) == (0.25, MlpConfig())
    assert printed.err == ""
    assert list(empty_folder.iterdir()) == []


def test_cfg_shows_a_config_whose_run_is_not_given_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", "--cfg", "job"]) == 0
    assert OmegaConf.is_missing(OmegaConf.create(capsys.readouterr().out), "run")


@pytest.mark.parametrize("words", [["hydra"], ["all"], ["job", "--package", "optim"], ["job", "--resolve"]])
def test_every_kind_of_cfg_prints(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--cfg", *words]) == 0
    assert capsys.readouterr().out


def test_config_dir_adds_choices(capsys: pytest.CaptureFixture[str], empty_folder: Path) -> None:
    own = empty_folder / "own" / "model"
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
    empty_folder: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, word: str, key: str
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
    empty_folder: Path, capsys: pytest.CaptureFixture[str], text: str, message: str, hint: str
) -> None:
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text(text)
    for more in (["--cfg", "job"], [], ["-m", "lr=1e-3,1e-2"]):
        assert cli.main(["train", "--config-dir", "own", "experiment=mine", *more]) == 2
        printed = capsys.readouterr().err
        assert "'own/experiment/mine.yaml'" in printed
        assert message in printed
        assert hint in printed


@pytest.mark.parametrize("key", ["out", "resume"])
def test_a_config_file_cannot_name_the_run(
    empty_folder: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text(f"# @package _global_\n{key}: x\n")
    assert cli.main(["train", "--config-dir", "own", "experiment=mine"]) == 2
    assert f"{key} stands in a config file" in capsys.readouterr().err


def test_help_of_a_group_is_about_that_group_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "train", "schedule", "split"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("schedule: how lr changes over the run (default: cosine)")
    assert "schedule.warmup" in text
    assert "\n\nsplit: " in text
    assert "model=" not in text
    assert "flags" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert cli.main(["help", "train", "modle"]) == 2
    assert "did you mean 'model'?" in capsys.readouterr().err
    assert cli.main(["help", "export", "model"]) == 2
    assert "neither a group nor a key of svhn export" in capsys.readouterr().err


def test_help_of_a_key_is_about_that_key_with_the_choices_that_have_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["help", "train", "model.width", "lr"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"model=cnn\n +model\.width +1 .*model=wide_resnet\n +model\.width +8 ", text, re.S)
    assert re.search(r"\n +lr +from optim +learning rate", text)
    assert "dropout" not in text


TEXTS = [r"(meter\d+)_", r"meter\d+", "^a[0-9]{2}$", "my run (v2): it's", "~/a b", "50% off!", "a|b", "é (ü)"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_needs_no_quotes_of_hydra(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert cli.main(["train", f"name={text}", "data=folder", f"data.group={text}", "--cfg", "job"]) == 0
    config = OmegaConf.create(capsys.readouterr().out)
    assert (config.name, config.data.group) == (text, text)


def test_a_plugin_of_the_current_folder_composes_without_a_yaml(empty_folder: Path) -> None:
    (empty_folder / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom svhncli.registry import register\n"
        "from svhncli.config.rules import key\n"
        "@dataclass\nclass Mine:\n    name: str = key('mine', 'the network')\n"
        "    depth: int = key(3, 'layers', low=1)\n"
        "register('model', Mine, lambda *args: None)\n"
    )
    done = svhn("train", "plugins=[mine]", "model=mine", "model.depth=5", "--cfg", "job", cwd=empty_folder)
    assert OmegaConf.create(done.stdout).model == {"name": "mine", "depth": 5}, done.stderr
    unnamed = svhn("train", "model=mine", "--cfg", "job", cwd=empty_folder)
    assert unnamed.returncode == 2


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


# ----------------------------------------------------------------------------- mistakes

MISTAKES = {
    "render layout=mchar data.limit=300": ("data.limit is for training", "data.n_train=300 data.n_test=60"),
    "compare a b tested_on=synth": ("tested_on names data whose test part was scored", "add part=test"),
    "train experiment=finetune_small model=mlp": (
        "experiment=finetune_small sets model.width, which model=mlp does not have",
        "leave out model=mlp, or the recipe",
    ),
    "train .": ("'.' is not key=value", "data=folder data.root=."),
    "inspect data=.": ("unknown data '.'", "data=folder data.root=."),
    "train seed=042": ("seed=042 has the wrong type", "seed=42"),
    "trian": ("unknown verb 'trian'", "did you mean 'train'?"),
    "validate": ("unknown verb 'validate'", "did you mean 'eval'?"),
    "sweep": ("unknown verb 'sweep'", "did you mean 'train -m'?"),
    "train data=/some/photos": ("unknown data '/some/photos'", "data=folder data.root=/some/photos"),
    "train data=some/photos": ("unknown data 'some/photos'", "data=folder data.root=some/photos"),
    "train model=CNN": ("unknown model 'CNN'", "did you mean 'cnn'?"),
    "train model=resnet": ("unknown model 'resnet'", "did you mean 'resnet18'?"),
    "train reg.augment=strong": ("has the wrong type", "did you mean 'reg=strong'?"),
    "frobnicate": ("unknown verb", "the verbs are: train, inspect, check"),
    "train --jsn": ("unknown flag --jsn", "did you mean --json?"),
    "train --cfg jib": ("--cfg takes job or hydra or all, not 'jib'", "such as --cfg job"),
    "train --json=1": ("--json takes no value", ""),
    "train --config-name x": ("not supported", "the verb is the config"),
    "train --experimental-rerun x": ("not supported", "--resume"),
    "train -sc query=bash": ("not supported", "svhn completion bash"),
    "completion tcsh": ("there is no completion for 'tcsh'", "bash|zsh|fish"),
    "train learning_rate=1": ("unknown key 'learning_rate'", "did you mean 'lr'?"),
    "train optim.lr=1": ("unknown key 'optim.lr'", "did you mean 'lr'?"),
    "train optimizer=sgd": ("unknown key 'optimizer'", "did you mean 'optim'?"),
    "train dropout=0.5": ("unknown key 'dropout'", "did you mean 'reg.dropout'?"),
    "train reg.augment.rotat=5": ("unknown key 'reg.augment.rotat'", "did you mean 'reg.augment.rotate'?"),
    "train reg.augment={rotat:5}": ("unknown key 'reg.augment.rotat'", "did you mean 'reg.augment.rotate'?"),
    "train zzz=1": ("unknown key 'zzz'", "svhn train --help"),
    "train +epoch=1": ("unknown key 'epoch'", "did you mean 'epochs'?"),
    "train model=cnnn": ("unknown model 'cnnn'; choose from: cnn, ", "did you mean 'cnn'?"),
    "train model=null": ("takes the name of one of its choices", ""),
    "train ~model": ("model is not set", "model=linear|"),
    "train epochs=abc": ("epochs=abc has the wrong type; it must be: integer, 1 or more", "passes over"),
    "train epochs=1e2": ("epochs=100.0 has the wrong type", "epochs=100"),
    "train reg.patience=none": ("reg.patience=none has the wrong type", "0 never stops early"),
    "train split.seed=none": ("split.seed=none has the wrong type", "split.seed=null"),
    "train model=mlp model.widths=64": ("it must be: list of integers", "model.widths=[64]"),
    "train test=maybe": ("it must be: true or false", "score the best weights"),
    "train reg.augment={rotate:x}": ("reg.augment.rotate=x has the wrong type", "degrees"),
    "train epochs=0": ("epochs=0: must be 1 or more", "the verb's --help"),
    "train epochs=0 lr=-1": ("lr=-1.0: must be above 0", "the verb's --help"),
    "train lr=nan": ("lr=nan: must be a finite number", ""),
    "train metric=val_acc": ("must be val_accuracy or val_loss; did you mean 'val_accuracy'?", ""),
    "train lr=[1": ("cannot parse 'lr=[1'", "bracket"),
    "train cnn": ("'cnn' is not key=value", "did you mean 'model=cnn'?"),
    "train epoch": ("'epoch' is not key=value", "did you mean 'epochs=...'?"),
    "train lr=1,2": ("'lr=1,2' gives several values to one run", "svhn train -m lr=1,2"),
    "train model=cnn,mlp": ("gives several values to one run", "-m"),
    "train optim.momentum=0.5": ("'optim.momentum' belongs to optim=sgd or optim=rmsprop", "add optim=sgd"),
    "train seed=${nothing}": ("'nothing' not found", ""),
    "train plugins=[no_such_module]": ("cannot import 'no_such_module'", "current folder"),
    "train hydra/launcher=none_such": ("unknown hydra/launcher 'none_such'", ""),
    "train --cfg job -m lr=1,2": ("--cfg shows one config", "-m"),
    "eval": ("no run is named", "svhn eval RUN"),
    "eval latest data.size=40": ("'data.size' belongs to data=synth", "add data=synth"),
    "eval latest part=tset": ("did you mean 'test'?", ""),
    "train epochs=0 --cfg job": ("epochs=0: must be 1 or more", "the verb's --help"),
    "train device=mps --cfg job": ("device=mps: must be auto or cpu or cuda", "the verb's --help"),
    "train device=cuda:1": ("did you mean 'cuda'? The variable CUDA_VISIBLE_DEVICES=1 chooses the GPU", ""),
    "train device=gpu": ("did you mean 'cuda'?", ""),
    "train wandb.project=x": ("unknown key 'wandb.project'", "metrics.csv, summary.json and report.html"),
    "train amp=true": ("unknown key 'amp'", "precision=bf16"),
    "train workers=4": ("unknown key 'workers'", "threads=N"),
    "train num_workers=4": ("unknown key 'num_workers'", "threads=N"),
    "train imgsz=64": ("unknown key 'imgsz'", "did you mean 'data.size'?"),
    "train gpu=0": ("unknown key 'gpu'", "device=cuda"),
    "train my.yaml": ("'my.yaml' is not key=value", "--config-dir MINE experiment=my"),
    "train --cfg my.yaml": (
        "--cfg takes job or hydra or all, not 'my.yaml'",
        "move it to MINE/experiment/",
    ),
    "train --config my.yaml": ("unknown flag --config", "--config-dir MINE experiment=my"),
    "train epochs=abc --cfg job": ("epochs=abc has the wrong type", "passes over"),
    "train epochs=0 --cfg hydra": ("epochs=0: must be 1 or more", "the verb's --help"),
    "train epochs=0 --cfg job --package optim": ("epochs=0: must be 1 or more", "the verb's --help"),
    "eval latest part=tset --cfg all": ("did you mean 'test'?", ""),
    "eval latest -m": ("takes neither --resume nor --multirun", ""),
    "compare": ("no runs are named", "svhn compare A B"),
    "predict": ("no run is named", "svhn predict RUN PATHS..."),
    "predict latest": ("no images are named", "svhn predict RUN PATHS..."),
    "predict a.png latest": ("'latest' is a run", "the run comes first: svhn predict latest a.png"),
    "eval latest part=val data=synth_full": (
        "data=synth_full has no validation part of its own",
        "part=test",
    ),
    "predict latest a.png tat=5": ("unknown key 'tat'", "did you mean 'tta'?"),
    "predict latest a.png --json": ("both go to standard output", "out=FILE"),
    "submission": ("no file is named", "svhn submission FILE FOLDER"),
    "submission a.csv": ("no folder is named", "svhn submission FILE FOLDER"),
    "submission a.csv b c": ("'c' is not key=value", "svhn submission --help"),
    "export": ("no run is named", "svhn export RUN"),
    "eval latest zzz": ("'zzz' is not key=value", "svhn eval --help"),
}


@pytest.mark.parametrize("word", ["model.widths=[512 256]", 'model.widths="[512,256]"'])
def test_a_list_is_shown_as_it_is_to_be_typed(
    word: str, capsys: pytest.CaptureFixture[str], empty_folder: Path
) -> None:
    assert cli.main(["train", "model=mlp", word]) == 2
    assert "hint: write a list as model.widths=[512,256]\n" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["train", "epochs=1\r"], ["train", "--resume", "latest\r"], ["-q\r"]])
def test_the_line_ends_of_windows_in_a_script_are_named(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    printed = capsys.readouterr().err
    assert f"{words[-1]!r} ends in a carriage return" in printed
    assert "dos2unix" in printed


def test_a_caller_keeps_its_handlers_and_may_call_from_a_thread(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in EXIT_CODES]
    codes = []
    caller = threading.Thread(target=lambda: codes.append(cli.main(["train", "--cfg", "job"])))
    caller.start()
    caller.join()
    codes.append(cli.main(["train", "--cfg", "job"]))
    assert codes == [0, 0], capsys.readouterr().err
    assert [signal.getsignal(number) for number in EXIT_CODES] == before


def test_a_terminal_that_is_not_utf_8_gets_its_output(empty_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "svhncli", "inspect", "data=synth", "data.n_train=60", "data.n_test=0"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ \? \d+", done.stdout), "mean ± standard deviation"


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_gets_a_message_of_a_few_lines(
    words: str, capsys: pytest.CaptureFixture[str], empty_folder: Path
) -> None:
    message, hint = MISTAKES[words]
    assert cli.main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    first, _, rest = printed.err.partition("  hint: ")
    assert first.startswith("svhn: error: ")
    assert message in first
    assert hint in rest
    assert len(printed.err.splitlines()) <= 4
    assert "Traceback" not in printed.err
    assert list(empty_folder.iterdir()) == []


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "epochs=0", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback_and_a_full_disk_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.explain(RuntimeError("odd"), debug=False) == 1
    assert "RuntimeError: odd\n  this is a bug in svhn" in capsys.readouterr().err
    assert cli.explain(OSError(errno.ENOSPC, "No space left on device", "x.pt"), debug=False) == 6
    assert capsys.readouterr().err.startswith(
        "svhn: error: cannot write 'x.pt': No space left on device\n  hint: "
    )


def test_every_kind_of_error_has_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [kind for kind in SvhnError.__subclasses__() if kind.__name__ != "Interrupted"]
    assert sorted(cli.explain(kind("no"), debug=False) for kind in kinds) == [2, 3, 4, 5, 6, 7, 8]
    assert capsys.readouterr().err == "svhn: error: no\n" * 7


def test_ctrl_c_ends_without_a_traceback(empty_folder: Path) -> None:
    (empty_folder / "pressed.py").write_text("raise KeyboardInterrupt\n")
    done = svhn("train", "plugins=[pressed]", cwd=empty_folder)
    assert (done.returncode, done.stderr) == (130, "svhn: interrupted\n")


# ----------------------------------------------------------------------------- resume


def test_changes_beside_resume_are_plain_values() -> None:
    overrides = hydra_app.parse(["epochs=20", "model=cnn", "data.root='a b'", "model.widths=[1,2]"], "train")
    assert dispatch.changes(overrides, "train") == {
        "epochs": 20,
        "model": "cnn",
        "data.root": "a b",
        "model.widths": [1, 2],
    }


@pytest.mark.parametrize("word", ["+lr=1", "~model", "hydra.verbose=true", "epoch=3"])
def test_resume_refuses_anything_but_known_keys(word: str) -> None:
    with pytest.raises(UsageError):
        dispatch.changes(hydra_app.parse([word], "train"), "train")


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


def test_an_unused_run_directory_is_removed_and_a_used_directory_stays(empty_folder: Path) -> None:
    used, unused = reserve("train"), reserve("train")
    (used / "config.yaml").write_text("")
    (unused / ".hydra").mkdir()
    hydra_app.release(used)
    hydra_app.release(unused)
    assert list(empty_folder.glob("outputs/train/*")) == [used.absolute()]
    (used / "config.yaml").unlink()
    hydra_app.release(used)
    assert list(empty_folder.iterdir()) == []
