"""What `svhn inspect` answers first about each of many data folders, as recorded beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_folders import answer, recorded
from folder_files import FOLDERS

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("name", FOLDERS)
def test_the_first_lines_are_those_of_the_table(folder: Path, name: str) -> None:
    assert answer(name) == recorded()[name]


def test_the_table_has_no_other_folders() -> None:
    assert list(recorded()) == list(FOLDERS)
