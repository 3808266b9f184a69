"""A well-known trap of street-number projects: validation images are resized differently from test images.
Here a photograph becomes the same tensor everywhere, and sources of photographs work end to end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import Forked
from photo_files import (
    Row,
    leftovers,
    rows,
    write_digit_struct,
    write_images,
    write_mchar,
    write_svhn_full,
)
from torch.nn import functional

from svhncli import registry
from svhncli.cli import main as cli
from svhncli.config.loading import from_dict
from svhncli.config.verbs.training import TrainConfig
from svhncli.data.digits import Digits
from svhncli.data.formats.images import decode
from svhncli.data.sources.svhn_full import load
from svhncli.data.store.cache import Cache, default_root
from svhncli.engine.preprocess import Preprocess
from svhncli.evaluation import trained
from svhncli.runs import checkpoint

pytestmark = pytest.mark.engine

SMALL = ["threads=1", "device=cpu", "precision=fp32", "model=linear", "epochs=2", "lr=0.01"]
FULL = ["data=svhn_full", "data.root=full", "data.download=false", "data.extra=val", "split=official"]
PARTS = {"train": 24, "test": 7, "extra": 6}


def svhn(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code = cli.main([*words, "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def full(folder: Path) -> dict[str, list[Row]]:
    """A data set of SVHN's full layout, whose parts share one photograph, 1.png."""
    labels_of = {part: write_svhn_full(folder / "full", part, n, n) for part, n in PARTS.items()}
    for part, labels in labels_of.items():
        write_images(folder / "full" / part, [labels_of["train"][0]], 0)
        labels[0] = labels_of["train"][0]
        write_digit_struct(folder / "full" / part / "digitStruct.mat", labels)
    return labels_of


class Predictor:
    """A trained network and its preprocessing, for single files."""

    def __init__(self, run: Path) -> None:
        meta, weights = checkpoint.load_weights(run / "best.pt")
        self.preprocess = Preprocess.from_dict(meta["preprocess"])
        config = from_dict(TrainConfig, meta["config"])
        shape = tuple(meta["in_shape"])
        self.network = registry.model(config.model, shape, meta["positions"], meta["classes"], 0.0)
        self.network.load_state_dict(weights)
        self.network.eval()
        self.positions = meta["positions"]

    def tensor(self, path: Path, boxes: Any) -> torch.Tensor:
        stored = self.preprocess.framing.store(decode(path), boxes)
        return self.preprocess(torch.from_numpy(stored[None]))

    @torch.inference_mode()
    def logits(self, path: Path, boxes: Any) -> torch.Tensor:
        return self.network(self.tensor(path, boxes))[0]

    def loss(self, folder: Path, rows: list[Row]) -> float:
        """The mean over images and positions, of files that are loaded one by one."""
        losses = []
        for name, label, boxes in rows:
            target = torch.tensor([*label, *[10] * (self.positions - len(label))])
            losses.append(functional.cross_entropy(self.logits(folder / name, boxes), target).item())
        return float(np.mean(losses))


def tensor_of(digits: Digits, index: int, preprocess: Preprocess) -> torch.Tensor:
    return preprocess(torch.from_numpy(np.array(digits.images[index : index + 1])))


@pytest.mark.parametrize("crop", ["whole", "boxes"])
def test_a_photograph_becomes_the_same_tensor_in_every_part_and_alone(
    folder: Path, full: dict[str, list[Row]], capsys: pytest.CaptureFixture[str], crop: str
) -> None:
    size = [f"data.crop={crop}", "data.height=12", "data.width=20"]
    run = folder / svhn(capsys, "train", *FULL, *SMALL, *size)["run_dir"]
    predictor = Predictor(run)
    cache = Cache(default_root())
    data = load(folder / "full", predictor.preprocess.framing, extra="val", cache=cache)
    alone = predictor.tensor(folder / "full" / "test" / "1.png", full["test"][0][2])
    assert alone.shape == (1, 3, 12, 20)
    for part in (data.train, data.val, data.test):
        assert torch.equal(tensor_of(part, 0, predictor.preprocess), alone)

    with (run / "val_predictions.csv").open(newline="") as file:
        predicted = list(csv.DictReader(file))
    assert [row["name"] for row in predicted] == [f"extra/{name}" for name, _, _ in full["extra"]]
    for row, (name, _, boxes) in zip(predicted, full["extra"], strict=True):
        expected = predictor.logits(folder / "full" / "extra" / name, boxes).softmax(-1)
        actual = [float(row[f"p{i}_{k}"]) for i in range(predictor.positions) for k in range(11)]
        np.testing.assert_allclose(actual, expected.ravel().numpy(), atol=2e-6)


def test_the_losses_of_train_and_eval_are_those_of_single_files(
    folder: Path, full: dict[str, list[Row]], capsys: pytest.CaptureFixture[str]
) -> None:
    summary = svhn(capsys, "train", *FULL, *SMALL, "data.height=12", "data.width=20")
    run = folder / summary["run_dir"]
    predictor = Predictor(run)
    for part, name in (("val", "extra"), ("test", "test"), ("train", "train")):
        expected = pytest.approx(predictor.loss(folder / "full" / name, full[name]), rel=1e-5)
        assert summary[part]["loss"] == expected
        assert svhn(capsys, "eval", str(run), f"part={part}")[part]["loss"] == expected


