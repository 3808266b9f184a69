"""data=arrays: what people keep digits in besides image files, read without guessing."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from svhncli.core.errors import DataError
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.sources import arrays
from svhncli.data.store.cache import Cache

N, H, W = 12, 10, 9


def made(part: str, n: int = N, height: int = H, width: int = W) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, height, width, 3) in which 0 and 255 occur, and digits (n,) in which 0 and 9 do."""
    draw = numpy_generator(0, "arrays", part)
    images = draw.integers(0, 256, (n, height, width, 3), np.uint8)
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    digits = np.arange(n) % 10
    return images, digits.astype(np.uint8)


X, Y = made("train")
TEST_X, TEST_Y = made("test", 5)


def load(root: Path, **options: Any) -> DataSet:
    folder = root if root.is_dir() else root.parent
    return arrays.load(root, cache=Cache(folder.parent / "cache"), **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def assert_part(digits: Any, images: np.ndarray, labels: np.ndarray) -> None:
    """A part has images (N, H, W, 3) and digits (N,)."""
    assert np.array_equal(digits.images, images.transpose(0, 3, 1, 2))
    assert digits.labels[:, 0].tolist() == labels.tolist()


def npz(root: Path) -> Path:
    np.savez(root / "svhn.npz", x_train=X, y_train=Y, x_test=TEST_X, y_test=TEST_Y)
    return root / "svhn.npz"


def npy_pairs(root: Path) -> Path:
    for name, values in (("train_X", X), ("train_y", Y), ("test_X", TEST_X), ("test_y", TEST_Y)):
        np.save(root / f"{name}.npy", values)
    return root


def npy_file(root: Path) -> Path:
    npy_pairs(root)
    return root / "train_X.npy"


def npy_in_folders(root: Path) -> Path:
    for part, x, y in (("train", X, Y), ("test", TEST_X, TEST_Y)):
        (root / part).mkdir()
        np.save(root / part / "images.npy", x)
        np.save(root / part / "labels.npy", y)
    return root


def one_folder_deeper(root: Path) -> Path:
    (root / "svhn-arrays").mkdir()
    npz(root / "svhn-arrays")
    return root


def file_for_each_part(root: Path) -> Path:
    np.savez_compressed(root / "train.npz", data=X, labels=Y)
    np.savez_compressed(root / "test.npz", data=TEST_X, labels=TEST_Y)
    return root


def hdf5(root: Path) -> Path:
    with h5py.File(root / "svhn.h5", "w") as file:
        file["X_train"], file["y_train"], file["X_test"], file["y_test"] = X, Y, TEST_X, TEST_Y
    return root / "svhn.h5"


def hdf5_groups(root: Path) -> Path:
    with h5py.File(root / "svhn.hdf5", "w") as file:
        for part, x, y in (("train", X, Y), ("test", TEST_X, TEST_Y)):
            file[f"{part}/images"], file[f"{part}/digits"] = x, y
    return root


def matlab_5(root: Path) -> Path:
    savemat(root / "mine.mat", {"trainX": X, "trainY": Y, "testX": TEST_X, "testY": TEST_Y})
    return root


def matlab_7(root: Path) -> Path:
    """As MATLAB's save -v7.3 writes X (H, W, 3, N): its dimensions in reverse."""
    path = root / "mine.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in (("X", X), ("y", Y[:, None]), ("test_X", TEST_X), ("test_y", TEST_Y[:, None])):
            values = values.transpose(1, 2, 3, 0) if values.ndim == 4 else values
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("uint8")
    with path.open("r+b") as begin:
        begin.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")
    return path


LAYOUTS = (
    npz,
    npy_pairs,
    npy_file,
    npy_in_folders,
    one_folder_deeper,
    file_for_each_part,
    hdf5,
    hdf5_groups,
    matlab_5,
    matlab_7,
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_same_pixels_labels_and_parts(
    root: Path, layout: Callable[[Path], Path]
) -> None:
    data = load(layout(root))
    assert_part(data.train, X, Y)
    assert_part(data.test, TEST_X, TEST_Y)
    assert data.val is None
    assert data.unread == ()


def test_the_test_part_can_be_loaded_alone(root: Path) -> None:
    data = load(npz(root), test_only=True)
    assert len(data.train) == 0
    assert_part(data.test, TEST_X, TEST_Y)


ORDERS = {
    "NCHW": X.transpose(0, 3, 1, 2),
    "HWCN": X.transpose(1, 2, 3, 0),
    "CHWN": X.transpose(3, 1, 2, 0),
    "NHWC": np.asfortranarray(X),
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_axes_are_found_by_the_shape_and_reported(root: Path, order: str) -> None:
    np.savez(root / "a.npz", X=ORDERS[order], y=Y)
    data = load(root)
    assert_part(data.train, X, Y)
    assert f"as {order}, values 0 to 255" in data.read[0]


GRAY = X[..., 0]
GRAY_ORDERS = {
    "NHW": GRAY,
    "HWN": GRAY.transpose(1, 2, 0),
    "NHWC": GRAY[..., None],
    "NCHW": GRAY[:, None],
}


@pytest.mark.parametrize("order", GRAY_ORDERS)
def test_gray_images_get_three_equal_channels(root: Path, order: str) -> None:
    np.savez(root / "a.npz", X=GRAY_ORDERS[order], y=Y)
    assert_part(load(root).train, np.repeat(GRAY[..., None], 3, -1), Y)


def test_the_pixels_of_square_gray_images_may_lie_in_a_row(root: Path) -> None:
    square = made("square", width=H)[0][..., 0]
    np.savez(root / "a.npz", X=square.reshape(N, -1), y=Y)
    assert_part(load(root).train, np.repeat(square[..., None], 3, -1), Y)


SCALES = {
    "float 0 to 1": (X / np.float32(255), "values 0 to 1"),
    "float 0 to 255": (X.astype(np.float32), "values 0 to 255"),
    "float -1 to 1": (X / 127.5 - 1, "values -1 to 1"),
    "12 bits in 16": (np.rint(X * (4095 / 255)).astype(np.uint16), "values 0 to 4095"),
    "8 bits in 16": (X.astype(np.uint16), "values 0 to 255"),
    "16 bits": (X.astype(np.uint16) * 257, "values 0 to 65535"),
    "signed": (X.astype(np.int32), "values 0 to 255"),
    "standardized": (X * (4.5 / 255) - 2.0, "values -2 to 2.5"),
}


@pytest.mark.parametrize("kind", SCALES)
def test_values_of_any_scale_become_0_to_255_and_the_scale_is_reported(root: Path, kind: str) -> None:
    values, reported = SCALES[kind]
    np.savez(root / "a.npz", X=values, y=Y)
    data = load(root)
    assert_part(data.train, X, Y)
    assert reported in data.read[0]


def test_booleans_are_black_and_white(root: Path) -> None:
    np.savez(root / "a.npz", X=X[..., 0] > 100, y=Y)
    assert set(np.unique(load(root).train.images)) == {0, 255}


SINGLE = {
    "column": (Y[:, None], ""),
    "row": (Y[None], ""),
    "float": (Y.astype(float), ""),
    "ten is zero": (np.where(Y == 0, 10, Y), "10 is the digit 0"),
    "one-hot": (np.eye(10)[Y], ""),
    "text": (Y.astype(str), ""),
    "bytes": (Y.astype("S1"), ""),
}


@pytest.mark.parametrize("kind", SINGLE)
def test_labels_in_every_usual_form_are_the_same_digits(root: Path, kind: str) -> None:
    values, reported = SINGLE[kind]
    np.savez(root / "a.npz", X=X, y=values)
    data = load(root)
    assert data.train.labels.tolist() == Y[:, None].tolist()
    assert (reported in data.read) == bool(reported)


NUMBERS = ["1", "20", "305", "07", "9", "10", "111", "4", "5", "6", "78", "90"]
PADDED = np.array([[*map(int, number), *[10] * (3 - len(number))] for number in NUMBERS])
LENGTHS = np.array([[len(number)] for number in NUMBERS])
ZERO_IS_TEN = np.where(PADDED == 0, 10, np.where(PADDED == 10, 0, PADDED))
SEVERAL = {
    "padded with 10": (PADDED, "10 is no digit"),
    "padded with -1": (np.where(PADDED == 10, -1, PADDED), "-1 is no digit"),
    "ten is zero, padded with 0": (ZERO_IS_TEN, "10 is the digit 0, 0 is no digit"),
    "ten is zero, padded with -1": (
        np.where(ZERO_IS_TEN == 0, -1, ZERO_IS_TEN),
        "10 is the digit 0, -1 is no digit",
    ),
    "length first": (np.hstack([LENGTHS, PADDED]), "the first column is the number of digits"),
    "length first, padded with 0": (
        np.hstack([LENGTHS, np.where(PADDED == 10, 0, PADDED)]),
        "the first column is the number of digits",
    ),
    "text": (np.array(NUMBERS), "-1 is no digit"),
    "one-hot": (np.eye(11)[PADDED], "10 is no digit"),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_numbers_in_every_usual_form_are_the_same_digits(root: Path, kind: str) -> None:
    values, reported = SEVERAL[kind]
    np.savez(root / "a.npz", X=X, y=values)
    data = load(root)
    assert data.train.labels.tolist() == PADDED.tolist()
    assert reported in data.read


REFUSED = {
    "0 and 10": (np.where(Y == 3, 10, Y), "fits no way of writing digits"),
    "numbers as integers": (Y.astype(int) + 23, "label 23 in row 0"),
    "half": (Y + 0.5, "label 0.5 in row 0"),
    "not a number": (np.where(Y == 3, np.nan, Y), "label nan in row 3"),
    "words": (np.where(Y == 3, "three", Y.astype(str)), "label 'three' in row 3"),
    "negative": (Y.astype(int) - 1, "label -1 in row 0"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_labels_that_are_no_digits_are_refused_with_their_row_and_array(root: Path, kind: str) -> None:
    values, problem = REFUSED[kind]
    np.savez(root / "a.npz", X=X, y=values)
    with pytest.raises(DataError) as caught:
        load(root)
    assert problem in caught.value.message
    assert "a.npz', y" in caught.value.message


def test_arrays_that_are_not_used_are_named(root: Path) -> None:
    np.savez(
        root / "a.npz", x_train=X, y_train=Y, x_extra=TEST_X, bbox_train=np.zeros((N, 4)), mean=X.mean(0)
    )
    (root / "notes.txt").write_text("")
    (root / "old").mkdir()
    assert load(root).unread == (
        "notes.txt",
        "old",
        "a.npz: x_extra (uint8 5×10×9×3)",
        "a.npz: bbox_train (float64 12×4)",
        "a.npz: mean (float64 10×9×3)",
    )


def test_a_test_part_without_labels_does_not_stop_training(root: Path) -> None:
    np.savez(root / "a.npz", x_train=X, y_train=Y, x_test=TEST_X)
    data = load(root)
    assert data.test is None
    assert data.unread == ("a.npz: x_test (uint8 5×10×9×3)",)


def test_arrays_of_a_validation_part_have_any_of_its_names(root: Path) -> None:
    for word in ("val", "valid", "validation", "dev"):
        np.savez(root / "a.npz", **{f"X_{word}": TEST_X, f"y_{word}": TEST_Y, "X_train": X, "y_train": Y})
        assert_part(load(root).val, TEST_X, TEST_Y)


def test_several_possible_arrays_are_refused_until_a_word_names_them(root: Path) -> None:
    np.savez(root / "a.npz", fine=Y, coarse=Y // 2, small=X, large=np.repeat(X, 2, 1))
    with pytest.raises(DataError, match=r"several arrays may be.*coarse \(uint8 12\)") as caught:
        load(root)
    assert caught.value.hint == "name them, such as data.images=small data.labels=fine"
    assert_part(load(root, images="small", labels="fine").train, X, Y)
    data = load(root, images="large", labels="coarse")
    assert_part(data.train, np.repeat(X, 2, 1), Y // 2)


def test_images_and_labels_of_unequal_number_are_refused_with_their_shapes(root: Path) -> None:
    np.savez(root / "a.npz", x_train=X, y_train=Y[:5])
    with pytest.raises(DataError, match=r"no arrays are.*x_train \(uint8 12×10×9×3\), y_train \(uint8 5\)"):
        load(root)
    np.savez(root / "a.npz", x_train=X, y_train=Y, x_test=TEST_X, y_test=TEST_Y[:3])
    with pytest.raises(DataError, match=r"no arrays are.*of the test part"):
        load(root)


def test_groups_of_an_array_are_kept_and_distinct_across_parts(root: Path) -> None:
    groups = np.array(["a", "b"] * (N // 2))
    np.savez(root / "a.npz", x_train=X, y_train=Y, groups_train=groups, x_test=TEST_X, y_test=TEST_Y)
    data = load(root)
    assert data.train.groups.tolist() == [0, 1] * (N // 2)
    assert data.test is not None
    assert data.test.groups.min() > 1


def test_neighbors_on_one_plain_wall_are_not_taken_for_a_single_house_number(root: Path) -> None:
    digits = np.zeros((40, 16, 16), np.uint8)
    digits[:, 6:10, 6:10] = 200
    np.savez(root / "a.npz", X=digits, y=np.arange(40) % 9 + 1)
    assert len(np.unique(load(root).train.groups)) == 40


def test_pickled_objects_are_never_loaded(root: Path) -> None:
    np.save(root / "x_train.npy", X)
    np.save(root / "y_train.npy", Y.astype(object), allow_pickle=True)
    with pytest.raises(DataError, match=r"y_train \(pickled objects 12\)"):
        load(root)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.h5", "a.mat"])
def test_a_damaged_file_is_one_message(root: Path, name: str) -> None:
    (root / name).write_bytes(b"not an array")
    with pytest.raises(DataError, match=name):
        load(root)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(root: Path, value: float) -> None:
    images = X / 255
    images[3, 2, 1, 0] = value
    np.savez(root / "a.npz", X=images, y=Y)
    with pytest.raises(DataError, match="not finite"):
        load(root)


def test_changed_arrays_are_seen(root: Path) -> None:
    before = load(npz(root))
    np.savez(root / "svhn.npz", x_train=255 - X, y_train=Y, more=np.arange(3))
    after = load(root)
    assert_part(after.train, 255 - X, Y)
    assert before.fingerprint != after.fingerprint


def test_a_folder_of_another_format_is_named_with_the_source_that_reads_it(root: Path) -> None:
    (root / "train").mkdir()
    (root / "train" / "labels.csv").write_text("file,label\n")
    with pytest.raises(DataError, match="holds train") as caught:
        load(root)
    assert caught.value.hint == "'train/labels.csv' is for data=folder"


def test_files_without_arrays_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "digits.npz", "w"):
        pass
    with pytest.raises(DataError, match=r"no arrays of a training part: there are none in '.*digits\.npz'"):
        arrays.load(tmp_path, cache=Cache(tmp_path / "cache"))
