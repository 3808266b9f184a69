"""Temporary files and folders beside those that they will become, and what killed processes leave of them."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import zlib
from functools import cache
from pathlib import Path

TEMP_PREFIX = ".writing-"
_BEGIN = re.compile(re.escape(TEMP_PREFIX) + r"(?:[0-9a-f]{8}-\d+-(?:new-|old-)?)?")
"""What temporary names begin with, those of `beside` and those of folders that only one process makes."""


def lasting(path: str) -> str:
    """The path that a file will have in the end."""
    return _BEGIN.sub("", path)


def sweep(folder: Path) -> None:
    """Remove temporary files of killed processes from a folder that this process has locked.

    Pages and folders are made without the lock, so those of other machines may still be written.
    """
    for temp in folder.glob(f"{TEMP_PREFIX}*"):
        if not temp.name.startswith(f"{TEMP_PREFIX}{_machine()}-"):
            if temp.is_file() and temp.suffix != ".html":
                temp.unlink(missing_ok=True)
        elif _is_left(temp):
            _remove(temp)


def beside(path: Path, kind: str = "") -> Path:
    """Where this process writes what will be at a path."""
    return path.with_name(f"{TEMP_PREFIX}{_machine()}-{os.getpid()}-{kind}{path.name}")


def sweep_beside(path: Path) -> None:
    """Remove what killed processes of this machine have left of a file or folder."""
    for temp in path.parent.glob(f"{TEMP_PREFIX}{_machine()}-*-{glob.escape(path.name)}"):
        if _is_left(temp):
            _remove(temp)


@cache
def _machine() -> str:
    """Tells machines that share a disk apart: the same number means other processes on each."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_left(temp: Path) -> bool:
    """Whether the process of this machine that wrote a temporary file or folder has ended."""
    number = temp.name.removeprefix(TEMP_PREFIX).split("-")[1]
    if os.name != "posix" or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _remove(temp: Path) -> None:
    if temp.is_dir():
        shutil.rmtree(temp, ignore_errors=True)
    else:
        temp.unlink(missing_ok=True)
