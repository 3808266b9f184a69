"""Reads arrays of numbers, and structs, from MATLAB 5 .mat files as a stream, in little memory.

`scipy.io.loadmat` holds a whole array in memory, and a flipped bit in a file's header can crash the process.
The format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from svhncli.core.errors import DataError
from svhncli.data.store.disk import PIECE, most

COMPRESSED, MATRIX = 15, 14  # types of elements at the top level
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMBERS = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
KINDS = dict(enumerate(("cell", "struct", "object", "char", "sparse", *NUMBERS), start=1))
LETTERS = {4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}  # of text; other types hold Latin-1
LOGICAL, COMPLEX = 0x200, 0x800  # flags next to the kind
HDF5_MARKS = (b"\x00\x02IM", b"\x02\x00MI")  # the ends of the headers of MATLAB 7.3
SMALL = 4096  # bytes; dimensions, names and the fields of structs are far shorter, so a longer one is damaged
DEPTH = 2  # structs in structs


@dataclass(frozen=True)
class Variable:
    """A variable of a .mat file: `kind` is MATLAB's name of its type, `shape` its dimensions."""

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int  # of its element in the file

    def __str__(self) -> str:
        return f"{self.name} is {self.kind} {'×'.join(map(str, self.shape))}"


def variables(path: Path) -> dict[str, Variable]:
    """The variables of a file by name, without reading their contents.

    Raises:
        DataError: the file cannot be read, is truncated or damaged, or has another format.
    """
    by_name = {}
    with _open(path) as (file, order):
        size = file.seek(0, 2)
        offset = 128
        while offset < size:
            file.seek(offset)
            stream, end = _element(file, order)
            if end > size:
                raise _Damage("it is truncated")
            if stream is not None and (variable := _header(stream, order, offset)) is not None:
                if math.prod(variable.shape) > most(path):
                    raise _Damage(f"{variable} is far more than a file of its size holds")
                by_name[variable.name] = variable
            offset = end
    return by_name


def read(path: Path, variable: Variable, count: int) -> Iterator[np.ndarray]:
    """The values of a numeric variable, in flat blocks of `count`, the first dimension varying fastest.

    Their type is the one in which the file stores them, often smaller than the variable's own.

    Raises:
        DataError: the file is damaged.
    """
    with _open(path) as (file, order):
        stream = _values(file, order, variable)
        kind, size, _ = _tag(stream, order)
        dtype = np.dtype(order + STORED.get(kind, "V1"))
        left = math.prod(variable.shape)
        if kind not in STORED or size != left * dtype.itemsize:
            raise _Damage(f"{variable.name} does not have the size given in its header")
        while left:
            block = min(left, count)
            yield np.frombuffer(stream.read(block * dtype.itemsize), dtype)
            left -= block
        stream.drain()


def structs(path: Path, variable: Variable) -> Iterator[dict[str, Any]]:
    """The elements of an array of structs, each by its fields' names: text as str, numbers as a flat array,
    an array of structs as a list of them.

    Raises:
        DataError: the file is damaged, or a field is of another kind, or large.
    """
    with _open(path) as (file, order):
        stream = _values(file, order, variable)
        yield from _structs(stream, order, variable.shape, 1)
        stream.drain()


class _Damage(Exception):
    """What is wrong with a file, without its path."""


class _Stream:
    """Reads pieces of bytes as if they were a single file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.buffer = bytearray()

    def read(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not (piece := next(self.pieces, b"")):
                raise _Damage("an array is truncated")
            self.buffer += piece
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def drain(self) -> None:
        """Read to the end, where the checksum of a compressed element is verified."""
        for _ in self.pieces:
            pass


@contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """The file and its byte order for `struct`; errors while it is read become a DataError."""
    try:
        with path.open("rb") as file:
            yield file, _byte_order(path, file.read(128))
    except (_Damage, zlib.error, struct.error, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is damaged: {error}", "get the file again") from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error


def is_hdf5(path: Path) -> bool:
    """Whether a file is one of MATLAB 7.3, which this module does not read."""
    with path.open("rb") as file:
        return file.read(128)[124:] in HDF5_MARKS


def _byte_order(path: Path, header: bytes) -> str:
    mark = header[124:128]
    if mark in HDF5_MARKS:
        raise DataError(
            f"'{path}' is a MATLAB 7.3 (HDF5) file; MATLAB 5 is expected",
            "save it again with MATLAB's save -v7, or use data=arrays",
        )
    if mark not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise DataError(
            f"'{path}' is not a MATLAB 5 .mat file",
            "write it with scipy.io.savemat or MATLAB's save -v7; if it was such a file, get it again",
        )
    return "<" if mark.endswith(b"IM") else ">"


def _element(file: BinaryIO, order: str) -> tuple[_Stream | None, int]:
    """The content of the matrix at the file's position (None if it is none), and where the element ends."""
    kind, size = struct.unpack(f"{order}II", file.read(8))
    end = file.tell() + size
    pieces = _stored(file, size)
    if kind == MATRIX:
        return _Stream(pieces), end
    if kind != COMPRESSED:
        return None, end
    stream = _Stream(_inflated(pieces))
    (kind, _) = struct.unpack(f"{order}II", stream.read(8))
    return stream if kind == MATRIX else None, end


