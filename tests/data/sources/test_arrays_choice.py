"""data=arrays: which arrays are used, and what is decided for the arrays of all parts at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svhncli.core.errors import DataError
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.sources import arrays
from svhncli.data.store.cache import Cache

N = 12
X = numpy_generator(0, "arrays").integers(0, 256, (N, 10, 9, 3), np.uint8)
X[0, 0, 0], X[0, 0, 1] = 0, 255
Y = np.arange(N) % 10


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def load(root: Path, **options: Any) -> DataSet:
    return arrays.load(root, cache=Cache(root.parent / "cache"), **options)


def assert_pixels(digits: Any, images: np.ndarray) -> None:
    """A part has images (N, H, W, 3)."""
    assert np.array_equal(digits.images, images.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("dark", ["train", "test"])
def test_all_parts_share_one_scale_and_a_dark_part_stays_dark(root: Path, dark: str) -> None:
    """Alone, the values of the dark part would be taken for 8 bits, and those of the other one for 12."""
    bits = {part: np.rint(X * (4095 / 255 / (20 if part == dark else 1))) for part in ("train", "test")}
    np.savez(
        root / "a.npz",
        x_train=bits["train"].astype(np.uint16),
        x_test=bits["test"].astype(np.uint16),
        y_train=Y,
        y_test=Y,
    )
    data = load(root)
    for part in ("train", "test"):
        assert_pixels(getattr(data, part), np.rint(bits[part] * (255 / 4095)))


@pytest.mark.parametrize("telling", ["train", "test"])
def test_the_convention_of_labels_is_that_of_all_parts(root: Path, telling: str) -> None:
    """10, 20 and 30 where no label is a 10, but 1, 2 and 3 where another part has one."""
    numbers = np.array([[1, 0], [2, 0], [3, 0]])
    written = {
        part: np.vstack([[[10, 4] if part == telling else [5, 4]], numbers]) for part in ("train", "test")
    }
    np.savez(
        root / "a.npz",
        x_train=X[:4],
        x_test=X[4:8],
        **{f"y_{part}": labels for part, labels in written.items()},
    )
    data = load(root)
    assert data.read[-1] == "10 is the digit 0, 0 is no digit"
    for part in ("train", "test"):
        first = [0, 4] if part == telling else [5, 4]
        assert getattr(data, part).labels.tolist() == [first, [1, 10], [2, 10], [3, 10]]


def test_other_words_choose_other_arrays_of_the_same_file(root: Path) -> None:
    np.savez(root / "a.npz", fine=Y, coarse=Y // 2, light=X, dark=X // 2)
    for images, labels in (("light", "fine"), ("dark", "fine"), ("dark", "coarse")):
        data = load(root, images=images, labels=labels)
        assert_pixels(data.train, X if images == "light" else X // 2)
        assert data.train.labels[:, 0].tolist() == (Y if labels == "fine" else Y // 2).tolist()


def test_usual_names_decide_between_arrays_of_the_same_shape(root: Path) -> None:
    np.savez(root / "a.npz", small=X // 2, images=X, digits=Y, shades=Y // 2)
    data = load(root)
    assert_pixels(data.train, X)
    assert data.train.labels[:, 0].tolist() == Y.tolist()
    assert data.unread == (
        "a.npz: small (uint8 12×10×9×3)",
        "a.npz: shades (int64 12)",
    )


def test_arrays_of_other_shapes_are_not_taken_for_images(root: Path) -> None:
    others = {"corners": (N, 4, 2), "features": (N, 90), "flow": (N, 10, 9, 2), "tiny": (N, 7, 7)}
    np.savez(root / "a.npz", photographed=X, y=Y, **{name: np.ones(shape) for name, shape in others.items()})
    data = load(root)
    assert_pixels(data.train, X)
    assert len(data.unread) == len(others)


def test_groups_are_not_taken_for_labels_and_never_unpickled(root: Path) -> None:
    groups = np.arange(N) // 2 % 5
    np.savez(root / "a.npz", x=X, written=Y, groups=groups)
    data = load(root)
    assert data.train.labels[:, 0].tolist() == Y.tolist()
    assert data.train.groups.tolist() == groups.tolist()
    np.savez(root / "a.npz", x=X, y=Y, groups=groups.astype(object))
    with pytest.raises(DataError, match=r"groups \(pickled objects 12\) could run code"):
        load(root)


def test_neighboring_crops_of_one_number_share_a_group(root: Path) -> None:
    wide = numpy_generator(0, "wide").integers(0, 256, (5, 32, 48, 3), np.uint8)
    crops = np.stack([crop for wall in wide for crop in (wall[:, :32], wall[:, 16:])])
    np.savez(root / "a.npz", x=crops, y=[1, 2] * 5)
    assert load(root).train.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_part_that_is_none_of_the_three_is_not_trained_on(root: Path) -> None:
    np.savez(root / "a.npz", x_train=X, y_train=Y, x_extra=X, y_extra=Y)
    data = load(root)
    assert len(data.train) == N
    assert data.unread == ("a.npz: x_extra (uint8 12×10×9×3)", "a.npz: y_extra (int64 12)")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Val"])
def test_the_folder_of_a_validation_part_has_any_of_its_usual_names(root: Path, name: str) -> None:
    for part in ("train", name):
        (root / part).mkdir()
        np.savez(root / part / "digits.npz", x=X if part == "train" else X // 2, y=Y)
    data = load(root)
    assert_pixels(data.train, X)
    assert_pixels(data.val, X // 2)


def test_labels_of_all_parts_are_padded_to_the_longest_number(root: Path) -> None:
    images = np.zeros((4, 10, 10, 3), np.uint8)
    images[:, 0] = 255
    longer, shorter = np.array(["1", "20", "305", "4"]), np.array(["1", "20", "3", "4"])
    np.savez(root / "a.npz", x_train=images, y_train=longer, x_test=images, y_test=shorter)
    data = load(root)
    assert data.test is not None
    assert data.train.labels.tolist() == [[1, 10, 10], [2, 0, 10], [3, 0, 5], [4, 10, 10]]
    assert data.test.labels.tolist() == [[1, 10, 10], [2, 0, 10], [3, 10, 10], [4, 10, 10]]


def test_parts_of_different_sizes_are_refused(root: Path) -> None:
    images, larger = np.zeros((4, 10, 10, 3), np.uint8), np.zeros((4, 20, 10, 3), np.uint8)
    np.savez(root / "a.npz", x_train=images + 1, y_train=np.arange(4), x_test=larger, y_test=np.arange(4))
    with pytest.raises(DataError, match=r"x_train .*4×10×10×3.* and x_test .*4×20×10×3.* different sizes"):
        load(root)


def test_files_whose_arrays_do_not_fit_together_are_all_named(root: Path) -> None:
    np.save(root / "images.npy", X)
    np.save(root / "labels.npy", Y[:-1])
    with pytest.raises(DataError) as caught:
        load(root)
    assert f"'{root / 'images.npy'}' holds images (uint8 12×10×9×3); " in caught.value.message
    assert f"'{root / 'labels.npy'}' holds labels (int64 11)" in caught.value.message
