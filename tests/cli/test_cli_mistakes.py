"""Mistakes on the command line: a message of a few lines, a hint, an exit code, no traceback."""

from __future__ import annotations

import errno
import io
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import Forked

from svhncli.cli import main as cli
from svhncli.core.errors import SvhnError
from svhncli.core.signals import EXIT_CODES

pytestmark = pytest.mark.usefixtures("folder")


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
    "train optim.momentum=0.5": (
        "'optim.momentum' belongs to optim=sgd|rmsprop|muon",
        "add one: optim=sgd|rmsprop|muon",
    ),
    "train seed=${nothing}": ("'nothing' not found", ""),
    "train plugins=[no_such_module]": ("cannot import 'no_such_module'", "current folder"),
    "train hydra/launcher=none_such": ("unknown hydra/launcher 'none_such'", ""),
    "train --cfg job -m lr=1,2": ("--cfg shows one config", "-m"),
    "eval": ("no run is named", "svhn eval RUN"),
    "eval latest data.size=40": ("'data.size' belongs to data=synth", "add data=synth"),
    "eval latest part=tset": ("did you mean 'test'?", ""),
    "train epochs=0 --cfg job": ("epochs=0: must be 1 or more", "the verb's --help"),
    "train device=mps --cfg job": ("device=mps: must be auto or cpu or cuda", "the verb's --help"),
    "train device=gpu:1": ("did you mean 'cuda:1'?", ""),
    "train device=cuda01": ("did you mean 'cuda:1'?", ""),
    "train device=cuda:x": ("device=cuda:x: must be auto or cpu or cuda", ""),
    "train compile=yes": ("compile=yes: must be auto or true or false", ""),
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
    "train data=folder data.root=": ("data.root=: must be a path", "the verb's --help"),
    "train lr=1e-3, 3e-4": ("'lr=1e-3,' ends in a comma", "svhn train -m lr=1e-3,..."),
    "train epochs==1": ("epochs==1 has the wrong type", "passes over"),
    "train name=a\udce9b": ("is not utf-8", "a link to it"),
    "train name=${nope}": ("'nope' not found", "${oc.env:NAME}"),
    "train data.root=a,b": ("gives several values", "twice: 'data.root=\"a,b\"'"),
    "train -m lr=glob(*)": ("matches nothing", "lr=1e-3,3e-4"),
    "train -m name=$a,~b": ("cannot parse 'name=$a,~b'", "two pairs"),
    "train out=${nope}": ("'${nope}' cannot be resolved", "name the folder"),
    "eval latest zzz": ("'zzz' is not key=value", "svhn eval --help"),
}


@pytest.mark.parametrize("word", ["model.widths=[512 256]", 'model.widths="[512,256]"'])
def test_a_list_is_shown_as_it_is_to_be_typed(
    word: str, capsys: pytest.CaptureFixture[str], folder: Path
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


@pytest.mark.parametrize(
    "handler", [signal.SIG_DFL, signal.SIG_IGN, lambda *_: None], ids=["none", "ignored", "own"]
)
def test_a_caller_keeps_its_handlers_and_its_own_act_in_the_call_too(folder: Path, handler: Any) -> None:
    (folder / "looking.py").write_text("import signal\nterm = signal.getsignal(signal.SIGTERM)\n")
    numbers = [number for number in EXIT_CODES if number != signal.SIGINT]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        assert cli.main(["train", "plugins=[looking]", "--cfg", "job"]) == 0
        assert (sys.modules.pop("looking").term == handler) == (handler != signal.SIG_DFL)
        assert [signal.getsignal(number) for number in numbers] == [handler] * len(numbers)
    finally:
        for number, own in before.items():
            signal.signal(number, own)


def test_a_caller_may_call_from_a_thread(capsys: pytest.CaptureFixture[str]) -> None:
    codes: list[int] = []
    caller = threading.Thread(target=lambda: codes.append(cli.main(["train", "--cfg", "job"])))
    caller.start()
    caller.join()
    assert codes == [0], capsys.readouterr().err


def test_a_terminal_that_is_not_utf_8_gets_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, "ascii"))
    assert cli.main(["inspect", "data=synth", "data.n_train=60", "data.n_test=0"]) == 0
    assert re.search(rb"\d+ \? \d+", terminal.getvalue()), "mean ± standard deviation"


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_gets_a_message_of_a_few_lines(
    words: str, capsys: pytest.CaptureFixture[str], folder: Path
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
    assert list(folder.iterdir()) == []


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
    declared = [kind for kind in SvhnError.__subclasses__() if kind.__module__ == SvhnError.__module__]
    kinds = [kind for kind in declared if kind.__name__ != "Interrupted"]
    assert sorted(cli.explain(kind("no"), debug=False) for kind in kinds) == [2, 3, 4, 5, 6, 7, 8]
    assert capsys.readouterr().err == "svhn: error: no\n" * 7


def test_ctrl_c_ends_without_a_traceback(folder: Path, spawn: Callable[..., Forked]) -> None:
    (folder / "pressed.py").write_text("raise KeyboardInterrupt\n")
    process = spawn("train", "plugins=[pressed]")
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "svhn: interrupted\n")
