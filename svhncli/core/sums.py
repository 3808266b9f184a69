"""SHA-256 of a folder's files: recorded before a file takes its place, compared whenever it is read.

SHA256SUMS has lines as sha256sum writes them, also for the folders below that have no such file of their own.
A line is appended before its file is renamed into place, so at whatever moment a process is killed, the file
that is there is one that a line describes. Several processes may append: a line is one write.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from svhncli.core.errors import CheckpointError
from svhncli.core.temporary import TEMP_PREFIX

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
HYDRAS = "multirun.yaml"
"""What Hydra writes into the folder of a sweep, and svhn does not read."""
_LEVELS = 3
"""A file is in the folder itself, in that of a fold, or in plots/ of either."""
_OTHERS = {".pt", ".html", ".log", ".db"}
"""Checkpoints have a SHA-256 of their own, pages are made from the other files, logs and databases grow."""


def read(path: Path) -> bytes:
    """A file's content, which is what was recorded, if anything was.

    Raises:
        CheckpointError: it is not.
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    if (record := _record_of(path)) is not None:
        known = recorded(record).get(_name(path, record))
        if known and digest(content) not in known:
            raise CheckpointError(
                f"'{path}' is damaged: its SHA-256 is not the one in '{record}'",
                f"see what else is with: svhn verify {shlex.quote(str(record.parent))}\n"
                f"if you changed it yourself, remove its line from {SUMS}",
            )
    return content


def note(path: Path, written: Path) -> None:
    """Record what will be the content of a file, if its folder, or one above, has a record.

    written: the file that will take its place.
    """
    record = _record_of(path)
    if record is not None and _is_covered(name := _name(path, record)):
        handle = os.open(record, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, _line(digest(written.read_bytes()), name).encode())
            os.fsync(handle)
        finally:
            os.close(handle)


def recorded(record: Path) -> dict[str, list[str]]:
    """Name -> the digests of what was written under it since the record was last settled, oldest first."""
    known: dict[str, list[str]] = {}
    for text in record.read_text(encoding="utf-8", errors="replace").splitlines():
        if (match := _LINE.fullmatch(text)) is not None:
            known.setdefault(match[2], []).append(match[1])
    return known


def settled(folder: Path, adopted: Iterable[Path]) -> str:
    """The record with one line for each file that is as recorded; damaged ones keep theirs.

    A file that is not there may never have come to be, so it has none.

    adopted: files in the folder that others wrote; they are recorded as they are.
    """
    record = folder / SUMS
    known = {}
    for name, digests in recorded(record).items() if record.is_file() else ():
        if (path := folder / name).is_file():
            now = digest(path.read_bytes())
            known[name] = [now] if now in digests else digests
    known |= {_name(path, record): [digest(path.read_bytes())] for path in adopted}
    return "".join(_line(sha, name) for name in sorted(known) for sha in known[name])


def faults(record: Path) -> Iterator[tuple[str, str]]:
    """The names of files that are not as recorded, and what is wrong with each; others may be writing."""
    text = record.read_text(encoding="utf-8", errors="replace")
    if bad := [number for number, row in enumerate(text.splitlines(), 1) if not _LINE.fullmatch(row)]:
        yield record.name, f"line {bad[0]} is not a digest and a name"
    for name in recorded(record):
        # a file may take its place between two looks, or its line be tidied: what is wrong stays wrong
        fault = _fault(name, record) and _fault(name, record)
        if fault:
            yield name, fault


def unlisted(record: Path) -> list[str]:
    """The names of files below a record that it does not list: it was damaged, or edited by hand."""
    folder, known = record.parent, recorded(record)
    inside = (path for path in folder.rglob("*") if path.is_file() and _record_of(path) == record)
    names = (_name(path, record) for path in inside if path.name != HYDRAS)
    return sorted(name for name in names if _is_covered(name) and name not in known and name[0] != ".")


def _fault(name: str, record: Path) -> str | None:
    path = record.parent / name
    try:
        now = digest(path.read_bytes()) if path.is_file() else None
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    known = recorded(record).get(name, [])
    if now is not None:
        return None if now in known else f"its SHA-256 is not the one in {record.name}"
    is_first = len(known) == 1
    return (
        None if is_first and _is_unfinished(path, known[0]) else f"missing, although {record.name} lists it"
    )


def _is_unfinished(path: Path, known: str) -> bool:
    """Whether a file was written and recorded, but was killed before it took its place, or is about to."""
    written = path.parent.glob(f"{TEMP_PREFIX}*-{glob.escape(path.name)}")
    return any(digest(temp.read_bytes()) == known for temp in written if temp.is_file())


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _line(sha: str, name: str) -> str:
    return f"{sha}  {name}\n"


def _record_of(path: Path) -> Path | None:
    """The nearest record above a file."""
    return next((file for up in path.parents[:_LEVELS] if (file := up / SUMS).is_file()), None)


def _name(path: Path, record: Path) -> str:
    return path.relative_to(record.parent).as_posix()


def _is_covered(name: str) -> bool:
    path = Path(name)
    hidden = path.name in (SUMS, ".lock") or any(part.startswith(TEMP_PREFIX) for part in path.parts)
    return not hidden and path.suffix not in _OTHERS
