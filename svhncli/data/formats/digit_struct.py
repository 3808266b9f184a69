"""Writing SVHN's digitStruct.mat: MATLAB's structs in an HDF5 file, as version 7.3 of MATLAB writes it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5g, h5o, h5r, h5s

from svhncli.data.formats.label_files import Row

_HEADER = 512  # bytes before HDF5's own, by which MATLAB knows its file
_FIELDS = ("height", "left", "top", "width", "label")


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write a new file of N pictures with their digits; digit 0 is 10 in it.

    Numbers that several pictures share are stored once, so that it takes seconds, not minutes.

    Raises:
        OSError: the file cannot be written.
    """
    with h5py.File(path, "w", userblock_size=_HEADER) as file:
        store = _Store(file)
        stored = [(store.text(name), store.boxes(label, boxes)) for name, label, boxes in rows]
        struct = _struct(file, "digitStruct", ("name", "bbox"))
        for place, field in enumerate(("name", "bbox")):
            references = [pair[place] for pair in stored]
            struct.create_dataset(field, (len(stored), 1), h5py.ref_dtype, data=_column(references))
    text = b"MATLAB 7.3 MAT-file, Platform: any, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"
    with path.open("r+b") as begin:
        begin.write(text)


class _Store:
    """What the struct's fields refer to, in the group that MATLAB keeps for it.

    The first text or struct of a length is made, all others are copies whose values are written over: HDF5
    copies an object with all that is in it in a fifth of the time.
    """

    def __init__(self, file: h5py.File) -> None:
        self.group = file.create_group("#refs#")
        self.count = 0
        self.numbers: dict[float, h5py.Reference] = {}
        self.made: dict[tuple[str, int], bytes] = {}

    def text(self, text: str) -> h5py.Reference:
        letters = np.frombuffer(text.encode("utf-16-le"), np.uint16)[:, None]
        copy = self._copied("text", len(letters))
        if copy is None:
            data = self.group.create_dataset(self._named("text", len(letters)), data=letters)
            data.attrs["MATLAB_class"] = np.bytes_("char")
            data.attrs["MATLAB_int_decode"] = np.int32(2)
            return data.ref
        _fill(self.group.id, copy, letters)
        return h5r.create(self.group.id, copy, h5r.OBJECT)

    def number(self, value: float) -> h5py.Reference:
        if value not in self.numbers:
            data = self.group.create_dataset(self._named(), data=[[value]])
            data.attrs["MATLAB_class"] = np.bytes_("double")
            self.numbers[value] = data.ref
        return self.numbers[value]

    def boxes(self, label: tuple[int, ...], boxes: np.ndarray) -> h5py.Reference:
        left, top, right, bottom = np.asarray(boxes, float).T
        digits = np.where(np.array(label) == 0, 10.0, label)
        columns = [bottom - top, left, top, right - left, digits]
        if len(label) > 1:  # a field of one number holds it, not a reference
            columns = [_column([self.number(value) for value in values.tolist()]) for values in columns]
        copy = self._copied("boxes", len(label))
        if copy is None:
            group = _struct(self.group, self._named("boxes", len(label)), _FIELDS)
            for field, column in zip(_FIELDS, columns, strict=True):
                kind = h5py.ref_dtype if len(label) > 1 else np.float64
                data = group.create_dataset(field, (len(label), 1), kind, data=column.reshape(-1, 1))
                if len(label) == 1:
                    data.attrs["MATLAB_class"] = np.bytes_("double")
            return group.ref
        group_id = h5g.open(self.group.id, copy)
        for field, column in zip(_FIELDS, columns, strict=True):
            _fill(group_id, field.encode(), column.reshape(-1, 1))
        return h5r.create(self.group.id, copy, h5r.OBJECT)

    def _named(self, kind: str = "", length: int = 0) -> str:
        """A new object's name; the first of its kind and length is what others are copied from."""
        self.count += 1
        name = str(self.count)
        if kind:
            self.made[kind, length] = name.encode()
        return name

    def _copied(self, kind: str, length: int) -> bytes | None:
        """The name of a copy, or None where there is nothing to copy."""
        if (kind, length) not in self.made:
            return None
        name = self._named().encode()
        h5o.copy(self.group.id, self.made[kind, length], self.group.id, name)
        return name


def _fill(parent: h5g.GroupID, name: bytes, values: np.ndarray) -> None:
    h5d.open(parent, name).write(h5s.ALL, h5s.ALL, np.ascontiguousarray(values))


def _struct(parent: h5py.Group, name: str, fields: tuple[str, ...]) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    letters = np.empty(len(fields), object)
    letters[:] = [np.array(list(field), "S1") for field in fields]
    group.attrs.create("MATLAB_fields", letters, dtype=h5py.vlen_dtype(np.dtype("S1")))
    return group


def _column(references: list[h5py.Reference]) -> np.ndarray:
    column = np.empty((len(references), 1), h5py.ref_dtype)
    column[:, 0] = references
    return column
