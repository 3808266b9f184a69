"""Files that lie one folder deeper than they should, as most archives leave them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without hidden files and what macOS adds to archives."""
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX"
    )


def inner(folder: Path, fits: Callable[[Path], bool]) -> Path:
    """The folder itself if it fits, or the only folder in it that does; where there is none, the folder."""
    if fits(folder) or not folder.is_dir():
        return folder
    deeper = [path for path in visible(folder) if path.is_dir() and fits(path)]
    return deeper[0] if len(deeper) == 1 else folder
