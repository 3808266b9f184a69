"""Images that the user names: which files, in which order, and how they are stored."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from scipy.io import savemat

from svhncli.core.errors import DataError
from svhncli.core.rng import numpy_generator
from svhncli.data import inputs
from svhncli.data.formats import cropped_mat
from svhncli.data.formats.images import decode
from svhncli.data.framing import Framing
from svhncli.data.inputs import StoredImage

pytestmark = pytest.mark.engine

FRAMING = Framing(16, 24)


def make_image(path: Path, seed: int = 0) -> str:
    pixels = numpy_generator(seed, "inputs").integers(0, 256, (20, 30, 3), np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return str(path)


def all_stored(path: Path, framing: Framing) -> tuple[list[str], list[StoredImage]]:
    """Names and images of a file, none of which is broken."""
    names, images = zip(*inputs.stored([str(path)], framing), strict=True)
    assert all(isinstance(image, StoredImage) for image in images)
    return list(names), cast("list[StoredImage]", list(images))


def test_a_folder_stands_for_its_images_sorted_by_name(folder: Path) -> None:
    for name in ("b.PNG", "a.jpg", "10.png", "9.png", ".hidden.png", "._b.png"):
        make_image(folder / "photos" / name)
    (folder / "photos" / "list.csv").write_text("")
    make_image(folder / "photos" / "inner" / "c.png")
    assert inputs.find(["photos"], []) == [f"photos/{name}" for name in ("10.png", "9.png", "a.jpg", "b.PNG")]


def test_files_come_in_the_order_of_the_arguments(folder: Path) -> None:
    for name in ("b.png", "a.png", "d/2.png", "d/1.png", "e/3.png"):
        make_image(folder / name)
    assert inputs.find(["b.png", "d", "a.png"], []) == ["b.png", "d/1.png", "d/2.png", "a.png"]
    assert inputs.find(["?.png"], []) == ["a.png", "b.png"]
    assert inputs.find(["**/[13].png"], []) == ["d/1.png", "e/3.png"]
    assert inputs.find(["[de]"], []) == ["d/1.png", "d/2.png", "e/3.png"]


def test_a_name_that_looks_like_a_glob_is_the_file_of_that_name(folder: Path) -> None:
    make_image(folder / "[a].png")
    make_image(folder / "a.png")
    assert inputs.find(["[a].png"], []) == ["[a].png"]


def test_a_list_names_one_file_per_line_with_any_characters() -> None:
    lines = [b"a b.png\n", b"\n", b"*.png\r\n", b"\xff=1,[x].png"]
    assert inputs.find(["-"], lines) == ["a b.png", "*.png", os.fsdecode(b"\xff=1,[x].png")]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.png"], "no file, folder or glob matches 'nowhere.png'"),
        (["*.png"], "matches '*.png'"),
        (["empty"], "no images (.png"),
        (["-"], "the list on standard input is empty"),
    ],
)
def test_arguments_that_match_no_image_are_a_data_error(folder: Path, args: list[str], message: str) -> None:
    (folder / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        inputs.find(args, [])
    assert message in caught.value.message
    assert caught.value.hint


@given(st.lists(st.sampled_from(["good", "broken", "missing"]), max_size=3 * inputs.TASK))
def test_images_come_in_order_and_broken_ones_are_reported_in_place(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    good = make_image(folder / "good.png")
    (folder / "broken.png").write_bytes(Path(good).read_bytes()[:200])
    files = [str(folder / f"{kind}.png") for kind in kinds]
    expected = FRAMING.store(decode(Path(good)), ())
    for file, (name, image) in zip(files, inputs.stored(files, FRAMING), strict=True):
        assert name == file
        if file == good:
            assert isinstance(image, StoredImage)
            np.testing.assert_array_equal(image.pixels, expected)
        else:
            assert isinstance(image, DataError)
            assert file in image.message


@dataclass(frozen=True)
class CrashingFraming(Framing):
    """Crashes the process that frames an image of one pixel."""

    def store(self, image: Image.Image, boxes: Any) -> np.ndarray:
        if image.size == (1, 1):
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().store(image, boxes)


@pytest.mark.fault("an image crashes its decoder in `svhn predict`", "named; the others are predicted", "3")
def test_an_image_that_crashes_its_decoder_is_reported_in_place(tmp_path: Path) -> None:
    for name, side in (("a", 8), ("b", 1), ("c", 8)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
    files = [str(tmp_path / f"{name}.png") for name in "abc"]
    (_, a), (_, b), (name, c) = inputs.stored(files, CrashingFraming(8, 8))
    assert isinstance(b, DataError)
    assert f"cannot read the image '{files[1]}'" in b.message
    assert isinstance(a, StoredImage)
    assert isinstance(c, StoredImage)
    assert name == files[2]


def test_a_mat_file_needs_no_labels_and_its_images_are_numbered(tmp_path: Path) -> None:
    pixels = numpy_generator(1, "inputs").integers(0, 256, (16, 16, 3, 5), np.uint8)
    savemat(tmp_path / "x.mat", {"X": pixels})
    square = Framing(16, 16)
    names, images = all_stored(tmp_path / "x.mat", square)
    assert names == [f"{tmp_path}/x.mat/{i}" for i in range(5)]
    np.testing.assert_array_equal([image.pixels for image in images], pixels.transpose(3, 2, 0, 1))


@pytest.mark.parametrize(
    "variables",
    [{"y": np.ones((3, 1))}, {"X": np.ones((16, 16, 3, 2))}, {"X": np.ones((16, 8, 3, 2), np.uint8)}],
)
def test_a_mat_file_of_another_layout_counts_as_a_single_broken_image(
    tmp_path: Path, variables: dict[str, Any]
) -> None:
    savemat(tmp_path / "x.mat", variables)
    files = [str(tmp_path / "x.mat"), make_image(tmp_path / "a.png")]
    (_, broken), (name, good) = inputs.stored(files, FRAMING)
    assert isinstance(broken, DataError)
    assert "expected: X uint8" in broken.hint
    assert (name, type(good)) == (files[1], StoredImage)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.h5"])
def test_images_in_an_array_need_no_labels_and_are_numbered(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 10, 10, 3), np.uint8)
    path = tmp_path / name
    if name == "x.npy":
        np.save(path, pixels)
    elif name == "x.npz":
        np.savez(path, x_train=pixels[::-1], y_train=np.arange(4), x_test=pixels)
    else:
        with h5py.File(path, "w") as file:
            file["X"] = pixels / 255
    names, images = all_stored(path, Framing(10, 10))
    assert names == [f"{path}/{i}" for i in range(4)]
    assert np.array_equal(np.stack([image.pixels for image in images]), pixels.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0)], ids=["NHW", "HWN"])
def test_an_array_of_many_square_images_is_numbered_throughout(tmp_path: Path, axes: tuple[int, ...]) -> None:
    pixels = np.zeros((cropped_mat.BLOCK + 2, 8, 8), np.uint8)
    pixels[-1] = 255
    np.save(tmp_path / "x.npy", pixels.transpose(axes))
    names, images = all_stored(tmp_path / "x.npy", Framing(8, 8))
    assert names == [f"{tmp_path}/x.npy/{i}" for i in range(len(pixels))]
    assert [int(image.pixels.max()) for image in images] == [*[0] * (len(pixels) - 1), 255]


def test_the_height_of_gray_images_comes_before_their_width(tmp_path: Path) -> None:
    pixels = np.arange(12 * 10 * 9, dtype=np.uint8).reshape(12, 10, 9)
    np.save(tmp_path / "x.npy", pixels)
    _, images = all_stored(tmp_path / "x.npy", Framing(10, 9))
    assert np.array_equal(np.stack([image.pixels for image in images])[:, 0], pixels)


def test_several_arrays_of_images_count_as_a_single_broken_image_that_names_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros((4, 10, 10)), b=np.zeros((4, 10, 10)))
    ((_, problem),) = inputs.stored([str(tmp_path / "x.npz")], Framing(10, 10))
    assert isinstance(problem, DataError)
    assert "several arrays" in problem.message
    assert "a (float64 4×10×10), b (float64 4×10×10)" in problem.message


def test_the_photograph_and_its_size_are_those_of_the_upright_image(tmp_path: Path) -> None:
    image = Image.fromarray(numpy_generator(2, "inputs").integers(0, 256, (20, 30, 3), np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    _, (turned,) = all_stored(tmp_path / "turned.png", FRAMING)
    upright = image.transpose(Image.Transpose.ROTATE_270)
    assert turned.size == turned.photograph().size == (20, 30)
    assert np.array_equal(turned.photograph(), upright)
    np.save(tmp_path / "x.npy", np.stack([np.asarray(upright)] * 2))
    _, (_, last) = all_stored(tmp_path / "x.npy", FRAMING)
    assert last.size == (20, 30)
    assert np.array_equal(last.photograph(), upright)


def test_only_the_files_that_are_read_ahead_are_opened(tmp_path: Path) -> None:
    file, opened = make_image(tmp_path / "a.png"), 0

    def files() -> Iterator[str]:
        nonlocal opened
        for _ in range(100_000):
            opened += 1
            yield file

    reader = inputs.stored(cast("Any", files()), Framing(2, 2))
    for count in range(3 * inputs.TASK * inputs.AHEAD):
        next(reader)
        assert opened <= count + (inputs.AHEAD + 1) * inputs.TASK + 1
    reader.close()
