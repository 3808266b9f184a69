"""Images without a number that are cut from photographs beside the boxes of their digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_files import numbers, write_yolo
from hypothesis import given
from hypothesis import strategies as st
from own_images import load as load_folder
from photo_files import Row, write_mchar
from PIL import Image

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.framing import Box, Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import mchar, photograph_files
from svhncli.data.sources.blank_windows import LEAST, TALLEST, WIDEST, window, with_windows
from svhncli.data.split import holdout
from svhncli.data.store.cache import Cache

WHOLE = Framing(16, 32)
CROPPED = Framing(16, 32, "boxes", 0.1, 0.25)

side = st.floats(-50, 450, width=32)
box = st.tuples(side, side, side, side)


def load(root: Path, framing: Framing = WHOLE, **options: Any) -> DataSet:
    return mchar.load(root, framing, cache=Cache(root / "cache"), **options)


def photograph(folder: Path, name: str, size: tuple[int, int], box: Box, **changes: Any) -> PhotographFile:
    """A black photograph whose box is white."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    left, top, right, bottom = map(int, box)
    pixels[top:bottom, left:right] = 255
    Image.fromarray(pixels).save(folder / name)
    return replace(PhotographFile(f"train/{name}", folder / name, (7,), (box,)), **changes)


# ----------------------------------------------------------------------------- one window


@given(st.tuples(st.integers(1, 400), st.integers(1, 400)), st.lists(box, min_size=1, max_size=4))
def test_a_window_is_inside_touches_no_box_and_is_of_a_sensible_form(
    size: tuple[int, int], boxes: list[Box]
) -> None:
    if (found := window(*size, boxes)) is None:
        return
    left, top, right, bottom = found
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    width, height = right - left, bottom - top
    assert min(width, height) >= LEAST
    assert 1 / TALLEST <= width / height <= WIDEST
    for x, y, z, w in boxes:  # a wrong box may have its sides exchanged
        beside = max(x, z) <= left or min(x, z) >= right or max(y, w) <= top or min(y, w) >= bottom
        assert beside


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((60, 20, 100, 40), (0, 0, 58, 60)),  # 2 pixels away from the box
        ((20, 20, 40, 40), (42, 0, 120, 60)),
        ((0, 30, 120, 60), (6, 0, 114, 27)),  # above, no more than four times as wide as high
        ((0, 0, 120, 30), (6, 33, 114, 60)),
    ],
)
def test_the_largest_window_is_taken(box: Box, expected: tuple[int, int, int, int]) -> None:
    assert window(120, 60, [box]) == expected


def test_a_long_strip_gives_its_middle() -> None:
    assert window(30, 300, [(15, 0, 30, 300)]) is None  # the margin leaves no room on the left
    assert window(60, 300, [(50, 100, 60, 110)]) == (0, 145, 60, 265)
    assert window(300, 60, [(0, 0, 300, 30)]) == (96, 33, 204, 60)


def test_there_is_no_window_where_no_strip_has_room() -> None:
    assert window(40, 40, [(10, 10, 30, 30)]) is None
    assert window(40 + LEAST, 40, [(10, 10, 30, 30)]) is not None


# ----------------------------------------------------------------------------- which photographs


def test_windows_are_spread_over_the_photographs_and_always_the_same(tmp_path: Path) -> None:
    files = [photograph(tmp_path, f"{i}.png", (60, 30), (5, 5, 15, 20)) for i in range(100)]
    images = with_windows(files, 0.2)
    assert images == with_windows(files, 0.2)
    assert [image.name for image in images[:100]] == [file.name for file in files]
    cut = images[100:]
    assert len(cut) == 20
    places = [int(image.path.stem) for image in cut]
    assert places == sorted(set(places))
    assert min(places) < 20 < 80 < max(places)
    assert all(image.label == image.boxes == () for image in cut)
    assert {image.name for image in cut} == {f"train/{place}.png#blank" for place in places}


