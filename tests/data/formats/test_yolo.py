"""YOLO's label files."""

from __future__ import annotations

from pathlib import Path

import pytest
from box_files import NAMES, yolo_line
from hypothesis import given
from hypothesis import strategies as st

from svhncli.core.errors import DataError
from svhncli.data.formats import marks, yolo

SIDES = st.tuples(st.integers(0, 99), st.integers(1, 100)).map(sorted).filter(lambda side: side[0] < side[1])
BOXES = st.lists(st.tuples(st.integers(0, 9), SIDES, SIDES), min_size=1, max_size=20)
NUMBERED = dict(enumerate(NAMES))


@given(BOXES, st.integers(100, 5000), st.integers(100, 5000))
def test_boxes_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, drawn: list, width: int, height: int
) -> None:
    boxes = [(digit, (x[0], y[0], x[1], y[1])) for digit, x, y in drawn]
    path = tmp_path_factory.getbasetemp() / "yolo.txt"
    lines = [yolo_line(NAMES.index(str(digit)), box, width, height) for digit, box in boxes]
    path.write_text("\n".join(lines))
    read = yolo.read(path, NUMBERED)
    assert [int(name) for name, _ in read] == [digit for digit, _ in boxes]
    for (_, relative), (_, box) in zip(read, boxes, strict=True):
        scaled = [side * scale for side, scale in zip(relative, (width, height) * 2, strict=True)]
        assert scaled == pytest.approx(box, abs=1e-6)
    digits, ordered = marks.number(read, "here")
    assert sorted(digits) == sorted(digit for digit, _ in boxes)
    centers = [box[0] + box[2] for box in ordered]
    assert centers == sorted(centers)


def test_without_names_the_class_is_the_digit(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("7 0.5 0.5 0.5 1\n\n1 0.25 0.5 0.25 0.5\n")
    read = yolo.read(tmp_path / "a.txt", None)
    assert read == (("7", (0.25, 0.0, 0.75, 1.0)), ("1", (0.125, 0.25, 0.375, 0.75)))
    assert marks.number(read, "here")[0] == (1, 7)


NAMED = {
    "a list": ("data.yaml", "train: x\nnc: 3\nnames: ['1', '0', '2']\n"),
    "whole numbers": ("data.yaml", "names: [1, 0, 2]\n"),
    "a block": ("data.yml", "names:\n- '1'\n- '0'\n- '2'\n"),
    "a mapping": ("data.yaml", "names:\n  2: '2'\n  0: '1'\n  1: '0'\n"),
    "lines": ("classes.txt", "1\r\n0 \n2\n\n"),
    "darknet": ("obj.names", "1\n0\n2"),
}


@pytest.mark.parametrize(("name", "content"), NAMED.values(), ids=NAMED.keys())
def test_names_of_classes_are_read_in_any_order(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert yolo.names(tmp_path / name) == {0: "1", 1: "0", 2: "2"}


BAD_NAMES = {
    "none": "nc: 10\n",
    "text": "names: digits\n",
    "no YAML": "names: [\n",
    "a list": "- 1\n",
    "words for numbers": "names: {zero: '0'}\n",
    "a mapping in a list": "names: ['0', nc: 10]\n",
    "code": "names: !!python/object/apply:os.getcwd []\n",
    "nothing": "",
}


@pytest.mark.parametrize("content", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_names_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=r"data\.yaml' (does not list the names|is not YAML)") as caught:
        yolo.names(tmp_path / "data.yaml")
    assert "names: ['0', '1'" in caught.value.hint


BAD_LINES = {
    "few": ("1 0.5 0.5 0.5", "line 1: 4 numbers instead of 5"),
    "second line": ("1 .5 .5 .5 .5\n1 .5", "line 2: 2 numbers"),
    "polygon": ("1 0.1 0.1 0.2 0.1 0.2 0.2", "7 numbers instead of 5; a polygon is no box"),
    "word": ("x 0.5 0.5 0.5 0.5", "class 'x' is not a whole number"),
    "negative": ("-1 0.5 0.5 0.5 0.5", "class '-1'"),
    "pixels": ("1 30 20 10 10", "the box 30 20 10 10 is not inside the image"),
    "nan": ("1 nan 0.5 0.5 0.5", "is not inside the image"),
    "infinite": ("1 0.5 0.5 inf 0.5", "is not inside the image"),
    "no number": ("1 0.5 0,5 0.5 0.5", "could not convert"),
    "unnamed": ("10 0.5 0.5 0.5 0.5", "class 10 has no name"),
    "latin-1": (b"1 0.5 0.5 0.5 0.5 \xe4", "is not a text in UTF-8"),
}


@pytest.mark.parametrize(("content", "message"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_refused_with_its_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        yolo.read(path, NUMBERED)
    assert message in caught.value.message
    assert f"'{path}'" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["10", "house", "", "zero", "٣", "-1"])
def test_a_class_that_is_not_a_digit_is_named(name: str) -> None:
    good = ("1", (0.0, 0.0, 1.0, 1.0))
    with pytest.raises(DataError, match=f"here: class '{name}' is not a digit") as caught:
        marks.number([good, (name, good[1])], "here")
    assert "rename" in caught.value.hint


@pytest.mark.parametrize("box", [(1, 0, 1, 5), (2, 0, 1, 5), (0, 5, 1, 5), (0, 0, float("nan"), 5)])
def test_a_box_without_a_size_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(DataError, match="the box of '1' has no size"):
        marks.number([("1", box)], "here")


def test_more_boxes_than_a_number_has_digits_are_refused() -> None:
    boxes = [("1", (float(k), 0.0, k + 1.0, 1.0)) for k in range(21)]
    assert len(marks.number(boxes[:20], "here")[0]) == 20
    with pytest.raises(DataError, match="21 boxes"):
        marks.number(boxes, "here")
