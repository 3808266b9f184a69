"""HDF5 files, which are read in a process of their own: its library crashes on some that are damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from svhncli.core.errors import DataError
from svhncli.core.processes import CrashError, apart

Result = TypeVar("Result")


def read(path: Path, work: Callable[..., Result], *given: object) -> Result:
    """`work(path, *given)`, where a crash is an error that names the file.

    work: a function that the process can import.

    Raises:
        DataError: the process crashed.
    """
    return next(named(path, (apart(work, path, *given) for _ in range(1))))


def named(path: Path, results: Iterable[Result]) -> Iterator[Result]:
    """What processes read from a file.

    Raises:
        DataError: one crashed.
    """
    try:
        yield from results
    except CrashError as error:
        raise DataError(
            f"cannot read '{path}': it is damaged, or too large for the memory: {error.message}",
            "get the file again",
        ) from error
