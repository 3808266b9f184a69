"""What a folder without the expected files seems to hold instead, and which `data=` takes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from svhncli.core.errors import DataError
from svhncli.core.text import some
from svhncli.data.formats.images import SUFFIXES
from svhncli.data.sources.nested import visible

KINDS = (
    ("svhn", r"(train|test|extra)_32x32\.mat"),
    ("mchar", r"mchar_(train|val)\.(json|zip)"),
    ("svhn_full", r"digitStruct\.(mat|json)|(train|test|extra)\.tar(\.gz)?"),
    ("folder", r"labels\.csv|metadata\.(csv|jsonl)|.*\.coco\.json"),
    ("arrays", r".*\.(np[yz]|h5|hdf5?|mat)"),
    ("parquet", r".*\.parquet"),
    ("", r".*\.(pkl|pickle|p|pt|pth|tfrecords?|mdb|lmdb|arrow|bin)(-\d+-of-\d+)?"),
    ("folder", rf".*({'|'.join(map(re.escape, SUFFIXES))})"),
)
"""Names of files, ignoring case, and the data source that reads them; "" for a format that is converted."""
OTHER = "'Other formats' in docs/data.md has a few lines of Python that convert it"
DEPTH = 3
"""Levels of folders that are looked into."""
ENTRIES = 2_000
"""Files after which the search stops."""


def not_here(problem: str, root: Path, name: str, hint: str) -> DataError:
    """The error that the files of a source are not in `root`: what lies there, and which source takes it.

    name: of the source that was asked for. hint: what to do if nothing there is known.
    """
    if not root.exists():
        return DataError(problem, hint)
    if root.is_dir():
        held = [path.name for path in visible(root)]
        problem += f"; '{root}' holds {some(held)}" if held else f"; '{root}' is empty"
    file, kind = _known(root)
    if file is None or kind == name:
        return DataError(problem, hint)
    where = f"'{file.relative_to(root)}'" if file != root else "it"
    return DataError(problem, f"{where} is for data={kind}" if kind else f"{where}: {OTHER}")


def _known(root: Path) -> tuple[Path | None, str]:
    """The file that says most about what the data is, and the source that reads it."""
    files = [path for path, _ in zip(_files(root, DEPTH), range(ENTRIES), strict=False)]
    for kind, pattern in KINDS:
        for path in files:
            if re.fullmatch(pattern, path.name, re.IGNORECASE):
                return path, kind
    return None, ""


def _files(root: Path, depth: int) -> Iterator[Path]:
    if root.is_file():
        yield root
    elif depth and root.is_dir():
        for path in visible(root):
            yield from _files(path, depth - 1)
