"""Locks where there are none, and where another process holds one."""

import errno
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from svhncli.core.errors import DiskError
from svhncli.core.locks import locked


@pytest.mark.fault("a file system has no locks", "refused by name", "6")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ESTALE])
def test_a_file_system_without_locks_is_named(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(DiskError, match=f"the file system of '{tmp_path}' cannot lock files: no locks"):
        locked(tmp_path / ".lock", timeout=0)


def test_a_lock_that_is_held_is_waited_for(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(Timeout):
        locked(tmp_path / ".lock", timeout=0)
    locked(tmp_path / ".lock", timeout=0).release()
