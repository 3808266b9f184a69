from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from svhncli.core.errors import DataError
from svhncli.core.rng import numpy_generator
from svhncli.data.formats.mat import read, variables

ARRAYS = {
    "X": numpy_generator(0, "mat").integers(0, 256, (4, 4, 3, 21), np.uint8),
    "y": numpy_generator(1, "mat").integers(1, 11, (21, 1), np.uint8),
    "double": np.array([[1.0, 2.5], [-3.0, 1e300]]),
    "single": np.array([[1.5]], np.float32),
    "signed": np.array([[-5, 7, 300]], np.int16),
    "long": np.array([[-(2**60)], [2**60]], np.int64),
    "a_rather_long_name_of_a_variable": np.array([[1, 2, 3, 4, 5]], np.uint32),
    "none": np.zeros((0, 3), np.uint8),
}


def read_all(path: Path, count: int = 5) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate([np.empty(0), *read(path, variable, count)]).reshape(variable.shape, order="F")
        for name, variable in variables(path).items()
    }


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("count", [1, 5, 1000])
def test_values_match_scipys(tmp_path: Path, compress: bool, count: int) -> None:
    savemat(tmp_path / "a.mat", ARRAYS, do_compression=compress)
    reference = loadmat(tmp_path / "a.mat")
    arrays = read_all(tmp_path / "a.mat", count)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        assert array.shape == reference[name].shape
        assert (array == reference[name]).all(), name


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    values = np.array([[1000, -2, 3], [4, 5, 60000]], ">i4")
    parts = [
        struct.pack(">IIII", 6, 8, 12, 0),
        struct.pack(">IIii", 5, 8, *values.shape),
        struct.pack(">HH4s", 1, 1, b"z"),
        struct.pack(">II", 5, values.nbytes) + values.tobytes(order="F"),
    ]
    body = b"".join(parts)
    header = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI"
    (tmp_path / "big.mat").write_bytes(header + struct.pack(">II", 14, len(body)) + body)
    assert (loadmat(tmp_path / "big.mat")["z"] == values).all()
    assert (read_all(tmp_path / "big.mat")["z"] == values).all()


def test_variables_of_other_kinds_are_listed_but_not_read(tmp_path: Path) -> None:
    kinds = {"text": "house", "cells": np.array([1, "a"], object), "logical": np.array([[True]])}
    savemat(tmp_path / "a.mat", kinds | {"complex": np.array([[1j]]), "struct": {"field": 1}})
    kinds = {name: variable.kind for name, variable in variables(tmp_path / "a.mat").items()}
    assert kinds == {
        "text": "char",
        "cells": "cell",
        "logical": "logical uint8",
        "complex": "complex double",
        "struct": "struct",
    }


def whole_file(tmp_path_factory: pytest.TempPathFactory, compress: bool) -> bytes:
    path = tmp_path_factory.mktemp("mat") / "whole.mat"
    savemat(path, {name: ARRAYS[name] for name in ("X", "y")}, do_compression=compress)
    return path.read_bytes()


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return whole_file(tmp_path_factory, True)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return whole_file(tmp_path_factory, False)


def read_or_error(path: Path, data: bytes) -> dict[str, np.ndarray] | DataError:
    path.write_bytes(data)
    try:
        return read_all(path)
    except DataError as error:
        return error


def test_a_flipped_bit_in_a_compressed_array_is_detected(tmp_path: Path, compressed: bytes) -> None:
    draw = numpy_generator(2, "flips")
    for position in draw.integers(128, len(compressed), 400):
        data = bytearray(compressed)
        data[position] ^= 1 << draw.integers(8)
        result = read_or_error(tmp_path / "a.mat", bytes(data))
        unchanged = not isinstance(result, DataError) and all(
            np.array_equal(result.get(name, ()), ARRAYS[name]) for name in ("X", "y")
        )
        # An element whose own tag is damaged may be skipped; values that are read are never wrong.
        assert isinstance(result, DataError) or unchanged or len(result) < 2, position


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damage_of_any_kind_is_a_data_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, stored: bytes, compressed: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(data.draw(st.sampled_from([stored, compressed])))
    for position in data.draw(st.lists(st.integers(0, 400), max_size=4)):
        damaged[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    read_or_error(tmp_path_factory.getbasetemp() / "damaged.mat", bytes(damaged[:cut]))


@pytest.mark.parametrize("kind", ["stored", "compressed"])
def test_a_truncated_file_is_never_read_as_complete(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    whole = request.getfixturevalue(kind)
    for length in range(0, len(whole), 7):
        result = read_or_error(tmp_path / "a.mat", whole[:length])
        assert isinstance(result, DataError) or len(result) < 2


def test_truncation_is_detected_before_anything_is_read(tmp_path: Path, stored: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(stored[:-8])
    with pytest.raises(DataError, match="truncated"):
        variables(tmp_path / "a.mat")


@pytest.mark.parametrize("n", [20, 22])
def test_dimensions_that_do_not_fit_the_data_are_an_error(tmp_path: Path, stored: bytes, n: int) -> None:
    dims = struct.pack("<4i", 4, 4, 3, 21)
    assert stored.count(dims) == 1
    result = read_or_error(tmp_path / "a.mat", stored.replace(dims, struct.pack("<4i", 4, 4, 3, n)))
    assert isinstance(result, DataError)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a MATLAB 5"),
        (b"<html>404</html>", "not a MATLAB 5"),
        (b"x" * 500, "not a MATLAB 5"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF", "MATLAB 7.3"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    result = read_or_error(tmp_path / "a.mat", data)
    assert isinstance(result, DataError)
    assert message in result.message
    assert str(tmp_path / "a.mat") in result.message
    assert result.hint


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        variables(tmp_path / "none.mat")


def test_a_large_array_is_read_in_little_memory(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"X": np.zeros((64, 1 << 20), np.uint8)}, do_compression=True)
    variable = variables(tmp_path / "a.mat")["X"]
    tracemalloc.start()
    try:
        assert sum(len(block) for block in read(tmp_path / "a.mat", variable, 1 << 20)) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
