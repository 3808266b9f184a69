"""COCO's label file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from box_files import write_coco
from hypothesis import given
from hypothesis import strategies as st
from photo_files import Row

from svhncli.core.errors import DataError
from svhncli.data.formats import coco, marks

SIDE = st.floats(0, 5000, width=32)
LABELED = st.lists(st.lists(st.tuples(st.integers(0, 9), SIDE, SIDE), max_size=5), min_size=1, max_size=4)


def spaced(drawn: list[list[tuple[int, float, float]]]) -> list[Row]:
    """Images with boxes from left to right."""
    labeled: list[Row] = []
    for place, digits in enumerate(drawn):
        boxes = [(10_000.0 * k + x, y, 10_000.0 * k + x + 9, y + 7) for k, (_, x, y) in enumerate(digits)]
        labeled.append((f"{place}.png", tuple(digit for digit, _, _ in digits), tuple(boxes)))
    return labeled


@given(LABELED)
def test_boxes_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[list[tuple[int, float, float]]]
) -> None:
    labeled = spaced(drawn)
    path = tmp_path_factory.getbasetemp() / "coco.json"
    write_coco(path, labeled)
    read = coco.read(path)
    assert list(read) == [name for name, _, _ in labeled]
    for name, label, boxes in labeled:
        digits, ordered = marks.number(read[name], name)
        assert digits == label
        assert sum(ordered, ()) == pytest.approx(sum(boxes, ()), abs=1e-3)


GOOD: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
    "categories": [{"id": 7, "name": "3"}],
    "annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]}],
}
BOX = GOOD["annotations"][0]

BAD = {
    "no images": ({"images": None}, "has no list 'images' of objects"),
    "no categories": ({"categories": [1]}, "has no list 'categories' of objects"),
    "no annotations": ({"annotations": {}}, "has no list 'annotations' of objects"),
    "no name": ({"images": [{"id": 1}]}, "images[0]: 'file_name' is None"),
    "a truth for an id": ({"images": [{"id": True, "file_name": "a.png"}]}, "images[0]: 'id' is True"),
    "twice": ({"images": [GOOD["images"][0], {"id": 2, "file_name": "./a.png"}]}, "'a.png' or its id 2"),
    "id twice": ({"images": [GOOD["images"][0], {"id": 1, "file_name": "b.png"}]}, "its id 1 appears twice"),
    "outside": ({"images": [{"id": 1, "file_name": "../a.png"}]}, "file '../a.png' is not inside"),
    "no such image": ({"annotations": [BOX | {"image_id": 9}]}, "annotations[0]: 'images' has no id 9"),
    "no such class": ({"annotations": [BOX | {"category_id": 9}]}, "'categories' has no id 9"),
    "three sides": ({"annotations": [BOX | {"bbox": [1, 2, 3]}]}, "'bbox' is [1, 2, 3], not four"),
    "texts": ({"annotations": [BOX | {"bbox": ["1", 2, 3, 4]}]}, "not four numbers"),
    "huge": ({"annotations": [BOX | {"bbox": [1, 2, 1e300, 4]}]}, "not four numbers"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_entry_is_refused_with_its_place(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(GOOD))
    assert coco.read(path) == {"a.png": (("3", (1.0, 2.0, 4.0, 6.0)),), "b.png": ()}
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(DataError) as caught:
        coco.read(path)
    assert message in caught.value.message
    assert f"'{path}'" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", ["", "[]", '{"images": NaN}', '{"a": 1, "a": 2}', "[" * 100_000])
def test_what_is_no_strict_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.json'"):
        coco.read(tmp_path / "a.json")
