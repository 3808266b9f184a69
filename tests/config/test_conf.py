"""conf/ and the config dataclasses agree: names, defaults, and a comment on every key."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from svhncli.cli import catalog
from svhncli.cli.hydra_app import VERSION_BASE, register
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.groups.data import SvhnConfig
from svhncli.config.groups.reg import RegConfig
from svhncli.config.loading import from_dict
from svhncli.config.presets import conf_dir
from svhncli.config.verbs import VERBS
from svhncli.config.verbs.training import TrainConfig
from svhncli.config.words import overrides, word

CONF = conf_dir()
FILES = sorted(CONF.rglob("*.yaml"))
LISTED = [(group, choice) for group in catalog.defaults("train") for choice in catalog.choices(group)]
LR = {"sgd": 0.05, "adam": 3e-4, "adamw": 1e-3, "rmsprop": 3e-4, "muon": 0.01}


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    register()
    with initialize_config_dir(str(CONF), **VERSION_BASE):
        yield


@functools.cache
def composed(verb: str, *words: str) -> Any:
    """The config dataclass that a command line composes."""
    values = OmegaConf.to_container(compose(verb, list(words)), resolve=True)
    config = from_dict(VERBS[verb].config, values)
    rules.validate(config)
    return config


def name_of(path: Path) -> str:
    return path.relative_to(CONF).with_suffix("").as_posix()


@pytest.mark.parametrize(("group", "choice"), LISTED)
def test_every_choice_composes_and_has_the_defaults_of_its_dataclass(group: str, choice: str) -> None:
    config = composed("train", f"{group}={choice}")
    if choice in CHOICES.get(group, {}):
        assert getattr(config, group) == CHOICES[group][choice]()


def test_reg_none_has_the_defaults_of_its_dataclass() -> None:
    assert asdict(composed("train", "reg=none").reg) == asdict(RegConfig()) | {"name": "none"}


NEEDED = {
    "inspect": ["data=tiny"],
    "convert": ["data=tiny"],
    "compare": ["runs=[x]"],
    "predict": ["paths=[x]"],
}
"""Words without which a verb refuses its config."""


@pytest.mark.parametrize("verb", VERBS)
def test_the_root_keys_and_their_dataclass_have_the_same_defaults(verb: str) -> None:
    keys = list(catalog.walk(VERBS[verb].config))
    plain = catalog.plain_keys(verb)
    words = [f"{key.path}=x" for key in keys if key.path in plain and key.default == rules.UNSET]
    config = composed(verb, *words, *NEEDED.get(verb, ()))
    given = {word.partition("=")[0] for word in NEEDED.get(verb, ())}
    for key in keys:
        if key.default != rules.UNSET and key.path not in {*catalog.defaults(verb), *given}:
            assert attrgetter(key.path)(config) == key.default, key.path


@pytest.mark.parametrize(("optim", "lr"), LR.items())
def test_each_optimizer_has_its_default_lr(optim: str, lr: float) -> None:
    assert composed("train", f"optim={optim}").lr == lr


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_key_is_explained_beside_it(path: Path) -> None:
    in_defaults = False
    for line in path.read_text(encoding="utf-8").splitlines():
        in_defaults = line == "defaults:" or (in_defaults and line.startswith(" "))
        key = re.match(r"\s*[\w.]+:\s*\S", line)
        assert in_defaults or not key or re.search(r"\s# \w", line), line


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_begins_with_a_description(path: Path) -> None:
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    assert any("@package" not in line for line in comments[:2])


def keys_of_choice(path: Path) -> tuple[set[str], set[str]]:
    """The keys that a choice's file writes out, and those of its dataclass."""
    group = path.parent.name
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    own = values["optim"] if group == "optim" else values
    kind = RegConfig if group == "reg" else CHOICES[group][own.pop("name")]
    written = {name for name in rules.flat(own) if name != "name"}
    return written, {key.path for key in catalog.walk(kind)}


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name in CHOICES], ids=name_of)
def test_a_choice_file_writes_out_every_key_of_its_dataclass(path: Path) -> None:
    written, declared = keys_of_choice(path)
    assert written == declared


def test_a_choice_file_that_lacks_a_key_is_detected(tmp_path: Path) -> None:
    incomplete = tmp_path / "model" / "cnn.yaml"
    incomplete.parent.mkdir()
    incomplete.write_text(
        re.sub("^depth:.*\n", "", (CONF / "model/cnn.yaml").read_text(), flags=re.MULTILINE)
    )
    written, declared = keys_of_choice(incomplete)
    assert declared - written == {"depth"}


def test_an_lr_on_the_command_line_wins() -> None:
    assert composed("train", "optim=sgd", "lr=0.125").lr == 0.125


def test_debug_fast_is_short_and_yields_to_the_command_line() -> None:
    config = composed("train", "debug=fast")
    assert (config.epochs, config.data.limit) == (2, 1000)
    assert composed("train", "debug=fast", "epochs=3").epochs == 3
    assert type(composed("train", "debug=fast", "data=svhn").data) is SvhnConfig


def test_a_recipe_changes_the_data_that_it_was_measured_with_and_no_other() -> None:
    assert composed("train", "experiment=digits").data.n_train == 100_000
    assert composed("train", "experiment=digits", "data=tiny").data.n_train == 1000
    assert composed("train", "experiment=digits", "data.n_train=50").data.n_train == 50
    assert composed("train", "experiment=svhn_wrn16_8", "data=mix").data.extra == "train"


def test_no_config_can_name_code_to_run() -> None:
    for path in FILES:
        assert "_target_" not in path.read_text(encoding="utf-8")


def test_the_default_choices_are_those_of_the_defaults_list() -> None:
    config = composed("train")
    for group, choice in catalog.defaults("train").items():
        if group in ("data", "split", "model", "optim", "schedule", "reg"):
            assert getattr(config, group).name == choice


@pytest.mark.parametrize("experiment", catalog.choices("experiment"))
def test_the_words_of_a_config_compose_it_without_its_recipe(experiment: str) -> None:
    config = rules.to_dict(composed("train", f"experiment={experiment}"))
    words = overrides(config, "train", [*catalog.defaults("train"), *TrainConfig.__dataclass_fields__])
    assert not any(text.startswith("experiment") for text in words)
    assert rules.to_dict(composed("train", *words)) == config


@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(st.text(), max_size=3)
    | st.text()
)
def test_a_value_comes_back_from_its_word(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides([word("key", value)])
    assert override.value() == value
    assert type(override.value()) is type(value)
