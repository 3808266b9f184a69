"""A user's module adds a model and a metric without a change to svhn."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from svhncli.cli import completion
from svhncli.cli import main as cli

PLUGIN = '''
from dataclasses import dataclass

from torch import nn

from svhncli.config.declare import choice
from svhncli.config.groups.model import NetworkConfig
from svhncli.config.rules import key
from svhncli.stats.metrics import Metric, register


@choice("model", builds="my_parts:Tiny")
@dataclass
class TinyConfig(NetworkConfig):
    """One linear layer on a pooled image."""

    name: str = key("tiny_net", "the network")
    side: int = key(4, "side of the pooled image", low=1)


class Tiny(nn.Module):
    def __init__(self, in_shape, positions, classes, *, side, dropout):
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(in_shape[0] * side * side, positions * classes)
        self.shape = (positions, classes)

    def forward(self, images):
        return self.head(self.body(images)).unflatten(1, self.shape)


def certainty(labels, probabilities):
    return float(probabilities.max(-1).mean())


register(Metric("val_certainty", higher_is_better=True, format="percent", compute=certainty))
'''
SMALL = ["data.n_train=200", "data.n_test=40", "threads=1", "device=cpu", "report=false"]
MINE = ["plugins=[my_parts]", "model=tiny_net", "model.side=3", "metric=val_certainty"]


@pytest.fixture(autouse=True)
def my_parts(plugin: Callable[[str, str], None]) -> None:
    """A folder from which `plugins=[my_parts]` is imported."""
    plugin("my_parts", PLUGIN)


def test_a_model_and_a_metric_of_a_plugin_train_and_are_evaluated(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "hydra.run.dir=run", *SMALL, *MINE, "epochs=2", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["parameters"] == 3 * 9 * 10 + 10
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert summary["best"]["val_certainty"] == max(float(row["val_certainty"]) for row in rows)
    assert cli.main(["train", "--resume", "run", "plugins=[my_parts]", "epochs=3", "--json"]) == 0
    assert cli.main(["eval", "run", "plugins=[my_parts]", "--json"]) == 0


def test_help_and_completion_list_the_parts_of_a_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help", "plugins=[my_parts]"]) == 0
    text = capsys.readouterr().out
    assert "model=tiny_net     One linear layer on a pooled image" in text
    assert "val_accuracy|val_loss|val_certainty" in text
    offered = completion.candidates(["train", "metric="], cli.FLAGS, cli.SHORT, cli.VALUES)
    assert offered == ["metric=val_accuracy", "metric=val_loss", "metric=val_certainty"]


def test_a_key_that_a_plugin_declares_as_a_plain_field_is_listed_too(
    plugin: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = PLUGIN.replace('side: int = key(4, "side of the pooled image", low=1)', "side: int = 4")
    assert plain != PLUGIN
    plugin("my_parts", plain)
    assert cli.main(["train", "--help", "plugins=[my_parts]"]) == 0
    assert "model.side  4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plugins=[my_parts]", "metric=val_certain"], "did you mean 'val_certainty'?"),
        (["plugins=[my_parts]", "model=tiny_net", "model.side=0"], "model.side=0: must be 1 or more"),
        (["plugins=[my_parts]", "model=tiny_nett"], "did you mean 'tiny_net'?"),
        (["metric=val_certainty"], "must be val_accuracy or val_loss"),
    ],
)
def test_a_mistake_in_a_part_of_a_plugin_gets_the_usual_message(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *words, "--cfg", "job"]) == 2
    assert message in capsys.readouterr().err
