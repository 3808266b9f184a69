"""data=svhn with files of one's own: gray, alone, one folder deeper, among others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mat_files import COUNTS, assert_equals_mat, load, make_images, write

from svhncli.core.errors import DataError

X, Y = make_images("layout", 5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, n in COUNTS.items():
        write(tmp_path / "data" / f"{part}_32x32.mat", *make_images(part, n))
    return tmp_path / "data"


@pytest.mark.parametrize("pixels", [X[:, :, 0], X[:, :, :1]], ids=["side×side×N", "side×side×1×N"])
def test_gray_images_get_three_equal_channels(root: Path, pixels: np.ndarray) -> None:
    write(root / "test_32x32.mat", pixels, Y)
    digits = load(root).test
    assert digits is not None
    assert np.array_equal(digits.images, np.repeat(X[:, :, :1], 3, 2).transpose(3, 2, 0, 1))


def test_an_official_name_means_its_folder_and_another_file_is_the_training_part(root: Path) -> None:
    assert_equals_mat(load(root / "test_32x32.mat").test, root / "test_32x32.mat")
    mine = write(root / "mine.mat", X, Y)
    data = load(mine)
    assert_equals_mat(data.train, mine)
    assert (data.test, data.unread) == (None, ())
    (root / "digits.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"is not a \.mat file") as caught:
        load(root / "digits.npz")
    assert caught.value.hint == "it is for data=arrays"


def test_files_one_folder_deeper_are_read(root: Path) -> None:
    above = root.parent / "above"
    above.mkdir()
    root.rename(above / "SVHN")
    assert_equals_mat(load(above).test, above / "SVHN" / "test_32x32.mat")


def test_what_lies_beside_the_files_is_named(root: Path) -> None:
    (root / "notes.txt").write_text("")
    write(root / "extra_32x32.mat", X, Y)
    assert load(root).unread == ("extra_32x32.mat (data.extra=train or val uses it)", "notes.txt")
    assert load(root, extra="train").unread == ("notes.txt",)
