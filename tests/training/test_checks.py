"""`svhn check`: every check catches its breakage, and intact training passes every check."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from conftest import write_mat
from torch import nn

from svhncli import registry
from svhncli.cli import main as cli
from svhncli.commands.check import RESULT
from svhncli.config.groups.data import SynthConfig
from svhncli.config.groups.model import CnnConfig
from svhncli.config.groups.optim import AdamConfig
from svhncli.config.groups.reg import AugmentConfig, RegConfig
from svhncli.config.groups.schedule import CosineConfig
from svhncli.config.groups.split import HoldoutConfig, KfoldConfig
from svhncli.config.verbs.training import CheckConfig, MeasuresConfig
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits, NumberedNames
from svhncli.data.split import Fold
from svhncli.engine import device, forward, optimizers, step
from svhncli.engine.batches import Batch, Batches
from svhncli.engine.tally import Tally
from svhncli.report.terminal import Show
from svhncli.training.checks import learning, loop
from svhncli.training.checks.bench import Bench
from svhncli.training.checks.suite import CHECKS

pytestmark = pytest.mark.usefixtures("quick_checks")  # these images are learned sooner than photographs

Patch = pytest.MonkeyPatch


def bars(count: int, seed: int) -> Digits:
    """A short bar, whose row shows the class; as it is brighter or darker than the noise, no linear model
    learns it."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 10, count)
    images = draw.integers(96, 160, (count, 3, 32, 32)).astype(np.uint8)
    for image, label, left in zip(images, labels, draw.integers(0, 16, count), strict=True):
        image[:, 3 * label + 1 : 3 * label + 3, left : left + 16] = draw.choice([0, 255])
    return Digits(images, labels[:, None], np.arange(count), NumberedNames("bar", count))


@pytest.fixture
def config() -> CheckConfig:
    return CheckConfig(
        lr=0.003,
        batch_size=32,
        device="cpu",
        precision="fp32",
        threads=1,
        data=SynthConfig(),
        split=HoldoutConfig(),
        model=CnnConfig(width=0.25),
        optim=AdamConfig(),
        schedule=CosineConfig(),
        reg=RegConfig(dropout=0.1, augment=AugmentConfig(translate=0.03, brightness=0.1)),
        check=MeasuresConfig(delta=0.15, steps=60),
    )


def bench_of(config: CheckConfig, folder: Path, fold: Fold | None = None) -> Bench:
    """A bench of 1,000 training and 600 validation images."""
    fold = fold or Fold("holdout", np.arange(1000), np.arange(1000, 1600))
    data = DataSet("bars", bars(1600, 0), "bars")
    return Bench(config, device.resolve("cpu", "fp32", 1), data, [fold], folder, Show())


def failing(
    config: CheckConfig, folder: Path, fold: Fold | None = None, names: Collection[str] = tuple(CHECKS)
) -> set[str]:
    """The checks of `names` that fail."""
    small = bench_of(config, folder, fold)
    return {name for name in names if not CHECKS[name](small).passed}


def with_neighbors(caught: Collection[str]) -> list[str]:
    """The checks that must fail, the one before the first of them and the one after the last."""
    places = [place for place, name in enumerate(CHECKS) if name in caught]
    names = list(CHECKS)
    return [*{names[place % len(names)]: None for place in (places[0] - 1, *places, places[-1] + 1)}]


# ----------------------------------------------------------------------------- breakages