def _values(file: BinaryIO, order: str, variable: Variable) -> _Stream:
    """The content of a variable behind its header."""
    file.seek(variable.offset)
    stream, _ = _element(file, order)
    if stream is None or _header(stream, order, variable.offset) != variable:
        raise _Damage("it changed while it was being read")
    return stream


def _stored(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = file.read(min(size, PIECE))
        if not piece:
            raise _Damage("it is truncated")
        size -= len(piece)
        yield piece


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    for piece in pieces:
        waiting = piece
        while waiting:
            if inflated := inflater.decompress(waiting, PIECE):
                yield inflated
            waiting = inflater.unconsumed_tail
    if rest := inflater.flush():
        yield rest
    if not inflater.eof:
        raise _Damage("a compressed array is truncated")


def _header(stream: _Stream, order: str, offset: int) -> Variable | None:
    """Read a matrix up to its values; None for kinds without values (functions, opaque objects)."""
    flags, _ = struct.unpack(f"{order}II", _small(stream, order, 8))
    if (kind := KINDS.get(flags & 0xFF)) is None:
        return None
    dims = _small(stream, order)
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    if len(shape) < 2 or min(shape) < 0:
        raise _Damage("an array has impossible dimensions")
    name = _small(stream, order).decode("latin-1")
    marks = ("complex " if flags & COMPLEX else "") + ("logical " if flags & LOGICAL else "")
    return Variable(name, marks + kind, shape, offset)


def _tag(stream: _Stream, order: str) -> tuple[int, int, bool]:
    """Type and size in bytes of the data that follow, and whether they are inside the tag's own 8 bytes."""
    (word,) = struct.unpack(f"{order}I", stream.read(4))
    if word >> 16:
        return word & 0xFFFF, word >> 16, True
    (size,) = struct.unpack(f"{order}I", stream.read(4))
    return word, size, False


def _small(stream: _Stream, order: str, size: int | None = None) -> bytes:
    """The bytes of a small item, such as those in a header, without padding."""
    content = _item(stream, order)[1]
    if size is not None and len(content) != size:
        raise _Damage("a header has an impossible size")
    return content


def _item(stream: _Stream, order: str) -> tuple[int, bytes]:
    """The type of a small item, and its bytes without padding."""
    kind, length, inline = _tag(stream, order)
    if length > SMALL:
        raise _Damage("a header has an impossible size")
    padded = 4 if inline else -(-length // 8) * 8
    return kind, stream.read(padded)[:length]


def _structs(stream: _Stream, order: str, shape: tuple[int, ...], depth: int) -> Iterator[dict[str, Any]]:
    """The elements of an array of structs behind its header."""
    (width,) = struct.unpack(f"{order}i", _small(stream, order, 4))
    names = _small(stream, order)
    if depth > DEPTH or not names or width < 1:
        raise _Damage("it holds structs without fields, or too deep in each other")
    fields = [
        names[start : start + width].rstrip(b"\0").decode("latin-1") for start in range(0, len(names), width)
    ]
    for _ in range(math.prod(shape)):
        yield {field: _field(stream, order, depth) for field in fields}


def _field(stream: _Stream, order: str, depth: int) -> Any:
    """The value of a struct's field: see `structs`."""
    kind, size = struct.unpack(f"{order}II", stream.read(8))
    if kind == MATRIX and not size:
        return np.empty(0)
    header = _header(stream, order, 0) if kind == MATRIX else None
    if header is not None and header.kind == "struct":
        return list(_structs(stream, order, header.shape, depth + 1))
    if header is None or header.kind not in ("char", *NUMBERS):
        raise _Damage("a struct holds something else than text, numbers and structs")
    kind, content = _item(stream, order)
    if header.kind == "char":
        encoding = LETTERS.get(kind, "latin-1")
        return content.decode(encoding + {"<": "-le", ">": "-be"}[order] * (encoding in ("utf-16", "utf-32")))
    dtype = np.dtype(order + STORED.get(kind, "V1"))
    if kind not in STORED or len(content) != math.prod(header.shape) * dtype.itemsize:
        raise _Damage("a field does not have the size given in its header")
    return np.frombuffer(content, dtype)
