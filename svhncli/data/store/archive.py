"""Unpacks .tar.gz archives: nothing is written outside the folder, which appears complete or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path

from svhncli.core.errors import DataError, DiskError, disk_error
from svhncli.core.files import TEMP_PREFIX
from svhncli.data.store.disk import PIECE, Count, hold, silent


def unpack(archive: Path, folder: str, progress: Count = silent) -> None:
    """Unpack the archive's `folder` next to it; an existing folder is left alone.

    progress: gets the bytes of the archive that have been read, and their total.

    Raises:
        DataError: the archive cannot be read, is damaged, lacks the folder, or would write outside it.
        DiskError: there is no space or no permission to write.
    """
    target = archive.parent / folder
    temp = archive.parent / f"{TEMP_PREFIX}{folder}"
    try:
        with hold(archive.parent / f".{folder}.lock", f"unpack {archive}"):
            if target.exists():
                return
            shutil.rmtree(temp, ignore_errors=True)  # a killed process left it
            temp.mkdir()
            try:
                _extract(archive, temp, progress)
                if not (temp / folder).is_dir():
                    raise DataError(f"'{archive}' has no folder {folder}/", "get the archive again")
                os.replace(temp / folder, target)
            finally:
                shutil.rmtree(temp, ignore_errors=True)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise DataError(f"'{archive}' is damaged: {error}", "delete it and get it again") from error
    except OSError as error:
        if error.filename == str(archive):
            raise DataError(f"cannot read '{archive}': {error.strerror}", "check its permissions") from error
        disk = disk_error(error) or DiskError(
            f"cannot unpack '{archive}': {error.strerror}", "check its folder"
        )
        raise disk from error


def _extract(archive: Path, folder: Path, progress: Count) -> None:
    total = archive.stat().st_size
    with archive.open("rb") as packed, gzip.open(packed) as unpacked:
        with tarfile.open(fileobj=unpacked, mode="r|") as members:
            for member in members:
                _extract_member(members, member, folder)
                progress(packed.tell(), total)
        while unpacked.read(PIECE):  # to the end, which has the checksum
            pass


def _extract_member(members: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a file or folder of an archive below `folder`; links and paths that lead out of it are refused.

    Python's own `filter="data"` exists only since 3.10.12 and 3.11.4.
    """
    target = (folder / member.name).resolve()
    if not (target.is_relative_to(folder.resolve()) and (member.isfile() or member.isdir())):
        raise tarfile.TarError(f"'{member.name}' is not a file or folder inside it")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = members.extractfile(member)
    assert packed is not None  # it is a file
    with packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)
