"""Shared by everything that writes data: progress, locks, digests, and free space on disk."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from svhncli.core.errors import DiskError
from svhncli.core.locks import locked

log = logging.getLogger(__name__)

Count = Callable[[int, int | None], None]
"""`count(done, total)`; total is None if unknown."""

Progress = Callable[[str, int, int | None], None]
"""`progress(what, done, total)`: `what` names the work, such as "convert train_32x32.mat"."""

PIECE = 1 << 20
"""Bytes read or written at once."""


RATIO, FREE = 100, 1 << 28
"""A packed file may hold this many times its size, or this many bytes if that is more: images, which are
compressed themselves, stay far below. Nothing more is read of one that claims to hold more."""


def most(packed: Path) -> int:
    """Bytes that a packed file may hold."""
    return max(RATIO * packed.stat().st_size, FREE)


def silent(*_: object) -> None:
    """A `Count` or `Progress` that does nothing."""


@contextmanager
def hold(lock: Path, what: str) -> Iterator[None]:
    """Let one process at a time do `what`; one that has to wait logs it once. A kill releases the lock."""
    try:
        holder = locked(lock, timeout=1)
    except Timeout:
        log.warning("waiting for another process to %s", what)
        holder = locked(lock)
    try:
        yield
    finally:
        holder.release()


def digest(path: Path, algorithm: str, count: Count = silent) -> str:
    """The hex digest of a file's bytes; `algorithm` is a name known to hashlib."""
    state = hashlib.new(algorithm, usedforsecurity=False)
    total = path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            state.update(piece)
            count(file.tell(), total)
    return state.hexdigest()


def require_space(folder: Path, size: int) -> None:
    """Raise a `DiskError` unless `size` bytes are free on the disk of `folder`."""
    if shutil.disk_usage(folder).free < size:
        raise no_space(folder, size)


def no_space(folder: Path, size: int) -> DiskError:
    """An error with the space that is needed, and the space that is free."""
    free = shutil.disk_usage(folder).free
    return DiskError(
        f"'{folder}' needs {size / 1e6:,.1f} MB of space, and its disk has {free / 1e6:,.1f} MB free",
        "free some space or choose a folder on another disk (the cache: SVHN_CACHE=FOLDER)",
    )
