"""Images whose labels name no digit: left out or refused, or with data.backgrounds=true without a number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from box_files import numbers, write_coco, write_voc, write_yolo
from own_images import load
from photo_files import fields, rows, write_images

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.framing import Framing
from svhncli.data.sources import mchar
from svhncli.data.store.cache import Cache

NAMES = tuple("0123456789")
EMPTY = (1, 3)
"""Rows of five images whose label names no digit."""
CROPPED = Framing(8, 8, "boxes", 0.1, 0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def yolo(root: Path) -> None:
    labeled = numbers(root / "images", 5, 0)
    write_yolo(root / "labels", root / "images", labeled, NAMES)
    for row in EMPTY:
        (root / "labels" / f"{Path(labeled[row][0]).stem}.txt").write_text("" if row == 1 else "\n")


def coco(root: Path) -> None:
    labeled = numbers(root / "train", 5, 0)
    shown = [(name, (), ()) if row in EMPTY else (name, *rest) for row, (name, *rest) in enumerate(labeled)]
    write_coco(root / "train" / "_annotations.coco.json", shown, NAMES)


def voc(root: Path) -> None:
    labeled = numbers(root / "images", 5, 0)
    shown = [(name, (), ()) if row in EMPTY else (name, *rest) for row, (name, *rest) in enumerate(labeled)]
    write_voc(root / "annotations", shown)


def contest(root: Path) -> None:
    labeled = rows(5, 0)
    write_images(root / "mchar_train", labeled, 0)
    nothing: dict[str, list[float]] = {name: [] for name in ("height", "label", "left", "top", "width")}
    content = {
        name: nothing if row in EMPTY else fields(label, boxes)
        for row, (name, label, boxes) in enumerate(labeled)
    }
    (root / "mchar_train.json").write_text(json.dumps(content))


def listed(root: Path, file: str, header: str, line: str, missing: str) -> None:
    labeled = numbers(root, 5, 0)
    texts = [
        missing if row in EMPTY else "".join(map(str, label)) for row, (_, label, _) in enumerate(labeled)
    ]
    lines = [line.format(name=name, label=text) for (name, _, _), text in zip(labeled, texts, strict=True)]
    (root / file).write_text("\n".join([header, *lines] if header else lines))


def labels_csv(root: Path) -> None:
    listed(root, "labels.csv", "file,label", "{name},{label}", "")


def pandas_csv(root: Path) -> None:
    listed(root, "labels.csv", "file,label", "{name},{label}", "NaN")


def metadata(root: Path) -> None:
    listed(root, "metadata.jsonl", "", '{{"file_name": "{name}", "label": {label}}}', "null")
    file = root / "metadata.jsonl"  # a number with a leading 0 is no JSON
    file.write_text(file.read_text().replace('"label": 0', '"label": '))


def load_contest(root: Path, **options: bool) -> DataSet:
    return mchar.load(root, Framing(8, 8), cache=Cache(root.parent / "cache"), **options)


BOXED = {"YOLO": yolo, "COCO": coco, "VOC": voc}
LISTED = {"labels.csv": labels_csv, "labels.csv of pandas": pandas_csv, "metadata.jsonl": metadata}
boxed = pytest.mark.parametrize("write", BOXED.values(), ids=BOXED.keys())
lists = pytest.mark.parametrize("write", LISTED.values(), ids=LISTED.keys())


def assert_two_are_blank(digits: Digits) -> None:
    assert len(digits) == 5
    assert np.flatnonzero(digits.is_blank).tolist() == [*EMPTY]
    assert digits.labels.shape[1] >= 2
    assert digits.length_counts() == np.bincount((digits.labels != 10).sum(1))[1:].tolist()
    assert sum(digits.length_counts()) == 3


@boxed
@pytest.mark.parametrize("framing", [Framing(8, 8), CROPPED], ids=["whole", "boxes"])
def test_images_with_empty_labels_show_no_number(
    root: Path, write: Callable[[Path], None], framing: Framing
) -> None:
    write(root)
    data = load(root, framing, backgrounds=True)
    assert_two_are_blank(data.train)
    assert data.train.boxes is not None
    assert np.isnan(data.train.boxes[[*EMPTY]]).all()
    assert data.unread == ()
    whole = load(root, Framing(*framing.stored), backgrounds=True)
    assert (data.train.images[[*EMPTY]] == whole.train.images[[*EMPTY]]).all()


@boxed
def test_they_are_left_out_by_default_and_the_key_is_named(root: Path, write: Callable[[Path], None]) -> None:
    write(root)
    data = load(root)
    assert len(data.train) == 3
    assert not data.train.is_blank.any()
    (note,) = data.unread
    assert note.startswith("2 images without boxes, such as ")
    assert note.endswith("(data.backgrounds=true uses 2 of them, with empty labels)")


@lists
def test_rows_of_a_list_without_a_label_show_no_number(root: Path, write: Callable[[Path], None]) -> None:
    write(root)
    assert_two_are_blank(load(root, backgrounds=True).train)


@lists
def test_they_are_an_error_by_default_which_names_the_key(root: Path, write: Callable[[Path], None]) -> None:
    write(root)
    with pytest.raises(DataError, match="no number: the image has no label") as caught:
        load(root)
    assert "data.backgrounds=true" in caught.value.hint


@pytest.mark.parametrize("label", ["x", "7a", "-1"])
def test_a_label_that_is_no_number_is_an_error_with_and_without_the_key(root: Path, label: str) -> None:
    listed(root, "labels.csv", "file,label", "{name},{label}", label)
    for backgrounds in (False, True):
        with pytest.raises(DataError, match="is not a number of digits") as caught:
            load(root, backgrounds=backgrounds)
        assert "backgrounds" not in caught.value.hint


def test_empty_lists_of_the_contest_show_no_number(root: Path) -> None:
    contest(root)
    assert_two_are_blank(load_contest(root, backgrounds=True).train)
    with pytest.raises(DataError, match=r"000002\.png': 0 digits") as caught:
        load_contest(root)
    assert "data.backgrounds=true" in caught.value.hint


def test_a_contest_image_with_a_box_and_no_digit_is_an_error(root: Path) -> None:
    contest(root)
    content = json.loads((root / "mchar_train.json").read_text())
    content["000002.png"]["left"] = [3]
    (root / "mchar_train.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="0 values in 'label', but 1 in 'left'"):
        load_contest(root, backgrounds=True)


def test_an_image_without_a_label_file_is_not_known_to_show_nothing(root: Path) -> None:
    yolo(root)
    (root / "labels" / "000001.txt").unlink()
    data = load(root, backgrounds=True)
    assert len(data.train) == 4
    assert data.unread == ("1 image without boxes, such as images/000001.png",)


def test_a_test_part_whose_labels_are_all_empty_is_no_part(root: Path) -> None:
    """Tools write empty label files for images that nobody labeled."""
    for part in ("train", "test"):
        yolo(root / part)
    for file in (root / "test" / "labels").iterdir():
        file.write_text("")
    data = load(root, backgrounds=True)
    assert data.test is None
    assert data.unread == ("test (no labels)",)


def test_a_training_part_whose_labels_are_all_empty_is_an_error(root: Path) -> None:
    listed(root, "labels.csv", "file,label", "{name},", "")
    with pytest.raises(DataError, match="there are no labeled images"):
        load(root, backgrounds=True)


def test_both_kinds_of_images_without_a_number_go_together(root: Path) -> None:
    yolo(root)
    data = load(root, CROPPED, backgrounds=True, blank=0.9)
    names = [data.train.names[row] for row in np.flatnonzero(data.train.is_blank)]
    assert names[:2] == ["mine/images/000002.png", "mine/images/000004.png"]
    assert len(names) > 2
    assert all(name.endswith("#blank") for name in names[2:])


def test_without_empty_labels_the_key_changes_nothing(root: Path) -> None:
    coco(root)
    shutil.rmtree(root / "train")
    labeled = numbers(root / "train", 5, 0)
    write_coco(root / "train" / "_annotations.coco.json", labeled, NAMES)
    first, second = load(root), load(root, backgrounds=True)
    for name in ("images", "labels", "boxes", "groups"):
        np.testing.assert_array_equal(getattr(first.train, name), getattr(second.train, name))
