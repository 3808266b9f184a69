"""data=parquet: the Hugging Face Hub's copy of SVHN, and files in its columns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet as pq

from svhncli.core.errors import DataError, UsageError
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.framing import Framing
from svhncli.data.sources import parquet
from svhncli.data.store.cache import Cache

SIDE = 12


def images(part: str, n: int) -> np.ndarray:
    """uint8 (n, SIDE, SIDE, 3)."""
    return numpy_generator(0, "parquet", part).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pyarrow.table(columns), path, row_group_size=5)
    return path


def rows(part: str, n: int) -> list[dict[str, Any]]:
    """Images as the Hub has them: the bytes of a file, and its name if it has one."""
    return [{"bytes": encoded(pixels), "path": None} for pixels in images(part, n)]


LABELS = [i % 10 for i in range(14)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "hub/train-00000-of-00002.parquet", image=rows("first", 8), label=LABELS[:8])
    write(tmp_path / "hub/train-00001-of-00002.parquet", image=rows("second", 6), label=LABELS[8:])
    write(tmp_path / "hub/test-00000-of-00001.parquet", image=rows("test", 5), label=LABELS[:5])
    return tmp_path / "hub"


def load(root: Path, framing: Framing | None = None, **options: Any) -> DataSet:
    folder = root if root.is_dir() else root.parent
    return parquet.load(root, framing or Framing(SIDE, SIDE), cache=Cache(folder.parent / "cache"), **options)


def test_the_hubs_cropped_digits_are_read_in_order_from_all_files(root: Path) -> None:
    data = load(root)
    pixels = np.concatenate([images("first", 8), images("second", 6)])
    assert np.array_equal(data.train.images, pixels.transpose(0, 3, 1, 2))
    assert data.train.labels[:, 0].tolist() == LABELS
    assert list(data.train.names)[:2] == ["train/0", "train/1"]
    assert data.test is not None
    assert np.array_equal(data.test.images, images("test", 5).transpose(0, 3, 1, 2))
    assert data.unread == ()
    alone = load(root, test_only=True)
    assert (len(alone.train), alone.test and len(alone.test)) == (0, 5)


def test_the_parts_may_be_folders_as_in_the_hubs_converted_branch(root: Path) -> None:
    other = root.parent / "converted"
    for part in ("train", "test"):
        write(other / part / "0000.parquet", image=rows(part, 4), label=LABELS[:4])
    (other / "README.md").write_text("")
    data = load(other)
    assert (len(data.train), data.test and len(data.test)) == (4, 4)
    assert data.unread == ("README.md",)


def test_the_hubs_full_numbers_keep_their_boxes_and_names(tmp_path: Path) -> None:
    digits = [
        {"bbox": [[2, 3, 4, 5]], "label": [7]},
        {"bbox": [[1, 2, 3, 6], [5, 2, 3, 6]], "label": [1, 0]},
    ]
    named = [{"bytes": encoded(pixels), "path": f"{i}.png"} for i, pixels in enumerate(images("full", 2), 1)]
    write(tmp_path / "hub/train-0.parquet", image=named, digits=digits)
    data = load(tmp_path / "hub", Framing(8, 8, "boxes"))
    assert data.train.labels.tolist() == [[7, 10], [1, 0]]
    assert list(data.train.names) == ["train/1.png", "train/2.png"]
    assert data.train.boxes is not None
    assert data.train.boxes[1].tolist() == [[1, 2, 4, 8], [5, 2, 8, 8]]
    write(
        tmp_path / "hub/train-0.parquet",
        image=named,
        digits=[
            [{"bbox": b, "label": k} for b, k in zip(d["bbox"], d["label"], strict=True)] for d in digits
        ],
    )
    again = load(tmp_path / "hub", Framing(8, 8, "boxes"))
    assert np.array_equal(again.train.boxes, data.train.boxes, equal_nan=True)


def test_the_extra_part_trains_or_validates_and_is_named_when_it_does_neither(root: Path) -> None:
    write(root / "extra-0.parquet", image=rows("extra", 3), label=[1, 2, 3])
    assert load(root).unread == ("extra-0.parquet (data.extra=train or val uses it)",)
    assert load(root, extra="train").train.labels[:, 0].tolist() == [*LABELS, 1, 2, 3]
    validated = load(root, extra="val")
    assert validated.val is not None
    assert validated.val.labels[:, 0].tolist() == [1, 2, 3]
    assert validated.unread == ()
    (root / "extra-0.parquet").unlink()
    with pytest.raises(DataError, match="no Parquet files of an extra part"):
        load(root, extra="train")


def test_neighboring_crops_of_one_number_share_a_group(tmp_path: Path) -> None:
    wide = numpy_generator(0, "wide").integers(0, 256, (5, 32, 48, 3), np.uint8)
    crops = np.stack([crop for wall in wide for crop in (wall[:, :32], wall[:, 16:])])
    content = [{"bytes": encoded(crop), "path": None} for crop in crops]
    write(tmp_path / "hub/train.parquet", image=content, label=[1, 2] * 5)
    groups = load(tmp_path / "hub", Framing(32, 32)).train.groups
    assert (groups[::2] == groups[1::2]).all()
    assert len(np.unique(groups)) == 5


def test_crops_that_are_none_of_svhns_are_groups_of_their_own(tmp_path: Path) -> None:
    wall = numpy_generator(0, "wide").integers(0, 256, (80, 96, 3), np.uint8)
    large, small = (wall[:, :80], wall[:, 16:]), (wall[:32, :32], wall[:32, 16:40])
    for number, crops in enumerate((large, small)):  # by their size, and since their sizes differ
        content = [{"bytes": encoded(crop), "path": None} for crop in crops]
        path = write(tmp_path / str(number) / "train.parquet", image=content, label=[1, 2])
        assert len(np.unique(load(path, Framing(32, 32)).train.groups)) == 2


def test_a_validation_part_has_any_of_its_usual_names(root: Path) -> None:
    for name in ("validation-0", "val-0", "dev-0", "valid/0"):
        path = write(root / f"{name}.parquet", image=rows("held-out", 3), label=[1, 2, 3])
        data = load(root)
        assert data.val is not None
        assert np.array_equal(data.val.images, images("held-out", 3).transpose(0, 3, 1, 2))
        path.unlink()


def test_images_of_the_same_name_are_all_kept(tmp_path: Path) -> None:
    for part in ("train", "extra"):
        named = [{"bytes": encoded(pixels), "path": f"{i}.png"} for i, pixels in enumerate(images(part, 3))]
        write(tmp_path / "hub" / f"{part}.parquet", image=named, label=[1, 2, 3])
    data = load(tmp_path / "hub", extra="train")
    pixels = np.concatenate([images("train", 3), images("extra", 3)])
    assert np.array_equal(data.train.images, pixels.transpose(0, 3, 1, 2))
    assert len(set(data.train.names)) == 6


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["7", "007", "12"], [[7, 10, 10], [0, 0, 7], [1, 2, 10]]),
        ([[7], [0, 0, 7], [1, 2]], [[7, 10, 10], [0, 0, 7], [1, 2, 10]]),
    ],
    ids=["text", "lists"],
)
def test_numbers_may_be_text_or_lists_and_images_plain_bytes(
    tmp_path: Path, labels: Any, expected: list[list[int]]
) -> None:
    content = [encoded(pixels) for pixels in images("numbers", 3)]
    path = write(tmp_path / "hub/mine.parquet", image=content, label=labels)
    assert load(path).train.labels.tolist() == expected


@pytest.mark.parametrize(
    "labels",
    [[1, 10, 2], [1, -1, 2], ["1", "x", "2"], [1, None, 2], ["1", "", "2"], ["1", "7" * 21, "2"]],
)
def test_a_label_that_is_no_number_is_refused_with_its_row(tmp_path: Path, labels: Any) -> None:
    write(tmp_path / "hub/train.parquet", image=rows("wrong", 3), label=labels)
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\): label"):
        load(tmp_path / "hub")


@pytest.mark.parametrize(
    "boxes", [[[1, 2, 3, 4]] * 2, [[1, 2, 3]], [None]], ids=["two", "three sides", "none"]
)
def test_boxes_that_are_not_those_of_the_digits_are_refused_with_their_row(
    tmp_path: Path, boxes: Any
) -> None:
    digits = [{"bbox": [[1, 2, 3, 4]], "label": [7]}, {"bbox": boxes, "label": [7]}]
    write(tmp_path / "hub/train.parquet", image=rows("boxes", 2), digits=digits)
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\): 1 digits, but bbox"):
        load(tmp_path / "hub")


@pytest.mark.parametrize("empty", [None, b""])
def test_a_row_without_an_image_is_refused_with_its_number(tmp_path: Path, empty: bytes | None) -> None:
    content = [*rows("empty", 1), {"bytes": empty, "path": "a.png"}]
    write(tmp_path / "hub/train.parquet", image=content, label=[1, 2])
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\): it holds no image"):
        load(tmp_path / "hub")


def test_other_columns_are_refused_with_their_names(tmp_path: Path) -> None:
    write(tmp_path / "hub/train.parquet", picture=rows("columns", 3), label=[1, 2, 3])
    with pytest.raises(DataError, match="columns picture, label"):
        load(tmp_path / "hub")


def test_a_damaged_file_is_one_message(root: Path) -> None:
    (root / "train-00000-of-00002.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match=r"train-00000-of-00002\.parquet"):
        load(root)


def test_a_damaged_image_is_named_and_can_be_left_out(root: Path) -> None:
    broken = [*rows("broken", 2), {"bytes": b"no image", "path": None}]
    write(root / "test-00000-of-00001.parquet", image=broken, label=[1, 2, 3])
    with pytest.raises(DataError, match="test/2"):
        load(root)
    data = load(root, skip_broken=True)
    assert data.test is not None
    assert (len(data.test), data.broken) == (2, ("test/2",))


def test_a_folder_of_several_data_sets_asks_which(root: Path) -> None:
    root.rename(root.parent / "cropped_digits")
    (root / "data").mkdir(parents=True)
    (root.parent / "cropped_digits").rename(root / "cropped_digits")
    with pytest.raises(DataError, match="several data sets: cropped_digits") as caught:
        load(root)
    assert f"data.root={root / 'cropped_digits'}" in caught.value.hint


def test_without_pyarrow_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError) as caught:
        load(root)
    assert caught.value.hint == 'pip install "svhncli[parquet]"'
