"""YAML that would fill the memory, or run something."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from svhncli.core import bounded_yaml

LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
"""A billion laughs."""
REFUSED = {
    "a billion laughs": (LAUGHS, "more than 100,000 values"),
    "a ring": ("a: &a [*a]\n", "an alias of what it lies in"),
    "deep lists": ("[" * 10_000, "50 levels"),
    "deep keys": ("".join(f"{' ' * n}a:\n" for n in range(200)), "50 levels"),
}


@pytest.mark.fault("YAML whose aliases name 10^9 values", "refused", "2 or 4")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_fill_the_memory_is_refused(kind: str) -> None:
    text, message = REFUSED[kind]
    with pytest.raises(yaml.MarkedYAMLError, match=message):
        bounded_yaml.load(text)


def test_an_alias_is_allowed() -> None:
    assert bounded_yaml.load("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1},
        "b": {"x": 1},
        "c": {"x": 1, "y": 2},
    }


def test_a_tag_runs_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        bounded_yaml.load(f"!!python/object/apply:os.mkdir ['{canary}']")
    assert not canary.exists()
