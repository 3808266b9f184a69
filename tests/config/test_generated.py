"""The files that follow from the config dataclasses are up to date."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from conftest import REPO

from svhncli.cli import catalog
from svhncli.config.choices import CHOICES
from svhncli.config.declare import BUILDS, VERBS, choice
from svhncli.config.rules import key

sys.path.insert(0, str(REPO / "docs"))
import generate

FILES = generate.generated()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(REPO).as_posix())
def test_every_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path]


def test_every_yaml_but_the_logging_is_generated_or_has_generated_comments() -> None:
    by_hand = {*(REPO / "conf").rglob("*.yaml")} - {*FILES}
    rest = {path.relative_to(REPO / "conf").parts[0] for path in by_hand}
    assert rest == {"hydra"}


def test_a_changed_or_missing_file_is_stale(tmp_path: Path) -> None:
    fresh, changed, missing = tmp_path / "fresh", tmp_path / "changed", tmp_path / "missing"
    fresh.write_text("a\n")
    changed.write_text("b\n")
    assert generate.stale(dict.fromkeys((fresh, changed, missing), "a\n")) == [changed, missing]


def test_comments_of_a_recipe_are_written_and_its_values_are_kept(tmp_path: Path) -> None:
    recipe = tmp_path / "experiment" / "mine.yaml"
    recipe.parent.mkdir()
    recipe.write_text(
        "# Mine.\ndefaults:\n  - override /model: mlp\n\nepochs: 3\nmodel:\n  widths: [4]  # old\n"
    )
    text = generate.recipe(recipe)
    assert "\nepochs: 3      # passes over the training set (1 or more)\n" in text
    assert "\n  widths: [4]  # number of units in each hidden layer (1 or more)\n" in text
    assert text.startswith("# Mine.\ndefaults:\n  - override /model: mlp\n\n")


def test_a_preset_keeps_its_values_and_gets_the_keys_that_it_lacks(tmp_path: Path) -> None:
    preset = tmp_path / "reg" / "mine.yaml"
    preset.parent.mkdir()
    preset.write_text("# Mine.\nname: mine\nl1: 1e-5  # old\naugment:\n  rotate: 3\n")
    lines = [" ".join(line.split()) for line in generate.preset(preset).splitlines()]
    assert lines[:2] == ["# Mine.", "name: mine # the preset"]
    assert "l1: 1e-5 # L1 penalty in the loss: l1 * sum |w| (0 or more)" in lines
    assert "rotate: 3 # largest rotation to either side, in degrees (0 or more, at most 180)" in lines
    assert "shear: 0.0 # largest shear, in degrees (0 or more, below 90)" in lines


def test_the_reference_has_every_verb_choice_and_key() -> None:
    text = FILES[REPO / "docs" / "reference.md"]
    for verb in VERBS:
        assert f"\n## svhn {verb}\n" in text
        assert all(f"| `{path}` |" in text for path in catalog.keys(verb))
    for group in catalog.defaults("train"):
        assert all(f"| `{group}={name}` |" in text for name in catalog.choices(group))
    anchors = set(re.findall(r"\]\(#([\w-]+)\)", text))
    headings = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    assert anchors <= {heading.lower().replace(" ", "-") for heading in headings}


def test_every_key_has_a_meaning_in_plain_ascii_and_no_full_stop() -> None:
    for verb in VERBS:
        for path, declared in catalog.keys(verb).items():
            meaning = declared.rule["meaning"]
            assert meaning.isascii(), path
            assert not meaning.endswith("."), path


def test_a_new_choice_is_declared_by_its_dataclass_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHOICES, "model", dict(CHOICES["model"]))

    @dataclass
    class NewConfig:
        """A new network."""

        name: str = key("new", "the network")
        units: int = key(8, "number of units", low=1)

    choice("model", builds="somewhere:New")(NewConfig)
    try:
        assert catalog.choices("model")["new"] == "A new network"
        assert catalog.keys("train")["model.units"].owners == ("new",)
        assert "\nunits: 8   # number of units (1 or more)\n" in generate.choice_file("model", NewConfig)
    finally:
        del BUILDS[NewConfig]


def test_every_choice_except_the_presets_declares_its_implementation() -> None:
    declared = {kind for group, kinds in CHOICES.items() if group != "reg" for kind in kinds.values()}
    assert {kind for kind in declared if kind.__module__.startswith("svhncli.")} == {*BUILDS}
    assert all(item.metadata["meaning"] for kind in declared for item in fields(kind))


def test_a_key_that_no_preset_on_disk_has_yet_is_in_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it has just been declared."""
    conf, reference = tmp_path / "conf", REPO / "docs" / "reference.md"
    shutil.copytree(REPO / "conf", conf)
    for preset in (conf / "reg").glob("*.yaml"):
        lines = preset.read_text(encoding="utf-8").splitlines(keepends=True)
        preset.write_text("".join(line for line in lines if not line.startswith("l0:")), encoding="utf-8")
    monkeypatch.setattr(generate, "CONF", conf)
    assert generate.generated()[reference] == FILES[reference]
