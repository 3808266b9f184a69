"""`svhn export`: the files agree with the network, checked with onnxruntime for every architecture."""

from __future__ import annotations

import csv
import hashlib
import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import made_once, write_mat, write_run
from omegaconf import OmegaConf
from PIL import Image

from svhncli import registry
from svhncli.cli import catalog
from svhncli.cli import main as cli
from svhncli.commands.export import CARD, FILES
from svhncli.config.choices import CHOICES
from svhncli.config.groups.model import DatawhaleConfig, LinearConfig
from svhncli.core.rng import numpy_generator
from svhncli.data.framing import Framing
from svhncli.engine import device
from svhncli.engine.preprocess import Preprocess
from svhncli.evaluation import onnx_file, trained
from svhncli.runs import checkpoint
from svhncli.runs.predictions import read_predictions

if missing := [name for name in onnx_file.PACKAGES if importlib.util.find_spec(name) is None]:
    pytest.skip(f"the extra svhncli[export] is not installed: {', '.join(missing)}", allow_module_level=True)

CPU = device.Machine(torch.device("cpu"), "fp32", 1)
CUT = Framing(64, 128, "boxes", 0.15, 0.1)
LESS = ["watch=0", "report=false"]
LARGE_STEM = {"small_stem": False}
KEYS: dict[str, dict[str, Any]] = {
    "cnn": {"depth": 2, "hidden": 32, "stn": True, "stn_size": [48, 64]},
    "wide_resnet": {"depth": 10, "width": 1},
    "resnet18": LARGE_STEM,
    "resnet34": LARGE_STEM,
    "resnet50": LARGE_STEM,
}
"""The default network with all options on; large networks as small as possible, to keep the tests short."""


def stored(framing: Framing, count: int) -> np.ndarray:
    return numpy_generator(0, "export").integers(0, 256, (count, 3, *framing.stored), np.uint8)


@pytest.fixture
def train(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Path]:
    """Start a run on images that are easily learned; the words are added to its command."""
    write_mat(folder / "d", "train", 120, 0)
    write_mat(folder / "d", "test", 90, 1)

    def start(*words: str) -> Path:
        data = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false"]
        run = f"run{len(list(folder.glob('run*')))}"
        assert cli.main(["train", f"hydra.run.dir={run}", *data, "threads=1", "epochs=2", *LESS, *words]) == 0
        capsys.readouterr()
        return folder / run

    return start


