"""HDF5 files of strangers: they end no process, fill no memory and read no other file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest

from svhncli.core.errors import DataError
from svhncli.data.formats import digit_struct, hdf5
from svhncli.data.formats.array_file import arrays_in

pytestmark = pytest.mark.engine


def crash(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.fault("libhdf5 crashes on a file", "an error with the file's name", "3")
def test_a_crash_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.h5'.*SIGSEGV"):
        hdf5.read(tmp_path / "a.h5", crash)


def test_an_array_that_claims_more_than_its_file_holds_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (1 << 40,), np.uint8, chunks=(1 << 10,))
    (array,) = arrays_in(tmp_path / "a.h5")
    with pytest.raises(DataError, match=r"a\.h5'.*far more than a file of this size"):
        array.read()


def test_values_in_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0123456789")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (10,), np.uint8, external=[(str(tmp_path / "secret"), 0, 10)])
    with pytest.raises(DataError, match=r"a\.h5': x has its values in other files"):
        arrays_in(tmp_path / "a.h5")


def test_more_images_than_the_file_can_hold_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "digitStruct.mat", "w") as file:
        group = file.create_group("digitStruct")
        for field in ("name", "bbox"):
            group.create_dataset(field, (1 << 40, 1), h5py.ref_dtype, chunks=(1 << 10, 1))
    with pytest.raises(DataError, match=r"digitStruct\.mat'"):
        digit_struct.read(tmp_path / "digitStruct.mat")
