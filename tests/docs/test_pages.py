"""The files, choices, keys and make targets that the README and docs/ name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import PAGES, REFERENCE, REPO, broken, code_spans, links, name, table_names

from svhncli.cli import catalog

README, DOCS, CONF = REPO / "README.md", REPO / "docs", REPO / "conf"
OTHERS = [REFERENCE, REPO / "CONTRIBUTING.md", REPO / "CHANGELOG.md", REPO / "benchmarks" / "README.md"]
pytestmark = pytest.mark.unit
GROUPS = ("data", "split", "model", "optim", "schedule", "reg")


def choices(group: str) -> set[str]:
    """The choices of a group that are not a preset of another one."""
    files = (CONF / group).glob("*.yaml")
    return {file.stem for file in files if f"\nname: {file.stem} " in file.read_text(encoding="utf-8")}


def keys() -> set[str]:
    """Every key of every group, and `check`'s, written with dots; also those that hold other keys."""
    names = {*catalog.keys("train"), *catalog.keys("check")}
    return names | {name.rpartition(".")[0] for name in names}


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken(page) == []


def test_broken_links_are_detected(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `two`: three-4\n\n# Again\n\n# Again\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#one-two-three-4) [c](other.md#again-1) [d](#here)\n\n# Here\n\n"
        '[e](none.md) [f](other.md#again-2) ![g](none.png) <img src="none.svg"> [h](https://host/page)\n'
        "```sh\n[i](none.md)\n```\n"
    )
    assert broken(page) == ["none.md", "other.md#again-2", "none.png", "https://host/page", "none.svg"]


def test_every_page_is_in_the_index() -> None:
    index = DOCS / "index.md"
    assert {link.partition("#")[0] for link in links(index)} >= {
        page.name for page in DOCS.iterdir() if page.suffix in (".md", ".ipynb") and page != index
    }


@pytest.mark.parametrize(
    ("page", "group"), [("data", "data"), ("splits", "split"), ("train", "model")], ids=str
)
def test_a_table_names_every_choice(page: str, group: str) -> None:
    assert sorted(table_names(DOCS / f"{page}.md", group)) == sorted(choices(group))


def test_every_recipe_is_named() -> None:
    experiments = {file.stem for file in (CONF / "experiment").glob("*.yaml")} - {"none"}
    assert set(table_names(DOCS / "recipes.md", "experiment")) == experiments


@pytest.mark.parametrize("group", ["optim", "schedule", "reg"])
def test_the_training_page_names_every_choice(group: str) -> None:
    named = {span.removeprefix(f"{group}=") for span in code_spans(DOCS / "train.md")}
    assert named >= choices(group)


def test_keys_that_are_named_exist() -> None:
    known = keys()
    assert {"reg.augment.policy", "split.k", "check.delta"} <= known
    for page in PAGES:
        for span in code_spans(page):
            for key in re.findall(rf"(?<![\w./-])(?:{'|'.join(GROUPS)}|check)(?:\.[a-z_0-9]+)+", span):
                assert key in known, f"{name(page)}: {key}"


def test_choices_that_are_named_exist() -> None:
    for page in PAGES:
        for span in code_spans(page):
            for group, choice in re.findall(rf"(?<![\w.])({'|'.join(GROUPS)}|experiment)=([a-z0-9_]+)", span):
                assert (CONF / group / f"{choice}.yaml").is_file(), f"{name(page)}: {group}={choice}"


def test_make_targets_that_are_named_exist() -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    for page in [*PAGES, REPO / "CONTRIBUTING.md"]:
        text = page.read_text(encoding="utf-8")
        for targets in re.findall(r"^    make ([\w-]+)|`make ([\w-]+)`", text, re.MULTILINE):
            target = "".join(targets)
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name(page)}: make {target}"
