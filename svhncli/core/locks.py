"""Locks between processes, and file systems that have none."""

from __future__ import annotations

import errno
from pathlib import Path

from filelock import FileLock

from svhncli.core.errors import DiskError

_NONE = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.ESTALE}
"""What `flock` answers on NFS without lockd, Lustre without -o flock, and some FUSE file systems."""


def locked(file: Path, timeout: float = -1) -> FileLock:
    """The lock of a file, held. timeout: seconds to wait for it; negative waits forever.

    Raises:
        Timeout: another process holds it.
        DiskError: the file system has no locks.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=timeout)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        raise DiskError(
            f"the file system of '{file.parent}' cannot lock files: {error.strerror}",
            "choose a folder on another disk: out= for runs, SVHN_CACHE=FOLDER for the cache",
        ) from error
    return lock
