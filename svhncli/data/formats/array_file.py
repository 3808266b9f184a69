"""Arrays in the files of other tools (.npy, .npz, HDF5, .mat), listed without being read."""

from __future__ import annotations

import math
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from svhncli.core.errors import DataError, reason
from svhncli.data.formats import hdf5, mat
from svhncli.data.store import disk

HDF5 = (".h5", ".hdf5", ".hdf")
SUFFIXES = (".npy", ".npz", ".mat", *HDF5)


@dataclass(frozen=True)
class StoredArray:
    """An array in a file: its name there, its shape and type, and what reads it."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _read: Callable[[], np.ndarray] = field(repr=False, compare=False)

    def __str__(self) -> str:
        kind = (
            "pickled objects" if self.dtype.hasobject else "text" if self.dtype.kind in "US" else self.dtype
        )
        return f"{self.name} ({kind} {'×'.join(map(str, self.shape)) or 'scalar'})"

    def read(self) -> np.ndarray:
        """The values; those of a .npy are memory-mapped.

        Raises:
            DataError: the file is damaged, or the array holds pickled objects.
        """
        if self.dtype.hasobject:
            raise DataError(
                f"'{self.file}': {self} could run code when it is read",
                "save it as numbers or text: np.save(…, np.stack(list(array)))",
            )
        size = math.prod(self.shape) * max(1, self.dtype.itemsize)
        if size > disk.most(self.file):
            raise DataError(
                f"'{self.file}': {self} is far more than a file of this size holds",
                f"save it as .npy, which is not packed; svhn stops at {disk.RATIO} times a file's size",
            )
        return _guarded(self.file, self._text if self.dtype.kind == "U" else self._read)

    def _text(self) -> np.ndarray:
        values = self._read()
        if values.dtype.kind == "U" and values.dtype.itemsize and values.size:
            code_points = values.view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
            if code_points.max() > sys.maxunicode:
                raise ValueError("it holds what is no letter")  # of which Python makes no text
        return values


def arrays_in(path: Path) -> list[StoredArray]:
    """The arrays of a file, in its order.

    Raises:
        DataError: it cannot be read, is damaged or not in the format that its suffix says.
    """
    suffix = path.suffix.lower()
    listed = {".npy": _npy, ".npz": _npz, ".mat": _mat}.get(suffix, _hdf5)
    return _guarded(path, lambda: list(listed(path)))


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DataError:
        raise
    except Exception as error:  # whatever NumPy, zipfile and HDF5 stumble over
        why = reason(error, "it is damaged, or of another format than its suffix says")
        raise DataError(f"cannot read '{path}': {why}", "get it again, or save it again") from error


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array in a .npy file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _npy(path: Path) -> Iterator[StoredArray]:
    with path.open("rb") as file:
        shape, dtype = _header(file)
    yield StoredArray(path, path.stem, shape, dtype, partial(np.load, path, mmap_mode="r"))


def _npz(path: Path) -> Iterator[StoredArray]:
    def read(name: str) -> np.ndarray:
        with np.load(path) as arrays:
            return arrays[name]

    with zipfile.ZipFile(path) as members:
        for member in members.namelist():
            name, dot, suffix = member.rpartition(".")
            if dot and suffix == "npy":
                with members.open(member) as file:
                    yield StoredArray(path, name, *_header(file), partial(read, name))


def _hdf5(path: Path) -> Iterator[StoredArray]:
    for name, shape, dtype in hdf5.read(path, _listed_in_hdf5):
        yield StoredArray(path, name, shape, dtype, partial(hdf5.read, path, _read_from_hdf5, name))


def _listed_in_hdf5(path: Path) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    """The names, shapes and types of an HDF5 file's arrays."""
    import h5py

    listed = []
    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visit(names.append)
        for name in names:
            data = file[name]
            if isinstance(data, h5py.Dataset) and data.shape and not name.startswith("#"):
                if data.external or data.is_virtual:  # of any file, if somebody else made this one
                    raise DataError(
                        f"'{path}': {name} has its values in other files", "save them in the file itself"
                    )
                shape = data.shape[::-1] if _by_matlab(data) else data.shape
                dtype = np.dtype(str) if h5py.check_string_dtype(data.dtype) else data.dtype
                listed.append((name, shape, dtype))
    return listed


def _read_from_hdf5(path: Path, name: str) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        data = file[name]
        values = data.asstr()[()].astype(str) if h5py.check_string_dtype(data.dtype) else data[()]
        return values.T if _by_matlab(data) else values


def _by_matlab(data: Any) -> bool:
    """Whether MATLAB wrote an array: it stores the dimensions in reverse."""
    return "MATLAB_class" in data.attrs


def _mat(path: Path) -> Iterator[StoredArray]:
    """A MATLAB file: version 7.3 is HDF5, earlier ones are not."""
    if mat.is_hdf5(path):
        yield from _hdf5(path)
        return

    def read(variable: mat.Variable) -> np.ndarray:
        blocks = list(mat.read(path, variable, 1 << 24))
        values = np.concatenate(blocks) if blocks else np.empty(0)
        return values.reshape(variable.shape, order="F")

    for variable in mat.variables(path).values():
        if variable.kind in mat.NUMBERS and 0 not in variable.shape:
            yield StoredArray(
                path, variable.name, variable.shape, np.dtype(variable.kind), partial(read, variable)
            )
