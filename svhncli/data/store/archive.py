"""Unpacks archives: nothing is written outside the folder, which appears complete or not at all."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO

from svhncli.core.errors import DataError, DiskError, disk_error
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.data.store import disk
from svhncli.data.store.disk import PIECE, Count, hold, require_space, silent

if TYPE_CHECKING:
    from typing_extensions import Self

KINDS = (".tar.gz", ".tar", ".zip")
"""The suffixes of archives; browsers on macOS turn a .tar.gz into a .tar."""

BLOCK = 4096
"""Bytes that a file takes on a disk at least: so many empty ones would fill it, too."""

DESCRIPTIONS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
LONGEST = 1 << 20
"""Entries of a .tar that describe the next file, such as its long name, and the most bytes of one: tarfile
reads it into memory as a whole."""

DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
)


@dataclass(frozen=True)
class _Member:
    """What an archive holds: a file, a folder, or neither, such as a link. size: of a file, in bytes."""

    name: str
    is_file: bool
    is_folder: bool
    size: int
    open: Callable[[], IO[bytes] | None]


def beside(folder: Path) -> Path | None:
    """The archive that a folder was packed into, such as `train.tar.gz` of `train`; None if there is none."""
    archives = (folder.with_name(folder.name + kind) for kind in KINDS)
    return next((archive for archive in archives if archive.is_file()), None)


def unpack(
    archive: Path, folder: str, progress: Count = silent, *, is_content: Callable[[Path], bool]
) -> None:
    """Unpack an archive to a `folder` next to it; an existing folder is left alone.

    The archive holds that folder, or directly what belongs into it. What macOS adds is left out.

    progress: gets the bytes of the archive that have been read, and their total.
    is_content: whether a folder without that `folder` holds what belongs into it.

    Raises:
        DataError: the archive cannot be read, is damaged or encrypted, holds something else, would write
            outside the folder, or unpacks to far more than its size (see `disk.most`).
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
                os.replace(_content(archive, temp, folder, is_content), target)
            finally:
                shutil.rmtree(temp, ignore_errors=True)
    except DAMAGE as error:
        raise _damaged(archive, error) from error
    except MemoryError as error:
        raise DataError(
            f"'{archive}' needs more memory to unpack than there is", f"unpack it yourself, to {folder}/"
        ) from error
    except NotImplementedError as error:
        raise DataError(
            f"'{archive}' is packed in a way that Python does not know: {error}",
            f"unpack it yourself, to a folder {folder}/ beside it",
        ) from error
    except OSError as error:
        if error.errno in (None, errno.EINVAL) and error.filename is None:  # bad data in bz2, a bad offset
            raise _damaged(archive, error) from error
        if error.filename == str(archive):
            raise DataError(f"cannot read '{archive}': {error.strerror}", "check its permissions") from error
        full = disk_error(error) or DiskError(
            f"cannot unpack '{archive}': {error.strerror}", "check its folder"
        )
        raise full from error


def _damaged(archive: Path, error: Exception) -> DataError:
    return DataError(f"'{archive}' is damaged: {error}", "delete it and get it again")


def _content(archive: Path, temp: Path, folder: str, is_content: Callable[[Path], bool]) -> Path:
    """The part of what was unpacked that becomes the folder."""
    if (temp / folder).is_dir():
        return temp / folder
    if is_content(temp):
        return temp
    raise DataError(f"'{archive}' has no folder {folder}/", "get the archive again")


def _extract(archive: Path, folder: Path, progress: Count) -> None:
    total, left = archive.stat().st_size, disk.most(archive)
    with archive.open("rb") as packed:
        for member in _MEMBERS[archive.suffix](archive, packed):
            left -= max(member.size, BLOCK)
            if left < 0:
                raise DataError(
                    f"'{archive}' unpacks to far more than an archive of images does",
                    f"if it is right, unpack it yourself: svhn stops at {disk.RATIO} times its size",
                )
            _extract_member(member, folder)
            progress(packed.tell(), total)


def _gzipped(archive: Path, packed: BinaryIO) -> Iterator[_Member]:
    with gzip.open(packed) as unpacked:
        yield from _tar(unpacked)
        while unpacked.read(PIECE):  # to the end, which has the checksum
            pass


def _plain(archive: Path, packed: BinaryIO) -> Iterator[_Member]:
    packed.seek(max(0, archive.stat().st_size - 2 * tarfile.BLOCKSIZE))
    if packed.read() != bytes(2 * tarfile.BLOCKSIZE):
        raise tarfile.TarError("its end is missing")  # which tarfile does not mind between two members
    packed.seek(0)
    yield from _tar(packed)


class _Header(tarfile.TarInfo):
    """A file's entry; a damaged one is an error, where tarfile takes it for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            made = super().frombuf(buf, encoding, errors)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error
        if made.type in DESCRIPTIONS and made.size > LONGEST:
            raise tarfile.ReadError(f"it describes a file in {made.size:,} bytes")
        return made


def _tar(file: IO[bytes] | gzip.GzipFile) -> Iterator[_Member]:
    with tarfile.open(fileobj=file, mode="r|", tarinfo=_Header) as members:
        for member in members:
            content = partial(members.extractfile, member)
            yield _Member(member.name, member.isfile(), member.isdir(), member.size, content)


def _zip(archive: Path, packed: BinaryIO) -> Iterator[_Member]:
    with zipfile.ZipFile(packed) as zipped:
        members = zipped.infolist()
        if _announced(packed) not in (len(members) % (1 << 16), 0xFFFF):
            raise zipfile.BadZipFile("its list of files is not whole")  # which zipfile does not check
        if any(member.flag_bits & 1 for member in members):
            raise DataError(f"'{archive}' is encrypted", "unpack it yourself, with its password")
        size = sum(member.file_size for member in members)
        if size <= disk.most(archive):
            require_space(archive.parent, size)
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if it was not packed on Unix
            is_file = kind in (0, stat.S_IFREG) and not member.is_dir()
            is_folder = kind in (0, stat.S_IFDIR) and member.is_dir()
            name = member.filename.replace("\\", "/")  # as old tools of Windows wrote it
            yield _Member(name, is_file, is_folder, member.file_size, partial(zipped.open, member))


def _announced(packed: BinaryIO) -> int:
    """How many files a zip says that it has, if they are fewer than 65,535."""
    packed.seek(-min(packed.seek(0, os.SEEK_END), 0xFFFF + 22), os.SEEK_END)
    end = packed.read()
    (count,) = struct.unpack_from("<H", end, end.rindex(b"PK\5\6") + 10)
    return int(count)


_MEMBERS = {".gz": _gzipped, ".tar": _plain, ".zip": _zip}


def _extract_member(member: _Member, folder: Path) -> None:
    """Write a file or folder of an archive below `folder`; links and paths that lead out of it are refused.

    Python's own `filter="data"` exists only since 3.10.12 and 3.11.4, and for .tar alone.
    """
    if any(part == "__MACOSX" or part.startswith("._") for part in PurePosixPath(member.name).parts):
        return
    target = (folder / member.name).resolve()
    if not (target.is_relative_to(folder.resolve()) and (member.is_file or member.is_folder)):
        raise tarfile.TarError(f"'{member.name}' is not a file or folder inside it")
    if member.is_folder:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = member.open()
    assert packed is not None  # it is a file
    with packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)