def _export() -> None:
    write_mat(Path("d"), "train", 120, 0)
    write_mat(Path("d"), "test", 90, 1)
    data = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false"]
    cnn = ["model=cnn", "model.width=0.25", "threads=1", "epochs=2", *LESS]
    assert cli.main(["train", *data, *cnn, "out=run"]) == 0
    with Path("export.json").open("w") as file, redirect_stdout(file):
        assert cli.main(["export", "run", "--json"]) == 0


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the default network on such images, exported; beside it, what the export printed."""
    return made_once(tmp_path_factory, "exported", _export) / "run"


ALIKE = {"linear", "mlp", "resnet18", "resnet34", "resnet50", "wide_resnet"}
"""Networks of layers that the others have, too."""
NETWORKS = [
    pytest.param(CUT, choice, marks=[pytest.mark.full] if choice in ALIKE else [])
    for choice in catalog.choices("model")
]


@pytest.mark.parametrize(("framing", "choice"), [(Framing(32, 32), "cnn"), *NETWORKS])
def test_every_network_predicts_the_same_in_onnx_for_any_number_of_images(
    tmp_path: Path, choice: str, framing: Framing
) -> None:
    config = CHOICES["model"][choice](**KEYS.get(choice, {}))
    positions, classes = (1, 10) if framing.crop == "whole" else (6, 11)
    grey = framing.crop == "whole"
    preprocess = Preprocess(framing, grey, (0.4,) * (1 if grey else 3), (0.2,) * (1 if grey else 3))
    torch.manual_seed(0)  # initial weights
    network = registry.model(config, preprocess.shape, positions, classes, 0.2)
    for parameter in network.parameters():
        if not parameter.any():  # some parameters of norms and the transformer start at zero
            torch.nn.init.normal_(parameter, std=0.1)
    network(torch.randn(8, *preprocess.shape))  # gives the norms running statistics
    network.eval()
    onnx_file.write(tmp_path / "model.onnx", network, preprocess)
    images = stored(framing, 16)
    with torch.inference_mode():
        expected = onnx_file.ExportedModel(network, preprocess)(torch.from_numpy(images)).numpy()
    for count in (1, 3, 16):
        actual = onnx_file.probabilities(tmp_path / "model.onnx", images[:count])
        assert (actual.dtype, actual.shape) == (np.float32, (count, positions, classes))
        np.testing.assert_allclose(actual, expected[:count], atol=1e-5)
    assert b"site-packages" not in (tmp_path / "model.onnx").read_bytes()


def test_onnx_predicts_every_image_of_the_test_part_as_pytorch_does(exported: Path) -> None:
    model = trained.load(exported / "best.pt")
    data = registry.data(model.config.data, model.config.split, None, lambda *_: None)
    assert data.test is not None
    images = np.array(data.test.images)
    actual = onnx_file.probabilities(exported / "export" / "model.onnx", images)
    expected = trained.probabilities([model], images, CPU)
    np.testing.assert_array_equal(actual.argmax(-1), expected.argmax(-1))
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    for count in (1, 3, 256):
        resized = np.resize(images, (count, *images.shape[1:]))
        assert onnx_file.probabilities(exported / "export" / "model.onnx", resized).shape == (count, 1, 10)


@pytest.mark.parametrize("trained_in", [pytest.param("fp32", marks=pytest.mark.full), "bf16"])
def test_predict_eval_and_onnx_give_the_same_probabilities(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str], trained_in: str
) -> None:
    run = train("model=cnn", "model.width=0.25", "lr=0.01", f"precision={trained_in}", "report=false")
    assert cli.main(["eval", str(run), "precision=fp32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "fp32"
    assert cli.main(["eval", str(run), "out=as-trained", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == trained_in
    assert cli.main(["predict", str(run), "d/test_32x32.mat", "out=p.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "fp32"
    assert cli.main(["export", str(run)]) == 0
    data = registry.data(trained.load(run / "best.pt").config.data, None, None, lambda *_: None)
    assert data.test is not None
    by_onnx = onnx_file.probabilities(run / "export" / "model.onnx", np.array(data.test.images))[:, 0]
    by_eval, _ = read_predictions(run / "eval" / "svhn-test" / "predictions.csv", 1, 10)
    with Path("p.csv").open(newline="") as file:
        confidence = [float(row["confidence"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(by_eval[:, 0], by_onnx, atol=1e-5)
    np.testing.assert_allclose(confidence, by_onnx.max(1), atol=1e-5)
    as_trained, _ = read_predictions(Path("as-trained/predictions.csv"), 1, 10)
    assert (np.abs(as_trained - by_eval).max() > 1e-5) == (trained_in == "bf16")


@pytest.mark.parametrize("kind", [pytest.param("digits", marks=pytest.mark.full), "numbers"])
def test_the_code_of_the_model_card_runs_and_agrees_with_predict(
    train: Callable[..., Path], folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    words = ["model=linear", "watch=0", "report=false"]
    if kind == "numbers":
        words += ["data=mchar", "data.root=mchar", "data.height=16", "data.width=24", "lr=0.01"]
        assert cli.main(["render", "layout=mchar", "out=mchar", "data.n_train=60", "data.n_test=20"]) == 0
    run = train(*words) if kind == "digits" else _train_alone(folder, words)
    assert cli.main(["export", str(run)]) == 0
    Image.fromarray(numpy_generator(1, "photo").integers(0, 256, (50, 70, 3), np.uint8)).save("photo.png")
    capsys.readouterr()
    assert cli.main(["predict", str(run), "photo.png"]) == 0
    row = next(csv.DictReader(capsys.readouterr().out.splitlines()))
    card = (run / "export" / CARD).read_text()
    assert "house fronts" not in card
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code is not None
    shutil.copy("photo.png", run / "export")
    done = subprocess.run(
        [sys.executable, "-c", code[1]], cwd=run / "export", capture_output=True, text=True, check=True
    )
    number, _, confidence = done.stdout.rpartition(" ")
    assert number == row["prediction"]
    assert float(confidence) == pytest.approx(float(row["confidence"]), abs=1e-5)


def _train_alone(folder: Path, words: list[str]) -> Path:
    assert cli.main(["train", "out=run", "threads=1", "epochs=2", *LESS, *words]) == 0
    return folder / "run"


def test_the_model_card_says_what_the_run_was_trained_on_and_before_that(train: Callable[..., Path]) -> None:
    first = train("model=linear", "epochs=1", "watch=0", "report=false")
    second = train("model=linear", "epochs=1", f"init_from={first}", "watch=0", "report=false")
    assert cli.main(["export", str(second)]) == 0
    card = " ".join((second / "export" / CARD).read_text().split())
    assert card.startswith("# linear: single digits ")
    assert "Data: `svhn` in `d`: SVHN, The Street View House Numbers" in card
    assert "Fine-tuned from the weights of `run0/best.pt`; its data: SVHN" in card


def test_the_folder_holds_what_the_model_card_lists(exported: Path) -> None:
    run, out = exported, exported / "export"
    summary = json.loads((run.parent / "export.json").read_text())
    assert {path.name for path in out.iterdir()} == {*FILES, CARD}
    card = (out / CARD).read_text()
    for name in FILES:
        digest = hashlib.sha256((out / name).read_bytes()).hexdigest()
        assert summary["files"][name] == digest
        assert f"| `{name}` | `{digest}` |" in card
    score = json.loads((run / "summary.json").read_text())["test"]
    interval = [f"{100 * score['interval'][end]:.2f}%" for end in ("low", "high")]
    assert f"test: accuracy {100 * score['accuracy']:.2f}%, 95% interval [{', '.join(interval)}]" in card
    assert "On 90 images (test part of svhn)" in card
    assert summary["agreement"]["pictures"] == 90
    config = OmegaConf.to_container(OmegaConf.load(out / "config.yaml"))
    assert config == checkpoint.load(run / "best.pt")["meta"]["config"]
    facts = json.loads((out / "preprocess.json").read_text())
    preprocess = trained.load(run / "best.pt").preprocess
    assert (facts["mean"], facts["std"]) == (list(preprocess.mean), list(preprocess.std))
    assert not list(run.glob(".writing-*"))


def test_closed_units_are_removed_and_the_file_gives_the_run_s_predictions(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file

    run = train(
        "model=cnn",
        "model.width=0.5",
        "reg.l0=0.01",
        "lr=0.02",
        "schedule=constant",
        "batch_size=16",
        "epochs=8",
        "precision=fp32",
    )
    assert cli.main(["export", str(run / "last.pt"), "--json"]) == 0
    units = json.loads(capsys.readouterr().out)["units"]
    assert 0 < units["open"] < units["of"] == 8 + 24 + 64 + 96
    out, model = run / "export", trained.load(run / "last.pt")
    weights = load_file(out / "model.safetensors")
    norms = [len(value) for name, value in weights.items() if name.endswith("running_var")]
    assert sum(norms) == units["open"]
    assert not [name for name in weights if "openness" in name]
    assert f"left {units['open']} of {units['of']} units open" in (out / CARD).read_text()
    images = stored(Framing(32, 32), 64)
    actual = onnx_file.probabilities(out / "model.onnx", images)
    np.testing.assert_allclose(actual, trained.probabilities([model], images, CPU), atol=1e-5)


def test_weights_are_those_of_the_run_and_the_same_bytes_every_time(exported: Path, folder: Path) -> None:
    from safetensors.torch import load_file

    assert cli.main(["export", str(exported), "out=again/here"]) == 0
    first, again = (place / "model.safetensors" for place in (exported / "export", folder / "again/here"))
    assert first.read_bytes() == again.read_bytes()
    weights = checkpoint.load(exported / "best.pt")["weights"]
    assert load_file(first).keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in load_file(first).items())


def test_the_model_card_explains_how_to_crop_a_number_and_how_to_decode_the_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(folder / "run", CUT, 5, DatawhaleConfig())
    assert cli.main(["export", "run"]) == 0
    printed = capsys.readouterr()
    assert "random ones are used for the check" in printed.err
    assert "random ones" in printed.out
    card = (run / "export" / CARD).read_text()
    for phrase in (
        "numbers of up to 5 digits",
        "widen it at each side by 15% of its own width and height, then by 13/128 and 6/64 of what",
        "Resize it to 76 rows and 154 columns",
        "uint8 (N, 3, 76, 154)",
        "float32 (N, 5, 11)",
        "as class 10, of no digit",
        "no summary.json",
    ):
        assert phrase in card, phrase


def test_an_export_replaces_an_older_export_and_nothing_else(
    exported: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "run", Framing(12, 12), 1, LinearConfig())
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    assert cli.main(["export", "run", "out=mine"]) == 2
    assert "would be lost" in capsys.readouterr().err
    assert [path.name for path in (folder / "mine").iterdir()] == ["thesis.txt"]
    shutil.copytree(exported / "export", folder / "new")
    older = (folder / "new" / CARD).read_text()
    assert cli.main(["export", "run", "out=new"]) == 0
    assert {path.name for path in (folder / "new").iterdir()} == {*FILES, CARD}
    assert (folder / "new" / CARD).read_text() != older
    assert not list(folder.glob(".writing-*"))


@pytest.mark.parametrize("factor", [-1, 2], ids=["other predictions", "other probabilities"])
def test_an_export_that_disagrees_is_refused_and_leaves_no_files(
    folder: Path, plugin: Callable[[str, str], None], capsys: pytest.CaptureFixture[str], factor: int
) -> None:
    """The network computes something else while it is exported."""
    plugin(
        "restless",
        """