def test_a_window_shares_the_group_of_its_photograph(tmp_path: Path) -> None:
    files = [
        photograph(tmp_path, f"{i}.png", (60, 30), (5, 5, 15, 20), group="meter" if i < 4 else "")
        for i in range(8)
    ]
    images = with_windows(files, 0.9)
    groups = {image.name: image.group for image in images}
    cut = [image.name for image in images[8:]]
    assert len(cut) == 7
    for name in cut:
        assert groups[name] == groups[name.removesuffix("#blank")] != ""
    assert len({group for name, group in groups.items() if group and group != "meter"}) >= 3


def test_photographs_without_room_are_passed_over(tmp_path: Path) -> None:
    roomy = [photograph(tmp_path, f"{i}.png", (60, 30), (5, 5, 15, 20)) for i in range(3)]
    full = [photograph(tmp_path, f"f{i}.png", (60, 30), (2, 2, 58, 28)) for i in range(7)]
    images = with_windows([*full, *roomy], 0.3)
    assert [image.name for image in images[10:]] == [f"train/{i}.png#blank" for i in range(3)]


def test_a_photograph_that_cannot_be_opened_is_passed_over(tmp_path: Path) -> None:
    good = photograph(tmp_path, "a.png", (60, 30), (5, 5, 15, 20))
    broken = [replace(good, name=f"train/{i}", path=tmp_path / "missing.png") for i in range(3)]
    assert [image.name for image in with_windows([*broken, good], 0.5)[4:]] == ["train/a.png#blank"]


