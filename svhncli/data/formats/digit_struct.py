"""SVHN's digitStruct.mat: MATLAB's structs in an HDF5 file, as version 7.3 of MATLAB writes it.

A file saved again in the format of MATLAB 5, as `scipy.io.savemat` and `save -v7` do, is read, too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from h5py import h5d, h5g, h5o, h5r, h5s

from svhncli.core.errors import DataError, reason
from svhncli.core.processes import apart, available_cpus, in_order
from svhncli.data.formats import boxed_labels, hdf5, mat
from svhncli.data.formats.boxed_labels import BoxedLabel
from svhncli.data.store.disk import Count, silent

LAYOUT = "expected: a struct digitStruct with name and bbox (height, left, top, width, label)"

Result = TypeVar("Result")

_RANGE = 1000
"""Images whose labels a process reads at once: HDF5 takes about a millisecond for each."""
_HEADER = 512  # bytes before HDF5's own, by which MATLAB recognizes its file
_FIELDS = ("height", "left", "top", "width", "label")
_DIGITS = (10, *range(1, 10))  # how the file writes 0 to 9


def read(path: Path, workers: int | None = None, count: Count = silent) -> list[BoxedLabel]:
    """Name, digits and boxes (left, top, right, bottom in pixels) of every image, in the file's order.

    The file's label 10 is digit 0.

    workers: processes; None takes every CPU that this process may use, one for a short file.

    Raises:
        DataError: the file cannot be read, is damaged or of another layout.
    """
    if _is_matlab_5(path):
        return list(_read_matlab_5(path))
    total = hdf5.read(path, _read_length)
    jobs = [(path, start) for start in range(0, total, _RANGE)]
    if workers is None:
        workers = available_cpus()
    labels: list[BoxedLabel] = []
    alone = workers == 1 or len(jobs) < 2  # in_order would read it in this process
    apart_too = (apart(_read_range, job) for job in jobs)
    with contextlib.closing(apart_too if alone else in_order(_read_range, jobs, workers)) as ranges:
        for more in hdf5.named(path, ranges):
            labels += more
            count(len(labels), total)
    return labels


def _guarded(path: Path, read_from: Callable[[Any], Result]) -> Result:
    """`read_from(file)`, with HDF5's many complaints about a damaged file in one."""
    try:
        with h5py.File(path, "r") as file:
            return read_from(file)
    except DataError:
        raise
    except Exception as error:  # whatever HDF5 stumbles over
        why = reason(error, "it is damaged")
        raise DataError(f"cannot read the labels in '{path}': {why}", LAYOUT) from error


def _read_length(path: Path) -> int:
    return _guarded(path, _length)


def _length(file: Any) -> int:
    names, boxes = (file["digitStruct"][field] for field in ("name", "bbox"))
    if names.size != boxes.size or names.dtype.kind != "O":
        raise ValueError("not an array of structs")
    if names.size > os.path.getsize(file.filename):  # the references of an image alone take 16 bytes
        raise ValueError("more images than the file can hold")
    return int(names.size)


def _read_range(job: tuple[Path, int]) -> list[BoxedLabel]:
    """The labels of `_RANGE` images from `start` on."""
    path, start = job

    def read_from(file: Any) -> list[BoxedLabel]:
        struct = file["digitStruct"]
        names, boxes = (struct[field][start : start + _RANGE].ravel() for field in ("name", "bbox"))
        return [_read_image(path, file, *references) for references in zip(names, boxes, strict=True)]

    return _guarded(path, read_from)


def _read_image(path: Path, file: Any, name: Any, box: Any) -> BoxedLabel:
    """Uses h5py's low-level interface, since the high-level one takes several times as long."""
    text = h5r.dereference(name, file.id)
    letters = _values(text, _size(text, 255), np.uint16)
    struct = h5r.dereference(box, file.id)
    label = h5d.open(struct, b"label")
    count, refers = _size(label, boxed_labels.LONGEST), label.dtype.kind == "O"  # a single value is inline
    fields = {}
    for field in boxed_labels.FIELDS:
        data = h5d.open(struct, field.encode())
        if refers:
            targets = [
                h5r.dereference(reference, file.id) for reference in _values(data, count, h5py.ref_dtype)
            ]
            fields[field] = [_values(target, 1, np.float64)[0] for target in targets]
        else:
            fields[field] = _values(data, count, np.float64).tolist()
    return boxed_labels.parse(path, letters.tobytes().decode("utf-16-le"), fields, _DIGITS)


def _size(data: Any, most: int) -> int:
    size = int(np.prod(data.shape))
    if size > most:
        raise ValueError(f"{size} values where there are at most {most}")
    return size