from dataclasses import dataclass
import torch
from torch import nn
from svhncli.registry import register

@dataclass
class Restless:
    name: str = __name__

class Net(nn.Module):
    def __init__(self, shape, positions, classes):
        super().__init__()
        self.head = nn.Linear(shape[0] * shape[1] * shape[2], positions * classes)
        self.out = positions, classes

    def forward(self, x):
        logits = self.head(x.flatten(1))
        return (logits if torch.compiler.is_exporting() else FACTOR * logits).unflatten(1, self.out)

register("model", Restless, lambda config, shape, n, k, dropout: Net(shape, n, k))
""".replace("FACTOR", str(factor)),
    )
    write_run(folder / "run", Framing(12, 12), 1, importlib.import_module("restless").Restless())
    assert cli.main(["export", "run", "plugins=[restless]"]) == 1
    assert "PyTorch differ by" in capsys.readouterr().err
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["best.pt", "config.yaml"]


def test_a_run_of_several_folds_is_refused_with_a_hint_to_name_a_fold(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold in range(2):
        write_run(folder / "run" / f"fold{fold}", Framing(12, 12), 1, LinearConfig())
    (folder / "run" / "config.yaml").write_text("{}")
    assert cli.main(["export", "run"]) == 4
    assert "svhn ensemble run" in capsys.readouterr().err
    assert cli.main(["export", "run/fold1"]) == 0


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(folder / "run", Framing(12, 12), 1, LinearConfig())
    monkeypatch.setattr(onnx_file, "PACKAGES", (*onnx_file.PACKAGES, "no_such_package"))
    assert cli.main(["export", "run"]) == 2
    err = capsys.readouterr().err
    assert "an export needs no_such_package" in err
    assert 'pip install "svhncli[export]"' in err
