"""Each verb imports only the heavy packages that it uses, measured in real processes.

The sets are exact: a package that a verb does use must be imported in its process, which shows that the probe
detects every package listed here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPO
from PIL import Image

from svhncli.cli import main as cli

HEAVY = ("torch", "torchvision", "scipy", "scipy.optimize", "matplotlib", "h5py", "jinja2", "onnx", "PIL")
PROBE = """
import json, sys
from svhncli.cli.main import main
code = main(sys.argv[2:])
print(json.dumps([name for name in sys.argv[1].split(",") if name in sys.modules]), file=sys.stderr)
sys.exit(code)
"""
SMALL = ["data=tiny", "data.n_train=200", "data.n_test=40", "threads=1", "device=cpu", "model=linear"]

VERBS: dict[str, tuple[list[str], set[str]]] = {
    "predict": (["run", "photos", "out=p.csv"], {"torch", "PIL"}),
    "submission": (["sub.csv", "photos"], {"PIL"}),
    "report": (["run"], {"jinja2", "PIL"}),
    # compare plots the differences, and its tests come from scipy.stats, which imports scipy.optimize
    "compare": (["run", "other"], {"scipy", "scipy.optimize", "matplotlib", "PIL"}),
    # eval plots diagrams and fits the temperature with scipy.optimize
    "eval": (["run", "device=cpu"], {"torch", "scipy", "scipy.optimize", "matplotlib", "PIL"}),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, a folder of photographs and a submission for them."""
    folder = tmp_path_factory.mktemp("made")
    for name, seed in (("run", 0), ("other", 1)):
        words = ["train", *SMALL, "epochs=1", "watch=0", f"seed={seed}", "split=ordered"]
        assert cli.main([*words, f"hydra.run.dir={folder / name}"]) == 0
    (folder / "photos").mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "photos" / "000000.png")
    (folder / "sub.csv").write_text("file_name,file_code\n000000.png,1\n")
    return folder


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_imports_the_heavy_packages_that_it_uses_and_no_others(
    inputs: Path, folder: Path, verb: str
) -> None:
    shutil.copytree(inputs, folder, dirs_exist_ok=True)
    words, expected = VERBS[verb]
    command = [sys.executable, "-c", PROBE, ",".join(HEAVY), verb, *words]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "SVHN_QUIET": "1"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert {*json.loads(process.stderr.splitlines()[-1])} == expected


REFUSED = {
    "predict photos/000000.png": (2, "'photos/000000.png' is taken as the run"),
    "predict run nowhere": (3, "no file, folder or glob matches 'nowhere'"),
    "predict nowhere photos": (4, "there is no run 'nowhere'"),
    "predict run photos format=tianchi": (2, "needs a file to write to"),
    "eval nowhere": (4, "there is no run 'nowhere'"),
    "train init_from=nowhere": (4, "there is no run 'nowhere'"),
    "train data=mchar data.root=nowhere": (3, "svhn render layout=mchar"),
    "train data=folder data.root=nowhere": (3, "set data.root to the folder of your images"),
    "train data.exclude=nowhere": (3, "data.exclude: there is no '"),
    "train data.world=nowhere": (3, "data.world: there is no '"),
    "train data.fonts=nowhere": (3, "data.fonts: there is no '"),
    "train data=svhn split.file=nowhere split=official": (3, "split.file: there is no '"),
    "train -m lr=1e-3,abc": (2, "lr=abc has the wrong type"),
    "inspect": (2, "nothing to inspect is named"),
    "inspect run data=tiny": (2, "a run has its own data"),
    "inspect run split=kfold": (2, "a run has its own split"),
    "compare": (2, "no runs are named"),
    "lr-find low=1 high=0.1": (2, "low=1 is not below high=0.1"),
    "learning-curve sizes=[0.5,1]": (2, "a curve needs 3 or more"),
    "render layout=mchar sheet=true": (2, "sheets are drawn without a layout"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_command_that_cannot_start_is_refused_before_torch_is_imported(
    inputs: Path, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(inputs)
    monkeypatch.setitem(sys.modules, "torch", None)  # so that an import fails
    for module in [
        name for name in sys.modules if name.startswith(("svhncli.commands.", "svhncli.registry"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    code, message = REFUSED[words]
    assert cli.main(words.split()) == code
    assert message in capsys.readouterr().err
    assert not Path("outputs").exists()
