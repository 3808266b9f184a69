"""Which files a cache's key means: by name, size and time of change, wherever they lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from svhncli.core.errors import DataError
from svhncli.data.store.identity import identity


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("0/a", "0/b", "1/c"):
        file = tmp_path / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
        os.utime(file, ns=(0, 10**18))
    return tmp_path / "files"


def later(files: Path) -> None:
    os.utime(files / "0" / "a", ns=(0, 10**18 + 1))


def longer(files: Path) -> None:
    (files / "0" / "a").write_text("texts")
    os.utime(files / "0" / "a", ns=(0, 10**18))


def renamed(files: Path) -> None:
    (files / "0" / "a").rename(files / "0" / "aa")


def moved_between_folders(files: Path) -> None:
    (files / "0" / "b").rename(files / "1" / "b")


def removed(files: Path) -> None:
    (files / "0" / "a").unlink()


@pytest.mark.parametrize("change", [later, longer, renamed, moved_between_folders, removed])
@pytest.mark.parametrize("whole", [True, False])
def test_a_change_of_a_file_is_another_identity(
    files: Path, change: Callable[[Path], None], whole: bool
) -> None:
    paths = [files] if whole else [files / "0", files / "1"]
    before = identity(paths)
    assert identity(paths) == before
    change(files)
    assert identity(paths) != before


def test_files_that_moved_as_a_whole_stay_the_same(files: Path) -> None:
    before = identity([files])
    (files.parent / "elsewhere").mkdir()
    assert identity([files.rename(files.parent / "elsewhere" / "files")]) == before


def test_links_are_followed_once_and_those_that_lead_nowhere_do_not_count(files: Path) -> None:
    (files.parent / "use").mkdir()
    for name, target in (("files", files), ("nowhere", files / "none")):
        (files.parent / "use" / name).symlink_to(target)
    (files / "back").symlink_to(files.parent / "use")
    before = identity([files.parent / "use"])
    later(files)
    assert identity([files.parent / "use"]) != before


def test_a_missing_file_is_named(files: Path) -> None:
    with pytest.raises(DataError, match=r"none': No such file"):
        identity([files / "none"])
