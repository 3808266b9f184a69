"""The config of a run that a stranger made: it is data, and stays what is written there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from svhncli.runs import config_yaml

LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


def test_interpolations_and_targets_stay_text_and_numbers_are_omegaconfs() -> None:
    text = "lr: 1e-3\nname: ${oc.env:HOME}\nmodel: {_target_: os.mkdir, path: canary}\n"
    assert config_yaml.plain(text) == {
        "lr": 0.001,
        "name": "${oc.env:HOME}",
        "model": {"_target_": "os.mkdir", "path": "canary"},
    }


@pytest.mark.parametrize("text", [LAUGHS, "a: &a [*a]", "[" * 10_000, "a: 1\na: 2"])
def test_what_would_fill_the_memory_or_is_there_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        config_yaml.plain(text)


def test_a_tag_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        config_yaml.plain(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'canary'}']")
    assert not list(tmp_path.iterdir())
