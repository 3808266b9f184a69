"""Every choice under conf/ composes, and the registry builds its object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from svhncli import registry
from svhncli.cli import catalog
from svhncli.cli.hydra_app import VERSION_BASE
from svhncli.config.loading import from_dict
from svhncli.config.presets import conf_dir
from svhncli.config.verbs.training import TrainConfig
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits, NumberedNames
from svhncli.registry import sources


def config(*overrides: str) -> TrainConfig:
    with initialize_config_dir(str(conf_dir()), **VERSION_BASE):
        values: Any = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    return from_dict(TrainConfig, values)


def choices(group: str) -> list[str]:
    return list(catalog.choices(group))


def digits(n: int = 40) -> Digits:
    return Digits(
        np.zeros((n, 3, 32, 32), np.uint8), np.arange(n)[:, None] % 10, np.arange(n), NumberedNames("x", n)
    )


@pytest.mark.parametrize("name", choices("model"))
def test_a_model_accepts_images(name: str) -> None:
    built = registry.model(config(f"model={name}").model, (3, 32, 32), 1, 10, 0.1)
    assert built.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 1, 10)


def test_a_resnet_has_the_depth_in_its_name() -> None:
    with torch.device("meta"):
        built = [
            registry.model(config(f"model=resnet{depth}").model, (3, 32, 32), 1, 10, 0)
            for depth in (18, 34, 50)
        ]
    layers = [
        sum(isinstance(m, torch.nn.Conv2d) and m.kernel_size != (1, 1) for m in model.modules())
        for model in built
    ]
    assert layers == [1 + 16, 1 + 32, 1 + 16]  # in ResNet-50, the middle convolution of each bottleneck


@pytest.mark.parametrize("name", choices("optim"))
def test_an_optimizer_has_the_configured_lr(name: str) -> None:
    train_config = config(f"optim={name}")
    built = registry.optimizer(train_config.optim, torch.nn.Linear(2, 2), train_config.lr)
    assert {group["lr"] for group in built.param_groups} == {train_config.lr}


@pytest.mark.parametrize("name", choices("schedule"))
def test_a_schedule_gives_a_factor(name: str) -> None:
    built = registry.schedule(config(f"schedule={name}", "schedule.warmup=1").schedule, 10)
    assert all(0 <= built.factor(step, 100) <= 1 for step in range(100))


@pytest.mark.parametrize("name", choices("split"))
def test_a_split_gives_folds(name: str) -> None:
    data = DataSet("x", digits(200), "x", val=digits(20))
    assert registry.folds(config(f"split={name}").split, data, 0)


@pytest.mark.parametrize(
    ("val", "limit", "sizes"), [(30, 50, (50, 10, 10)), (4, 50, (50, 4, 10)), (4, 200, (90, 4, 20))]
)
def test_a_limit_takes_evenly_spaced_images_of_the_parts_that_are_larger(
    val: int, limit: int, sizes: tuple[int, int, int]
) -> None:
    data = sources.limited(DataSet("x", digits(90), "x", test=digits(20), val=digits(val)), limit)
    assert data.val is not None
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == sizes
    gaps = np.diff(data.train.groups)
    assert data.train.groups[0] == 0
    assert data.train.groups[-1] == 89
    assert gaps.max() - gaps.min() <= 1
    assert (data.fingerprint == "x") == (sizes == (90, val, 20))


@pytest.mark.parametrize("name", choices("reg"))
def test_a_regularization_augments(name: str) -> None:
    built = registry.augment(config(f"reg={name}").reg.augment)
    assert built(torch.rand(2, 3, 32, 32), 1).shape == (2, 3, 32, 32)