@pytest.mark.usefixtures("full")
def test_other_data_is_framed_by_the_checkpoint_and_not_by_the_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = svhn(capsys, "train", *FULL, *SMALL, "data.height=12", "data.width=20")["run_dir"]
    words = ["data=svhn_full", "data.root=full", "data.download=false"]
    own, elsewhere = svhn(capsys, "eval", run), svhn(capsys, "eval", run, *words)
    assert elsewhere["test"]["loss"] == own["test"]["loss"]
    for other in ("data.height=30", "data.crop=whole", "data.widen=1.5", "data.jitter=0.5"):
        assert cli.main(["eval", run, *words, other]) == 2
        assert f"{other}: the network was trained with" in " ".join(capsys.readouterr().err.split())


# ----------------------------------------------------------------------------- from the command line


def test_an_mchar_run_is_trained_evaluated_and_resumed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, n in (("train", 40), ("val", 10)):
        write_mchar(folder / "data" / "mchar", part, n, n)
    words = ["data=mchar", "split=official", "data.height=16", "data.width=32", *SMALL, "model=cnn"]
    assert cli.main(["train", *words]) == 0
    header = capsys.readouterr().err
    assert "mchar: 40 training, 10 validation images, 16x32" in header
    lengths = np.bincount([len(label) for _, label, _ in rows(40, 40)])[1:]
    assert "lengths  " + "  ".join(f"{i}: {n}" for i, n in enumerate(lengths, 1)) in header
    assert svhn(capsys, "eval", "latest", "part=val")["val"]["n"] == 10
    assert svhn(capsys, "train", "--resume", "epochs=3")["last"]["epoch"] == 3
    assert cli.main(["eval", "latest"]) == 3
    assert "mchar has no test part" in capsys.readouterr().err


def test_folds_hold_numbers_of_every_length(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = write_mchar(folder / "data" / "mchar", "train", 60, 0)
    summary = svhn(
        capsys,
        "train",
        "data=mchar",
        "split=kfold",
        "jobs=1",
        "split.k=3",
        *SMALL,
        "data.height=8",
        "data.width=16",
    )
    assert len(summary["folds"]) == 3
    lengths = np.array([len(label) for _, label, _ in labels])
    counts = []
    for fold in range(3):
        split = json.loads((folder / summary["run_dir"] / f"fold{fold}" / "split.json").read_text())
        counts.append(np.bincount(lengths[split["val"]], minlength=4))
    assert np.ptp(counts, axis=0).max() <= 1


def write_folder(root: Path, labels: list[str]) -> None:
    rows = [(f"{i}.png", tuple(map(int, label)), ((1.0, 1.0, 9.0, 9.0),)) for i, label in enumerate(labels)]
    for name, label, boxes in rows:
        write_images(root, [(name, label[:1], boxes)], 0)
    lines = [f"{name},{label}" for (name, _, _), label in zip(rows, labels, strict=True)]
    (root / "labels.csv").write_text("\n".join(["file,label", *lines, ""]))


def test_shorter_numbers_are_padded_and_longer_ones_refused(
    folder: Path, full: dict[str, list[Row]], capsys: pytest.CaptureFixture[str]
) -> None:
    run = svhn(capsys, "train", *FULL, *SMALL, "data.crop=whole")["run_dir"]
    write_folder(folder / "short", ["7", "0"])
    assert svhn(capsys, "eval", run, "data=folder", "data.root=short", "part=train")["train"]["n"] == 2
    write_folder(folder / "long", ["7", "00712"])
    assert cli.main(["eval", run, "data=folder", "data.root=long", "part=train"]) == 3
    assert "numbers of 5 digits; the network predicts at most 3" in capsys.readouterr().err


def damage_image(root: Path) -> None:
    (root / "mchar_train" / "000003.png").write_bytes(b"x")


def remove_image(root: Path) -> None:
    (root / "mchar_train" / "000003.png").unlink()


def cut_labels(root: Path) -> None:
    path = root / "mchar_train.json"
    path.write_text(path.read_text()[:-40])


def remove_labels(root: Path) -> None:
    (root / "mchar_train.json").unlink()


@pytest.mark.parametrize("damage", [damage_image, remove_image, cut_labels, remove_labels])
def test_bad_data_ends_the_command_with_one_message_and_code_3(
    folder: Path, spawn: Callable[..., Forked], damage: Callable[[Path], None]
) -> None:
    write_mchar(folder / "data" / "mchar", "train", 5, 0)
    damage(folder / "data" / "mchar")
    process = spawn("train", "data=mchar", f"cache={folder}/cache", *SMALL, cwd=folder)
    _, err = process.communicate()
    assert process.returncode == 3
    assert err.count("svhn: error:") == 1
    assert "hint:" in err
    assert "Traceback" not in err
    assert leftovers(folder / "cache") == []
    assert not list(folder.glob("outputs/train/*/config.yaml"))


def test_broken_images_are_skipped_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mchar(folder / "data" / "mchar", "train", 30, 0)
    damage_image(folder / "data" / "mchar")
    words = ["data=mchar", "data.skip_broken=true", *SMALL, "data.height=8", "data.width=16"]
    assert cli.main(["train", *words]) == 0
    err = capsys.readouterr().err
    assert "29 training" in err
    assert "1 of 30 images of the train part cannot be read and are left out: mchar_train/000003.png" in err


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_trained_network_computes_in_the_precision_of_its_run(precision: str) -> None:
    config = TrainConfig(device="cpu", precision=precision)
    assert [trained.machine(device, "auto", config).precision for device in ("auto", "cpu")] == [
        precision
    ] * 2
