"""Real and rendered images in a batch: how many of each, which ones, and validation on real ones only."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_mat
from hypothesis import given
from hypothesis import strategies as st

from svhncli.cli import main as cli
from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits, NumberedNames
from svhncli.data.sources import svhn
from svhncli.data.sources.mix import add_rendered
from svhncli.data.store.cache import Cache
from svhncli.engine.batches import Batches, Passes, TrainingImages, batch_bounds, training_images
from svhncli.runs import checkpoint

CPU = torch.device("cpu")
RENDERED = 10_000
"""Labels are the images' numbers here; those of rendered ones begin at this."""


def digits(count: int, first: int = 0) -> Digits:
    numbers = np.arange(first, first + count)
    return Digits(np.zeros((count, 3, 1, 1), np.uint8), numbers[:, None], numbers, NumberedNames("x", count))


def epoch_of(training: TrainingImages, seed: int, epoch: int, batch_size: int) -> list[list[int]]:
    """The numbers of the images in each batch of an epoch."""
    take = training.of_epoch(seed, epoch)
    bounds = batch_bounds(len(training), batch_size).tolist()
    return [take(start, stop)[1][:, 0].tolist() for start, stop in itertools.pairwise(bounds)]


@given(
    real=st.integers(1, 200),
    extra=st.integers(1, 200),
    share=st.floats(0, 0.9),
    batch_size=st.integers(1, 70),
    epoch=st.integers(0, 5),
)
def test_every_real_image_trains_once_per_epoch_and_each_batch_has_its_share(
    real: int, extra: int, share: float, batch_size: int, epoch: int
) -> None:
    data = DataSet("x", digits(real), "x", extra_train=digits(extra, RENDERED), share=share)
    with training_images(data, np.arange(real), 1, CPU) as training:
        batches = epoch_of(training, 0, epoch, batch_size)
    assert sorted(n for batch in batches for n in batch if n < RENDERED) == list(range(real))
    rendered = [sum(n >= RENDERED for n in batch) for batch in batches]
    assert abs(sum(rendered) - share * sum(map(len, batches))) <= 0.5 + 1e-9
    actual = sum(rendered) / sum(map(len, batches))
    assert all(abs(n - actual * len(batch)) < 1 for n, batch in zip(rendered, batches, strict=True))


@given(size=st.integers(1, 60), count=st.integers(1, 150), epochs=st.integers(1, 6))
def test_rendered_images_are_used_equally_often(size: int, count: int, epochs: int) -> None:
    passes = Passes(Batches(digits(size), np.arange(size), CPU), count)
    used = Counter(dict.fromkeys(range(size), 0))
    for epoch in range(epochs):
        used.update(n for batch in epoch_of(passes, 3, epoch, 16) for n in batch)
        assert max(used.values()) - min(used.values()) <= 1
    assert used.total() == epochs * count


def test_an_epochs_images_do_not_depend_on_earlier_epochs() -> None:
    data = DataSet("x", digits(50), "x", extra_train=digits(30, RENDERED), share=0.5)
    with training_images(data, np.arange(50), 4, CPU) as training:
        epochs = [epoch_of(training, 0, epoch, 16) for epoch in range(4)]
    with training_images(data, np.arange(50), 4, CPU) as fresh_training:
        assert epoch_of(fresh_training, 0, 2, 16) == epochs[2]
        assert epoch_of(fresh_training, 1, 2, 16) != epochs[2]
    assert epochs[0] != epochs[1]


def test_images_and_labels_stay_together() -> None:
    draw = np.random.default_rng(0)

    def part(first: int) -> Digits:
        images = draw.integers(0, 256, (40, 3, 2, 2), np.uint8)
        images[:, 0, 0, 0] = np.arange(first, first + 40)
        numbers = np.arange(first, first + 40)
        return Digits(images, numbers[:, None], numbers, NumberedNames("x", 40))

    data = DataSet("x", part(0), "x", extra_train=part(100), share=0.3)
    with training_images(data, np.arange(0, 40, 2), 1, CPU) as training:
        images, labels, _ = training.of_epoch(0, 0)(0, len(training))
    assert images[:, 0, 0, 0].tolist() == labels[:, 0].tolist()