def _values(data: Any, count: int, kind: Any) -> np.ndarray:
    """The `count` values of a data set; HDF5 refuses one with more or fewer, or of another kind."""
    values = np.empty(count, kind)
    data.read(h5s.create_simple((count,)), h5s.ALL, values)
    return values


def _is_matlab_5(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(10) == b"MATLAB 5.0"
    return False


def _read_matlab_5(path: Path) -> Iterator[BoxedLabel]:
    """The fields of an image's boxes are numbers in one struct for each box, or arrays in a single struct."""
    variable = mat.variables(path).get("digitStruct")
    if variable is None or variable.kind != "struct":
        raise DataError(f"'{path}' has no struct digitStruct", LAYOUT)
    for image in mat.structs(path, variable):
        name, boxes = image.get("name"), image.get("bbox")
        if not isinstance(name, str) or not isinstance(boxes, list):
            raise DataError(f"'{path}' is of another layout", LAYOUT)
        fields = {
            field: [value for box in boxes for value in box[field]]
            for field in boxed_labels.FIELDS
            if all(field in box for box in boxes)
        }
        yield boxed_labels.parse(path, name, fields, _DIGITS)


# ----------------------------------------------------------------------------- writing


def write(path: Path, labels: Iterable[tuple[str, tuple[int, ...], np.ndarray]]) -> None:
    """Write a new file of N images with their names, digits and boxes (L, 4); digit 0 becomes 10.

    Values that several images share are stored once, so it takes seconds rather than minutes.

    Raises:
        OSError: the file cannot be written.
    """
    with h5py.File(path, "w", userblock_size=_HEADER) as file:
        targets = _Targets(file)
        stored = [(targets.text(name), targets.boxes(digits, boxes)) for name, digits, boxes in labels]
        struct = _struct(file, "digitStruct", ("name", "bbox"))
        for place, field in enumerate(("name", "bbox")):
            references = [pair[place] for pair in stored]
            struct.create_dataset(field, (len(stored), 1), h5py.ref_dtype, data=_column(references))
    text = b"MATLAB 7.3 MAT-file, Platform: any, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"
    with path.open("r+b") as begin:
        begin.write(text)


class _Targets:
    """What the struct's fields refer to, in the group that MATLAB keeps for it.

    The first text or struct of each length is created; all others are copies whose values are overwritten,
    since HDF5 copies an object with all its content in a fifth of the time.
    """

    def __init__(self, file: h5py.File) -> None:
        self.group = file.create_group("#refs#")
        self.count = 0
        self.numbers: dict[float, h5py.Reference] = {}
        self.originals: dict[tuple[str, int], bytes] = {}

    def text(self, text: str) -> h5py.Reference:
        letters = np.frombuffer(text.encode("utf-16-le"), np.uint16)[:, None]
        copy = self._copy("text", len(letters))
        if copy is None:
            data = self.group.create_dataset(self._new_name("text", len(letters)), data=letters)
            data.attrs["MATLAB_class"] = np.bytes_("char")
            data.attrs["MATLAB_int_decode"] = np.int32(2)
            return data.ref
        _fill(self.group.id, copy, letters)
        return h5r.create(self.group.id, copy, h5r.OBJECT)

    def number(self, value: float) -> h5py.Reference:
        if value not in self.numbers:
            data = self.group.create_dataset(self._new_name(), data=[[value]])
            data.attrs["MATLAB_class"] = np.bytes_("double")
            self.numbers[value] = data.ref
        return self.numbers[value]

    def boxes(self, label: tuple[int, ...], boxes: np.ndarray) -> h5py.Reference:
        left, top, right, bottom = np.asarray(boxes, float).T
        digits = np.where(np.array(label) == 0, 10.0, label)
        columns = [bottom - top, left, top, right - left, digits]
        if len(label) > 1:  # a field of a single number holds it, not a reference
            columns = [_column([self.number(value) for value in values.tolist()]) for values in columns]
        copy = self._copy("boxes", len(label))
        if copy is None:
            group = _struct(self.group, self._new_name("boxes", len(label)), _FIELDS)
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

    def _new_name(self, kind: str = "", length: int = 0) -> str:
        """A new object's name; the first of its kind and length is what others are copied from."""
        self.count += 1
        name = str(self.count)
        if kind:
            self.originals[kind, length] = name.encode()
        return name

    def _copy(self, kind: str, length: int) -> bytes | None:
        """The name of a new copy, or None where there is nothing to copy yet."""
        if (kind, length) not in self.originals:
            return None
        name = self._new_name().encode()
        h5o.copy(self.group.id, self.originals[kind, length], self.group.id, name)
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
