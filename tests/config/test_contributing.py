"""CONTRIBUTING.md describes the layout as it is."""

from __future__ import annotations

import re

from conftest import REPO
from house import ROOMS

from svhncli.config.declare import CHOICES

TEXT = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_rooms_are_listed_in_their_order() -> None:
    table = TEXT[TEXT.index("## Rooms") : TEXT.index("## How data flows")]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == ROOMS


def test_every_group_has_a_convention() -> None:
    table = TEXT[TEXT.index("The other groups work the same way") : TEXT.index("### A metric")]
    assert {*re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)} == {*CHOICES} - {"reg"}


def test_every_file_that_is_named_exists_except_the_new_ones() -> None:
    named = set(re.findall(r"`((?:svhncli|tests|docs|benchmarks|conf|core)/[\w./]*)`", TEXT))
    new = {"svhncli/models/pooled.py", "svhncli/commands/count.py"}
    missing = {
        path for path in named if not (REPO / path).exists() and not (REPO / "svhncli" / path).exists()
    }
    assert missing == new