class Wrapped(nn.Module):
    """A network with changed images and changed logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.passes = 0

    def before(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def after(self, logits: torch.Tensor) -> torch.Tensor:
        return logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.after(self.network(self.before(images)))


class Small(Wrapped):
    def after(self, logits: torch.Tensor) -> torch.Tensor:
        return logits / 100


class Clipped(Wrapped):
    def after(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.clamp(-1, 1)


class Sure(Wrapped):
    def after(self, logits: torch.Tensor) -> torch.Tensor:
        return logits * 8


class Mixing(Wrapped):
    def before(self, images: torch.Tensor) -> torch.Tensor:
        return images - 0.02 * images.mean(0)


class Forgetful(Wrapped):
    """Its steps are counted beside the state dict."""

    def after(self, logits: torch.Tensor) -> torch.Tensor:
        self.passes += self.training
        return logits * (1 + 1e-3 * self.passes) if self.passes <= 10 else logits


def of_network(change: Callable[[nn.Module], nn.Module]) -> Callable[[Patch], None]:
    def sabotage(patch: Patch) -> None:
        original = registry.model
        patch.setattr(registry, "model", lambda *words, **more: change(original(*words, **more)))

    return sabotage


def freeze_a_layer(network: nn.Module) -> nn.Module:
    layers = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    next(layers, nn.Identity()).requires_grad_(False)
    return network


def start_anywhere(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        next(network.parameters()).add_(1e-4 * np.random.default_rng().standard_normal())
    return network


def resize_val(patch: Patch) -> None:
    original = forward.logits

    def small(model: nn.Module, images: torch.Tensor, *more: object) -> torch.Tensor:
        return original(model, nn.functional.avg_pool2d(images.float(), 2).to(torch.uint8), *more)

    patch.setattr(forward, "logits", small)


def sum_the_loss(patch: Patch) -> None:
    original = step.objective
    patch.setattr(
        step, "objective", lambda logits, *more: (1 + torch.is_grad_enabled()) * original(logits, *more)
    )


def mean_of_batch_means(patch: Patch) -> None:
    add, result = Tally.add, Tally.result
    batches: WeakKeyDictionary[Tally, list[float]] = WeakKeyDictionary()

    def note(self: Tally, losses: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        batches.setdefault(self, []).append(float(losses.mean()))
        add(self, losses, logits, labels)

    patch.setattr(Tally, "add", note)
    patch.setattr(Tally, "result", lambda self: replace(result(self), loss=float(np.mean(batches[self]))))


def train_the_head_alone(patch: Patch) -> None:
    patch.setattr(
        optimizers,
        "param_groups",
        lambda network, *_: [{"params": list(network.parameters())[-2:], "weight_decay": 0}],
    )


def write_labels_into_images(patch: Patch) -> None:
    original = Batches.take

    def take(self: Batches, positions: np.ndarray) -> Batch:
        batch = original(self, positions)
        for image, (label,) in zip(batch.images, batch.labels.tolist(), strict=True):
            image[:, 0, 3 * label : 3 * label + 3] = 255
        return batch

    patch.setattr(Batches, "take", take)


def labels_of_others(patch: Patch) -> None:
    original = Batches.take

    def take(self: Batches, positions: np.ndarray) -> Batch:
        batch = original(self, positions)
        return batch._replace(labels=batch.labels.roll(1, 0))

    patch.setattr(Batches, "take", take)


ALSO = {
    "labels of other images": {"capacity", "augmentation"},
    "the label is written into the image": {"learns"},  # a linear model reads it as well
}
"""Checks that the same breakage may fail by chance."""

BREAKAGES: dict[str, tuple[Callable[[Patch], None], set[str]]] = {
    "logits that cannot be large": (of_network(Clipped), {"one batch"}),
    "logits multiplied by 8": (of_network(Sure), {"loss at start"}),
    "the loss counts twice": (sum_the_loss, {"loss at start"}),
    "validation is resized differently": (resize_val, {"one preprocessing"}),
    "the network sees the whole batch": (of_network(Mixing), {"independent samples"}),
    "a frozen layer": (of_network(freeze_a_layer), {"gradients"}),
    "start weights without a seed": (of_network(start_anywhere), {"one seed"}),
    "state beside the state dict": (of_network(Forgetful), {"resume"}),
    "labels of other images": (labels_of_others, {"learns", "one batch", "averages"}),
    "the mean of batch means": (mean_of_batch_means, {"averages"}),
    "the optimizer has the head alone": (train_the_head_alone, {"capacity"}),
    "the label is written into the image": (
        write_labels_into_images,
        {"blank images", "shuffled labels"},
    ),
}


others = pytest.mark.parametrize(
    "others",
    [with_neighbors, pytest.param(lambda _: CHECKS, marks=pytest.mark.full)],
    ids=["neighbors", "all"],
)
"""Checks that must not fail: the neighbors of those that must, or, in the full tier, all others."""
Others = Callable[[Collection[str]], Collection[str]]


@others
@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_breakage_fails_its_checks_and_no_others(
    breakage: str, others: Others, config: CheckConfig, tmp_path: Path, monkeypatch: Patch
) -> None:
    sabotage, caught = BREAKAGES[breakage]
    sabotage(monkeypatch)
    assert failing(config, tmp_path, names=others(caught)) - ALSO.get(breakage, set()) == caught


@others
def test_logits_divided_by_100_are_caught(
    others: Others, config: CheckConfig, tmp_path: Path, monkeypatch: Patch
) -> None:
    of_network(Small)(monkeypatch)  # a tenth of the others' lr: Adam makes up for any factor in time
    allowed = {"one batch", "learns", "capacity"}
    caught = failing(replace(config, lr=3e-4), tmp_path, names=others(allowed))
    assert "one batch" in caught
    assert caught <= allowed


def test_intact_training_passes_every_check(config: CheckConfig, tmp_path: Path) -> None:
    assert not failing(config, tmp_path)


@others
@pytest.mark.parametrize("augment", [AugmentConfig(vflip=True), AugmentConfig(rotate=180)])
def test_an_augmentation_that_changes_digits_is_caught(
    augment: AugmentConfig, others: Others, config: CheckConfig, tmp_path: Path
) -> None:
    caught = {"augmentation"}
    assert failing(replace(config, reg=RegConfig(augment=augment)), tmp_path, names=others(caught)) == caught


@others
def test_images_on_both_sides_of_a_split_are_caught(
    others: Others, config: CheckConfig, tmp_path: Path
) -> None:
    both, caught = Fold("holdout", np.arange(1600), np.arange(1000, 1600)), {"shuffled labels"}
    assert failing(config, tmp_path, both, others(caught)) == caught


@others
def test_a_validation_part_that_cannot_show_the_difference_is_caught(
    others: Others, config: CheckConfig, tmp_path: Path
) -> None:
    few, caught = MeasuresConfig(delta=0.005, steps=60), {"validation size"}
    assert failing(replace(config, check=few), tmp_path, names=others(caught)) == caught


@pytest.mark.parametrize(
    ("split", "fix"),
    [(HoldoutConfig(), "split.fraction, or split=kfold"), (KfoldConfig(), "collect more images")],
)
def test_the_fix_for_few_validation_images_is_not_in_the_config_already(
    config: CheckConfig, split: HoldoutConfig | KfoldConfig, fix: str, tmp_path: Path
) -> None:
    result = loop.validation_size(bench_of(replace(config, split=split), tmp_path))
    assert fix in str(result.fix)


@pytest.fixture
def words(folder: Path) -> list[str]:
    """`svhn check` on a few images in the current folder."""
    for part, count, seed in (("train", 300, 0), ("test", 60, 1)):
        write_mat(folder / "d", part, count, seed)
    data = ["data=svhn", "data.root=d", "data.check_md5=false", "data.download=false"]
    return ["check", *data, "check.steps=20", "threads=1", "precision=fp32"]


def test_the_command_writes_its_results_and_exits_8_if_a_check_fails(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "model.width=0.25", "batch_size=32", "check.delta=0.001"]) == 8
    err = capsys.readouterr().err
    result = json.loads((folder / "outputs/check" / RESULT).read_text())
    assert [check["name"] for check in result["checks"]] == list(CHECKS)
    assert not result["passed"]
    assert "FAIL  validation size" in err
    assert "Traceback" not in err
    assert (folder / "outputs/check/augmented.png").is_file()
    assert result["data"] == "svhn"
    assert result["fingerprint"]


def test_a_loss_that_is_not_finite_fails_a_check_and_not_the_command(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "optim=sgd", "lr=1e30"]) == 8
    assert "Traceback" not in capsys.readouterr().err
    result = json.loads((folder / "outputs/check" / RESULT).read_text())
    assert "finite" in next(check for check in result["checks"] if check["name"] == "one batch")["expected"]


def test_every_check_has_a_breakage_that_it_catches() -> None:
    caught = set().union(*(names for _, names in BREAKAGES.values()))
    assert {*CHECKS} - caught == {"validation size", "augmentation"}  # whose breakages are configs, below


def test_the_guessing_baseline_is_over_all_positions(config: CheckConfig, tmp_path: Path) -> None:
    """Most last positions of whole numbers are blank: alone, they would be guessed far too well."""
    digits = bars(400, 1)
    labels = np.concatenate([digits.labels, np.full_like(digits.labels, 10)], 1)
    fold = Fold("holdout", np.arange(300), np.arange(300, 400))
    data = DataSet("bars", replace(digits, labels=labels), "bars")
    small = Bench(config, device.resolve("cpu", "fp32", 1), data, [fold], tmp_path, Show())
    commonest = np.bincount(small.data.train.labels[small.fold.val, 0]).max() / 100
    assert (
        f"guessing by frequency {small.guessing(small.fold.val).mean():.3f} ({(1 + commonest) / 2:.1%})"
        in (CHECKS["learns"](small).measured)
    )


def test_the_linear_model_is_trained_well_whatever_the_lr_of_the_network(
    config: CheckConfig, tmp_path: Path
) -> None:
    rows = bars(1600, 0)
    labels = rows.labels[:, 0]
    images = np.full((1600, 3, 32, 32), 96, np.uint8)
    images[np.arange(1600), :, 3 * labels + 1] = 160  # a row of pixels shows the class
    data = DataSet("rows", replace(rows, images=images), "rows")
    fold = Fold("holdout", np.arange(1000), np.arange(1000, 1600))
    slow = replace(config, lr=1e-7)
    result = learning.learns(Bench(slow, device.resolve("cpu", "fp32", 1), data, [fold], tmp_path, Show()))
    accuracy = re.search(r"a linear model [\d.]+ \(([\d.]+)%\)", result.measured)
    assert accuracy is not None
    assert float(accuracy[1]) > 90, result.measured
    assert not result.passed