def test_boxes_that_are_fractions_are_those_of_the_upright_image(tmp_path: Path) -> None:
    """Stored on its side: its upright form is 40 wide and 80 high, and white in its upper half."""
    pixels = np.zeros((80, 40, 3), np.uint8)
    pixels[:40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(pixels).copy()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    file = PhotographFile("a", tmp_path / "a.jpg", (7,), ((0.0, 0.0, 1.0, 0.5),), relative=True)
    assert file.image().size == (40, 80)
    (cut,) = with_windows([file], 0.9)[1:]
    assert cut.window == (0, 44, 40, 80)
    assert np.asarray(cut.image()).max() < 20


def test_without_any_boxes_it_is_one_error(tmp_path: Path) -> None:
    file = replace(photograph(tmp_path, "a.png", (60, 30), (5, 5, 15, 20)), boxes=())
    with pytest.raises(DataError, match=r"data\.blank cuts .*a\.png' has no boxes"):
        with_windows([file], 0.1)


# ----------------------------------------------------------------------------- a data set


@pytest.fixture
def contest(tmp_path: Path) -> dict[str, list[Row]]:
    return {part: write_mchar(tmp_path, part, n, n) for part, n in (("train", 40), ("val", 20))}


def windows_of(root: Path, data: DataSet, part: str) -> dict[str, PhotographFile]:
    return {file.name: file for file in data.originals[part]() if file.window}


@pytest.mark.parametrize("framing", [WHOLE, CROPPED], ids=["whole", "boxes"])
def test_every_part_gets_windows_and_keeps_its_numbers(
    tmp_path: Path, contest: dict[str, list[Row]], framing: Framing
) -> None:
    without, data = load(tmp_path, framing), load(tmp_path, framing, blank=0.25)
    assert data.val is not None
    for part, digits, before in (("train", data.train, without.train), ("val", data.val, without.val)):
        assert before is not None
        n = len(before)
        assert len(digits) == n + n // 4
        assert digits.is_blank.tolist() == [False] * n + [True] * (n // 4)
        for name in ("images", "labels", "boxes", "sizes"):
            np.testing.assert_array_equal(getattr(digits, name)[:n], getattr(before, name))
        assert [*digits.names[:n]] == [*before.names]
        assert np.isnan(digits.boxes[n:]).all()
        cut = windows_of(tmp_path, data, part)
        for row in range(n, len(digits)):
            file = cut[digits.names[row]]
            with Image.open(file.path) as image:
                pixels = image.convert("RGB").crop(file.window)
            height, width = framing.stored
            expected = np.asarray(pixels.resize((width, height), Image.Resampling.BILINEAR))
            assert (digits.images[row].transpose(1, 2, 0) == expected).all()
            assert digits.sizes[row].tolist() == [*pixels.size]
    assert data.lacking == ()


def test_a_split_never_separates_a_window_from_its_photograph(
    tmp_path: Path, contest: dict[str, list[Row]]
) -> None:
    train = load(tmp_path, blank=0.9).train
    for seed in range(5):
        (fold,) = holdout(train.labels, train.groups, fraction=0.3, seed=seed)
        sides = {train.names[row]: row in fold.val for row in range(len(train))}
        cut = [name for name in sides if name.endswith("#blank")]
        assert len(cut) > 20
        assert all(sides[name] == sides[name.removesuffix("#blank")] for name in cut)


def test_too_few_windows_are_said_and_no_error(tmp_path: Path) -> None:
    images = tmp_path / "mine" / "images"
    images.mkdir(parents=True)
    files = [photograph(images, f"{i}.png", (60, 30), (2, 2, 58, 28)) for i in range(10)]
    files += [photograph(images, f"{i}.png", (60, 30), (5, 5, 15, 20)) for i in range(10, 12)]
    part = photograph_files.PhotographPart((images,), lambda: files)
    data = photograph_files.load("p", {"train": part}, WHOLE, blank=0.5, cache=Cache(tmp_path / "cache"))
    assert data.train.is_blank.sum() == 2
    assert data.lacking == ("train: 2 of 6, since no other photograph has room beside its boxes",)


def test_single_digits_get_a_position_for_the_blank_in_every_part(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("test", 1)):
        images = tmp_path / "mine" / part / "images"
        labeled = [(name, label[:1], boxes[:1]) for name, label, boxes in numbers(images, count, 0)]
        write_yolo(tmp_path / "mine" / part / "labels", images, labeled, tuple("0123456789"))
    without, data = (load_folder(tmp_path / "mine", blank=blank) for blank in (0.0, 0.4))
    assert (without.train.labels.shape[1], without.train.classes) == (1, 10)
    assert data.test is not None
    assert not data.test.is_blank.any()  # a single image has no room for 0.4 of one
    for digits in (data.train, data.test):
        assert (digits.labels.shape[1], digits.classes) == (2, 11)


def test_a_cache_of_data_without_windows_has_the_key_that_it_always_had(
    tmp_path: Path, contest: dict[str, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[set[str]] = []
    opened = Cache.open

    def recorded(self: Cache, name: str, key: dict[str, Any], *others: Any, **options: Any) -> Path:
        keys.append({*key})
        return opened(self, name, key, *others, **options)

    monkeypatch.setattr(Cache, "open", recorded)
    load(tmp_path)
    old = [{"version", "files"}, *[{"version", "files", "framing", "skip_broken"}] * 2]
    assert keys == old
    load(tmp_path, blank=0.25, backgrounds=True)
    more = {"blank", "backgrounds"}
    assert keys[3:] == [old[0] | {"backgrounds"}, *(key | more for key in old[1:])]


def test_a_part_without_boxes_is_named(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    images = tmp_path / "mine" / "train" / "images"
    write_yolo(tmp_path / "mine" / "train" / "labels", images, numbers(images, 5, 0), tuple("0123456789"))
    Image.new("RGB", (20, 20)).save(tmp_path / "mine" / "test" / "a.png")
    (tmp_path / "mine" / "test" / "labels.csv").write_text("file,label\na.png,3\n")
    with pytest.raises(DataError, match=r"test/a\.png' .* has no boxes") as caught:
        load_folder(tmp_path / "mine", blank=0.2)
    assert "data.blank" in caught.value.hint
