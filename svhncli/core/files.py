"""Files that are either whole or not there: write beside, fsync, rename."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import itertools
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from svhncli.core import sums, temporary
from svhncli.core.cells import inert
from svhncli.core.errors import DataError, DiskError, SvhnError, UsageError, disk_error
from svhncli.core.paths import expanded
from svhncli.core.signals import held_back
from svhncli.core.text import printable


def matches(word: str) -> list[str]:
    """The file or folder that a word names, or the matches of a glob, sorted by name.

    Raises:
        DataError: there are none.
    """
    path = os.path.expanduser(word)
    paths = [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True))
    if not paths:
        raise DataError(f"no file, folder or glob matches '{word}'", "check the path")
    return paths


def write_atomic(path: Path, write: Callable[[BinaryIO], object], size: int | None = None) -> None:
    """Write a file by calling `write(file)`; whenever it is read or the process killed, it is old or new.

    Where its folder has a record of SHA-256, it is recorded.

    size: its bytes, where they are known; the error of a full disk names them.

    Raises:
        DiskError: the disk is full or read-only, or the folder is gone; the old file is untouched.
    """
    with writing(path, size):
        temporary.sweep_beside(path)
        temp = temporary.beside(path)
        try:
            with temp.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            with held_back():  # nothing that was noted may fail to take its place
                sums.note(path, temp)
                os.replace(temp, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temp.unlink()
            raise


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """In the block, inputs are looked for and nothing is written.

    Raises:
        DataError: the system refuses to look at one of them.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot read '{error.filename}': {error.strerror}",
            "check the path and the permissions of its folders",
        ) from error


@contextlib.contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """In the block a file of `size` bytes, where they are known, is written, or a folder is made.

    Raises:
        DiskError: the disk is to blame for what the block raised, or the folder of `path` is gone.
    """
    try:
        yield
    except SvhnError:
        raise  # the content could not be produced, whatever the cause
    except Exception as error:
        if (disk := disk_error(error, path, size)) is not None:
            raise disk from error
        if isinstance(error, FileNotFoundError) and not path.parent.exists():
            raise DiskError(
                f"cannot write '{path}': its folder is gone",
                "it was moved or removed by something else; what was saved in it went with it",
            ) from error
        raise


def place(text: str) -> Path:
    """The path of a file or folder that the user named as output; its parent folder is created.

    Raises:
        DiskError: the parent folder cannot be created.
    """
    path = expanded(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(
            f"cannot create the folder '{path.parent}': {error.strerror}", "choose another one"
        ) from error
    return path


@contextlib.contextmanager
def new_folder(path: Path, names: Collection[str]) -> Iterator[Path]:
    """A temporary folder to fill, which is moved to `path` if the block succeeds and removed if it fails.

    names: the files that it may contain. An existing folder with only such files is replaced, no other.

    Raises:
        UsageError: `path` contains something else.
        DiskError: the folder cannot be written.
    """
    temp, old = temporary.beside(path, "new-"), temporary.beside(path, "old-")
    try:
        temporary.sweep_beside(path)
        if path.exists() and not (path.is_dir() and {entry.name for entry in path.iterdir()} <= {*names}):
            raise UsageError(f"'{path}' contains other files, which would be lost", "choose a new folder")
        temp.mkdir()
        yield temp
        if path.exists():
            path.rename(old)
        temp.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise disk_error(error) or error from None
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def begin_sums(folder: Path) -> None:
    """Record the SHA-256 of what is written into a folder from now on."""
    if not (folder / sums.SUMS).is_file():
        write_text(folder / sums.SUMS, "")


def settle_sums(folder: Path, adopted: Iterable[Path] = ()) -> None:
    """Begin or tidy the record of SHA-256 in a folder that this process has locked; see `sums.settled`."""
    settled, file = sums.settled(folder, adopted), folder / sums.SUMS
    if not file.is_file() or file.read_text(encoding="utf-8", errors="replace") != settled:
        write_text(file, settled)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    write_atomic(path, lambda file: file.write(content), len(content))


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write strict JSON: NaN and infinity are refused, since other parsers reject them."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_text(path: Path) -> str:
    """The text of a file, which must be what was recorded, if anything was.

    Raises:
        CheckpointError: it is not.
        OSError, ValueError: it cannot be read, or is not UTF-8.
    """
    return sums.read(path).decode()


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises as `read_text` does."""
    return json.loads(read_text(path))


def open_csv(path: Path) -> TextIO:
    """The text of a CSV file for `csv.reader`; raises as `read_text` does."""
    return io.StringIO(read_text(path), newline="")


Cell = Callable[[Any], Any]
"""How a cell is written: `inert`; as it is (`str`), for a program that compares it letter by letter; or
`printable`, on a terminal."""


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], cell: Cell = inert
) -> None:
    """Write rows with the given columns; floats keep every bit (`repr`)."""
    write_atomic(path, lambda file: write_rows(file, columns, rows, cell))


def write_rows(
    file: BinaryIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], cell: Cell = inert
) -> None:
    """Write a CSV to an open file. File names that are not valid UTF-8 keep their bytes."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
    try:
        _write_rows(text, columns, rows, cell)
    finally:
        text.detach()  # flushes, and leaves the file open


def print_rows(
    stream: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], cell: Cell = inert
) -> None:
    """Write a CSV to a text stream: as `write_rows` to the file below it, if it has one."""
    file = getattr(stream, "buffer", None)
    if file is None or stream.isatty():
        _write_rows(stream, columns, rows, printable if stream.isatty() else cell)
    else:
        write_rows(file, columns, rows, cell)


def _write_rows(text: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], cell: Cell) -> None:
    line = io.StringIO(newline="")
    # With this end, the writer quotes a carriage return in a cell, at which readers would begin a row.
    writer = csv.DictWriter(line, columns, lineterminator="\r\n")
    for row in itertools.chain([dict(zip(columns, columns, strict=True))], rows):
        writer.writerow({name: cell(value) for name, value in row.items()})
        text.write(f"{line.getvalue()[:-2]}\n")
        line.seek(line.truncate(0))
