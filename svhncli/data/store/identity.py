"""Which files these are, without reading them: what a cache's key says about its sources."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from svhncli.core.errors import DataError


def identity(paths: Sequence[Path]) -> str:
    """Identifies these files, and those in these folders, by name, size and time of change; links are
    followed. It stays the same when they are moved.

    Raises:
        DataError: one cannot be read.
    """
    sha = hashlib.sha256()
    try:
        for path in paths:
            for name, stat in sorted(_walk(path)):
                sha.update(f"{name!r} {stat[0]} {stat[1]}\n".encode())
    except OSError as error:
        raise DataError(f"cannot read '{error.filename}': {error.strerror}", "check its path") from error
    return sha.hexdigest()


def _walk(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each file's name relative to the parent of `path`, its size and its modification time."""
    if path.is_dir():
        pending, known = [str(path)], {os.path.realpath(path)}
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        real = os.path.realpath(entry.path)
                        if real not in known:  # a link may lead back
                            known.add(real)
                            pending.append(entry.path)
                    else:
                        with contextlib.suppress(FileNotFoundError):  # a dangling link
                            stat = entry.stat()
                            yield os.path.relpath(entry.path, path.parent), (stat.st_size, stat.st_mtime_ns)
    else:
        stat = path.stat()
        yield path.name, (stat.st_size, stat.st_mtime_ns)
