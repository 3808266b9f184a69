"""Other forms of SVHN's label file: saved again in the format of MATLAB 5, or converted to JSON."""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import Row, fields, rows
from scipy.io import loadmat, savemat

from svhncli.core.errors import DataError
from svhncli.core.rng import numpy_generator
from svhncli.data.formats import digit_struct, digit_struct_json, mat

LABELS = rows(12, 0, width=1)
NAMES = ("height", "left", "top", "width", "label")


def write_matlab_5(path: Path, labels: list[Row], *, each_box: bool, compress: bool = True) -> None:
    """The struct as MATLAB's `save -v7` writes it, a struct for each box, or with arrays of all boxes."""
    images = np.zeros((1, len(labels)), [("name", object), ("bbox", object)])
    for place, (name, label, boxes) in enumerate(labels):
        values = fields(label, boxes, zero=10)
        if each_box:
            bbox = np.zeros((1, len(label)), [(field, object) for field in NAMES])
            for field in NAMES:
                bbox[field][0] = [np.array([[float(value)]]) for value in values[field]]
        else:
            bbox = {field: np.array([values[field]], float) for field in NAMES}
        images[0, place] = (name, bbox)
    savemat(path, {"digitStruct": images}, do_compression=compress)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("each_box", [False, True])
def test_labels_saved_again_as_matlab_5_are_those_that_were_saved(
    tmp_path: Path, each_box: bool, compress: bool
) -> None:
    path = tmp_path / "digitStruct.mat"
    write_matlab_5(path, LABELS, each_box=each_box, compress=compress)
    assert loadmat(path)["digitStruct"][0, 0]["name"][0] == LABELS[0][0]
    assert digit_struct.read(path) == LABELS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": 1.0}, "has no struct digitStruct"),
        ({"digitStruct": 1.0}, "has no struct digitStruct"),
        ({"digitStruct": {"name": "1.png"}}, "another layout"),
        ({"digitStruct": {"name": 1.0, "bbox": {"label": 1.0}}}, "another layout"),
        ({"digitStruct": {"name": "1.png", "bbox": {"label": 1.0}}}, "'left' is missing"),
        ({"digitStruct": {"name": "1.png", "bbox": dict.fromkeys(NAMES, 0.0)}}, "label 0"),
        ({"digitStruct": {"name": "1.png", "bbox": dict.fromkeys(NAMES, "text")}}, "'label' holds"),
        ({"digitStruct": {"name": "1.png", "bbox": dict.fromkeys(NAMES, np.ones(21))}}, "21 digits"),
        ({"digitStruct": {"name": "1.png", "bbox": dict.fromkeys(NAMES, np.ones(999))}}, "impossible size"),
        ({"digitStruct": {"name": "1.png", "bbox": {"label": {"a": {"b": 1.0}}}}}, "too deep"),
        ({"digitStruct": {"name": "1.png", "bbox": {"label": np.array([1j])}}}, "something else"),
    ],
)
def test_a_matlab_5_file_of_another_layout_is_one_data_error(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(DataError, match=message) as caught:
        digit_struct.read(tmp_path / "a.mat")
    assert str(tmp_path / "a.mat") in caught.value.message


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("stored") / "a.mat"
    write_matlab_5(path, LABELS[:2], each_box=True, compress=False)
    return path.read_bytes()


def test_a_flipped_bit_in_a_compressed_label_file_is_never_read_as_other_labels(
    tmp_path: Path, stored: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is compressed without a gain: nothing but the checksum tells that a value is another one."""
    monkeypatch.setattr(mat, "PIECE", 1)  # as if it were large: the checksum is in pieces of its own
    compressed = zlib.compress(stored[128:], 0)
    whole = stored[:128] + struct.pack("<II", mat.COMPRESSED, len(compressed)) + compressed
    path = tmp_path / "a.mat"
    path.write_bytes(whole)
    assert digit_struct.read(path) == LABELS[:2]
    draw = numpy_generator(0, "flips")
    for position in draw.integers(128, len(whole), 60):
        content = bytearray(whole)
        content[position] ^= 1 << draw.integers(8)
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            assert digit_struct.read(path) == LABELS[:2]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_damaged_matlab_5_file_gives_labels_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, stored: bytes, data: st.DataObject
) -> None:
    content = bytearray(stored)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    path.write_bytes(content[: data.draw(st.integers(128, len(content)))])
    try:
        labels = digit_struct.read(path)
    except DataError as error:
        assert "damaged.mat" in error.message  # noqa: PT017
    else:
        assert all(len(label) == len(boxes) > 0 for _, label, boxes in labels)


# ----------------------------------------------------------------------------- JSON


def entry(row: Row, zero: int = 10) -> dict[str, Any]:
    name, label, boxes = row
    columns = fields(label, boxes, zero=zero)
    return {"filename": name, "boxes": [{key: columns[key][i] for key in NAMES} for i in range(len(label))]}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("zero", [0, 10])
def test_in_a_json_file_0_is_0_or_10_is_0(tmp_path: Path, zero: int) -> None:
    assert any(0 in label for _, label, _ in LABELS)
    path = write_json(tmp_path / "a.json", [entry(row, zero) for row in LABELS])
    assert digit_struct_json.read(path) == LABELS


def test_without_any_zero_both_are_the_same(tmp_path: Path) -> None:
    row = ("1.png", (1, 9), ((0.0, 0.0, 5.0, 5.0), (5.0, 0.0, 9.0, 5.0)))
    assert digit_struct_json.read(write_json(tmp_path / "a.json", [entry(row)])) == [row]


def test_a_json_file_with_both_labels_is_refused_and_names_an_image_of_each(tmp_path: Path) -> None:
    box = (0.0, 0.0, 5.0, 5.0)
    content = [
        entry(("7.png", (1,), (box,))),
        entry(("8.png", (1, 0), (box, box)), 0),
        entry(("9.png", (0,), (box,)), 10),
    ]
    with pytest.raises(DataError, match=r"label 0 \(image '8\.png'\) and the label 10 \(image '9\.png'\)"):
        digit_struct_json.read(write_json(tmp_path / "a.json", content))


GOOD = entry(("1.png", (1,), ((0.0, 0.0, 5.0, 5.0),)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"1.png": GOOD}, "not a list of images"),
        ([{"filename": "1.png"}], "not a list of images"),
        ([{"filename": 1, "boxes": []}], "not a list of images"),
        ([{"filename": "1.png", "boxes": [7]}], "not a list of images"),
        ([{"filename": "1.png", "boxes": []}], "0 digits"),
        ([{"filename": "1.png", "boxes": [GOOD["boxes"][0], {"label": 1}]}], "2 values in 'label', but 1"),
        ([{"filename": "1.png", "boxes": [GOOD["boxes"][0] | {"label": [1]}]}], "'label' holds list"),
        ([{"filename": "1.png", "boxes": [GOOD["boxes"][0] | {"label": 11}]}], "label 11"),
        ([GOOD | {"filename": "../1.png"}], "not a valid file name"),
        ([GOOD, GOOD], "'1.png' appears twice"),
    ],
)
def test_a_json_file_of_another_layout_is_one_data_error(tmp_path: Path, content: Any, message: str) -> None:
    path = write_json(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=message) as caught:
        digit_struct_json.read(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
