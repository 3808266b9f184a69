"""Pictures that a person names: files, folders, globs, .mat files, lists of files; decoded ahead of use."""

from __future__ import annotations

import glob
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from svhncli.core.errors import DataError
from svhncli.core.processes import available_cpus
from svhncli.data.formats.images import SUFFIXES, decode
from svhncli.data.framing import Framing
from svhncli.data.sources import svhn

Stored = tuple[str, "np.ndarray | DataError"]
"""The name of a picture, and the picture as stored (see `Framing.store`) or why it cannot be read."""

TASK = 16
"""Files that a thread decodes at a time."""
AHEAD = 64
"""Tasks that are under way or done before they are wanted: memory stays flat for any number of files."""


def find(words: Sequence[str], listed: Iterable[bytes]) -> list[str]:
    """The files that words name, in their order.

    words: a file; a folder, which stands for the pictures in it (not in its folders) by name; a glob, which
        stands for what it matches, by name; or `-` for the files that `listed` names, one a line.

    Raises:
        DataError: a word names nothing, or a folder no pictures. Files of a list are looked for when read.
    """
    found: list[str] = []
    for word in words:
        if word == "-":
            found += filter(None, (os.fsdecode(line.rstrip(b"\r\n")) for line in listed))
        else:
            path = os.path.expanduser(word)
            matches = [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True))
            if not matches:
                raise DataError(f"there is no file, folder or match of '{word}'", "look at its path")
            for match in matches:
                found += in_folder(match) if os.path.isdir(match) else [match]
    if not found:
        raise DataError("there are no pictures: the list is empty", "give one file a line")
    return found


def in_folder(folder: str) -> list[str]:
    """The pictures right in a folder, by name; hidden files are none.

    Raises:
        DataError: there are none, or the folder cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES))
    except OSError as error:
        raise DataError(f"cannot read the folder '{folder}': {error.strerror}", "look at its path") from error
    if not (shown := [name for name in names if not name.startswith(".")]):
        raise DataError(
            f"there are no pictures ({', '.join(SUFFIXES)}) in the folder '{folder}'",
            "folders inside it are not searched: name each of them, or give '**/*.png' in quotes",
        )
    return [os.path.join(folder, name) for name in shown]


def stored(files: Sequence[str], framing: Framing) -> Iterator[Stored]:
    """Every picture in order, uint8 (3, *framing.stored); those of a .mat are named `file/0`, `file/1`, ….

    framing: one that sees the whole picture. Threads decode ahead of the reader.
    """
    pool = ThreadPoolExecutor(available_cpus())
    try:
        for is_mat, group in itertools.groupby(files, lambda file: file.lower().endswith(".mat")):
            if is_mat:
                for file in group:
                    yield from _of_mat(file, framing)
            else:
                yield from _decoded(pool, group, framing)
    finally:
        pool.shutdown(cancel_futures=True)


def _decoded(pool: ThreadPoolExecutor, files: Iterator[str], framing: Framing) -> Iterator[Stored]:
    waiting: deque[Future[list[Stored]]] = deque()
    while task := list(itertools.islice(files, TASK)):
        waiting.append(pool.submit(_decode_all, task, framing))
        if len(waiting) == AHEAD:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _decode_all(files: list[str], framing: Framing) -> list[Stored]:
    return [(file, _decode(file, framing)) for file in files]


def _decode(file: str, framing: Framing) -> np.ndarray | DataError:
    try:
        return framing.store(decode(Path(file), file), ())
    except DataError as error:
        return error


def _of_mat(file: str, framing: Framing) -> Iterator[Stored]:
    number = itertools.count()
    try:
        for block in svhn.pictures(Path(file)):
            for picture in block:
                photograph = Image.fromarray(picture.transpose(1, 2, 0))
                yield f"{file}/{next(number)}", framing.store(photograph, ())
    except DataError as error:
        yield file, error
