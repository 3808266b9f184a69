"""Which errors a disk is to blame for."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from svhncli.core.errors import disk_error
from svhncli.core.temporary import beside


def test_an_error_that_is_its_own_context_ends_the_search() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert disk_error(first) is None


@pytest.mark.parametrize("name", ["x" * 300, "file", "file/inner", "loop/inner"])
def test_a_folder_that_cannot_be_made_is_the_disks(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(OSError, match=r"File|Not|Too many") as caught:
        (tmp_path / name).mkdir()
    known = disk_error(caught.value)
    assert known is not None
    assert "another folder" in known.hint


def test_a_path_that_the_system_does_not_look_at_can_neither_be_read_nor_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("x" * 300) / "file").stat()
    known = disk_error(caught.value)
    assert known is not None
    assert known.message.startswith("cannot reach '")


@pytest.mark.parametrize("kind", ["", "new-"])
def test_the_name_of_a_file_is_the_one_that_it_will_have(kind: str, tmp_path: Path) -> None:
    written = beside(tmp_path / "out", kind)
    known = disk_error(OSError(errno.ENOSPC, "No space left on device", str(written / "a.csv")))
    assert known is not None
    assert known.message == f"cannot write '{tmp_path}/out/a.csv': No space left on device"


@pytest.mark.parametrize(
    ("number", "size", "end"),
    [
        (errno.ENOSPC, 4_096, "; it needs 4,096 bytes"),
        (errno.EFBIG, 12_340_000, "; it needs 12.3 MB"),
        (errno.ENOSPC, None, "No space left on device"),
        (errno.EACCES, 4_096, "Permission denied"),
    ],
)
def test_the_bytes_that_a_full_disk_lacks_are_named(number: int, size: int | None, end: str) -> None:
    known = disk_error(OSError(number, os.strerror(number)), "a.csv", size)
    assert known is not None
    assert known.message.endswith(end)