def test_the_fingerprint_covers_both_parts_and_validation_images_are_real(tmp_path: Path) -> None:
    for part, seed in (("train", 0), ("test", 1)):
        write_mat(tmp_path / "d", part, 40, seed)
    cache = Cache(tmp_path / "cache")
    real = svhn.load(tmp_path / "d", check_md5=False, cache=cache)
    variants = [{}, {"seed": 1}, {"n_rendered": 30}, {"share": 0.0}]
    mixes = [
        add_rendered(real, **{"share": 0.5, "n_rendered": 20, "seed": 0, "cache": cache} | variant)
        for variant in variants
    ]
    assert len({data.fingerprint for data in mixes}) == len(variants)
    assert mixes[3].fingerprint == real.fingerprint
    assert all(data.train is real.train and data.test is real.test for data in mixes)
    assert mixes[0].extra_train is not None
    assert mixes[0].extra_train.shape == real.train.shape
    assert (len(mixes[2].extra_train or ()), mixes[3].extra_train) == (30, None)


def test_an_image_size_that_cannot_be_rendered_is_refused(tmp_path: Path) -> None:
    small = DataSet("svhn", digits(20), "x")
    with pytest.raises(DataError, match="are 1x1"):
        add_rendered(small, share=0.5, n_rendered=20, seed=0, cache=Cache(tmp_path))
    assert add_rendered(small, share=0.0, n_rendered=20, seed=0, cache=Cache(tmp_path)).train is small.train


# ----------------------------------------------------------------------------- on the command line

SMALL = ["data.root=d", "data.check_md5=false", "threads=1", "device=cpu", "epochs=2", "batch_size=32"]


@pytest.fixture
def data_folder(folder: Path) -> Path:
    """A current folder with files in the official layout in `d`."""
    for part, count, seed in (("train", 120, 0), ("test", 30, 1)):
        write_mat(folder / "d", part, count, seed)
    return folder


def train(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[dict[str, Any], str]:
    code = cli.main(["train", "--json", *SMALL, *args])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out), err


def test_a_mixed_run_reports_its_parts_and_validates_on_real_images(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["data=mix", "data.n_rendered=50", "model=linear", "split=kfold", "jobs=1", "split.k=3"]
    summary, err = train(capsys, *args, "data.share=0.25")
    assert "mix: 120 real + 50 rendered training, 30 test images" in err
    assert "25% of each batch is rendered" in err
    for fold in summary["folds"]:
        n = fold["n_train"]
        assert f"{n} train with {round(n / 3)} rendered ones per epoch, {120 - n} validate" in err
    with (Path(summary["run_dir"]) / "oof_predictions.csv").open(newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert sorted(names) == sorted(f"train/{i}" for i in range(120))
    assert summary["test"]["n"] == 30
    assert cli.main(["eval", summary["run_dir"], "part=val", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["val"]["n"] == summary["folds"][0]["n_val"]


def test_a_share_of_one_half_is_reported_in_words(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["data=mix", "data.n_rendered=20", "model=linear", "epochs=1"]
    _, err = train(capsys, *args)
    assert "half of each batch is rendered" in err


def test_a_share_of_0_is_bit_identical_to_the_real_data(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def bits(*args: str) -> list[Any]:
        summary, _ = train(capsys, *args, "model=cnn", "model.width=0.25", "reg=strong")
        run = Path(summary["run_dir"])
        digest = checkpoint.digest(checkpoint.load(run / "last.pt")["state"])
        return [digest, *((run / name).read_bytes() for name in ("metrics.csv", "val_predictions.csv"))]

    real = bits("data=svhn")
    assert bits("data=mix", "data.share=0") == real
    assert bits("data=mix", "data.share=0.3", "data.n_rendered=20") != real


def test_a_share_of_1_is_refused(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "data=mix", "data.share=1"]) == 2
    assert "data.share=1.0: must be 0 or more, below 1" in capsys.readouterr().err
