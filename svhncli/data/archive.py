"""Unpacks .tar.gz archives: nothing is written outside the folder, and it is there whole or not at all."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path

from svhncli.data.disk import PIECE, Count, hold, silent
from svhncli.errors import DataError, DiskError, disk_error
from svhncli.files import TEMP_PREFIX


def unpack(archive: Path, folder: str, progress: Count = silent) -> None:
    """Put what `archive` holds under `folder` beside it; a folder that is there already is left alone.

    progress: gets the bytes of the archive that are read, and all of them.

    Raises:
        DataError: the archive cannot be read, is damaged, lacks the folder, or would write outside of it.
        DiskError: there is no space or no right to write.
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
            raise DataError(
                f"cannot read '{archive}': {error.strerror}", "look at its permissions"
            ) from error
        disk = disk_error(error) or DiskError(
            f"cannot unpack '{archive}': {error.strerror}", "look at its folder"
        )
        raise disk from error


def _extract(archive: Path, folder: Path, progress: Count) -> None:
    total = archive.stat().st_size
    with archive.open("rb") as packed, gzip.open(packed) as unpacked:
        with tarfile.open(fileobj=unpacked, mode="r|") as members:
            for member in members:
                members.extract(member, folder, filter="data")
                progress(packed.tell(), total)
        while unpacked.read(PIECE):  # to the end, where the checksum stands
            pass
