"""What the benchmarks that damage files share: the damages, and processes that may crash or hang."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Damage = tuple[str, int]
"""A kind, and the place of it: a bit ("flip"), a length ("cut"), or the seed of another kind."""


def damages(size: int, flips: int, cuts: int, rng: random.Random) -> Iterator[Damage]:
    """Single bits and lengths of a file of so many bytes."""
    yield from (("flip", rng.randrange(8 * size)) for _ in range(flips))
    yield from (("cut", rng.randrange(size)) for _ in range(cuts))


def damage(file: Path, kind: str, place: int) -> None:
    """Flip a bit of a file, or cut off all that follows a place."""
    content = bytearray(file.read_bytes())
    if kind == "cut":
        del content[place:]
    else:
        content[place // 8] ^= 1 << place % 8
    file.write_bytes(content)


def forked(work: Callable[[], int], folder: Path, errors: Path, out: Path | None = None) -> int:
    """Do work in a folder, in a process of its own; its exit code, or the negative number of a signal.

    errors, out: files to which its standard streams are appended.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(60)  # what hangs is ended like what crashes
            os.chdir(folder)
            for stream, path in ((2, errors), (1, out or errors)):
                with path.open("ab") as file:
                    os.dup2(file.fileno(), stream)
            sys.stdout, sys.stderr = (
                os.fdopen(stream, "w", errors="backslashreplace", closefd=False) for stream in (1, 2)
            )
            code = work()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
