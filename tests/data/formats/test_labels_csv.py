"""labels.csv as spreadsheets and pandas write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.core.errors import DataError
from svhncli.data.formats import labels_csv
from svhncli.data.formats.labels_csv import Row

ROWS = [Row("a.png", (0, 0, 7), "m1", "train"), Row("sub/b,c.png", (8,), "", "val")]


def read(path: Path, content: str | bytes) -> list[Row]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return labels_csv.read(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_and_encodings_of_spreadsheets_are_read(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    lines = [
        ("file", "label", "group", "part"),
        ("a.png", "007", "m1", ""),
        ('"sub/b,c.png"', "8", "", "val"),
    ]
    text = "\r\n".join(separator.join(cells) for cells in lines)
    assert read(tmp_path / "labels.csv", text.encode(encoding)) == ROWS


def test_utf_16_of_either_byte_order_is_read(tmp_path: Path) -> None:
    for order, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        content = mark + "file\tlabel\nä.png\t1\n".encode(order)
        assert read(tmp_path / "labels.csv", content) == [Row("ä.png", (1,))]


def test_the_header_alone_decides_the_separator(tmp_path: Path) -> None:
    assert read(tmp_path / "labels.csv", "file;label\na,b,c.png;1\n") == [Row("a,b,c.png", (1,))]
    assert read(tmp_path / "labels.csv", "file,label\na;b;c.png,1\n") == [Row("a;b;c.png", (1,))]


def test_names_of_columns_and_parts_are_read_in_any_case_and_with_spaces(tmp_path: Path) -> None:
    content = " File ,LABEL, Group,part\na.png, 007 , m1,Train \nsub/b.png,8 ,,Valid\n"
    assert read(tmp_path / "labels.csv", content) == [ROWS[0], Row("sub/b.png", (8,), "", "val")]


def test_rows_without_any_cell_are_no_images(tmp_path: Path) -> None:
    assert len(read(tmp_path / "labels.csv", "file;label\n;\na.png;1\n ; \n\n")) == 1


@pytest.mark.parametrize(
    ("label", "digits"), [("8.0", (8,)), ("12.00", (1, 2)), (" 8 ", (8,)), ("007", (0, 0, 7))]
)
def test_whole_floats_are_the_numbers_that_they_stand_for(label: str, digits: tuple[int, ...]) -> None:
    assert labels_csv.digits_of(label, "row 2") == digits


@pytest.mark.parametrize("label", ["8.", "8.5", ".0", "8.0.0", "1e3", "0x1", "1_0", "+1", "8,0", "٣", "8.٠"])
def test_other_spellings_of_numbers_are_refused(label: str) -> None:
    with pytest.raises(DataError, match=r"^row 2: label .* is not a number of digits$"):
        labels_csv.digits_of(label, "row 2")


@pytest.mark.parametrize("label", ["", " ", "nan", "NaN", "None", "<NA>"])
def test_what_pandas_writes_for_no_label_is_refused(label: str) -> None:
    with pytest.raises(DataError, match=r"^row 2: label .* is no number: the image has no label$"):
        labels_csv.digits_of(label, "row 2")


@given(st.text(max_size=25))
def test_a_label_is_its_digits_or_refused(label: str) -> None:
    try:
        digits = labels_csv.digits_of(label, "row 2")
    except DataError:
        assert not (label.isascii() and label.isdigit() and len(label) <= 20)
    else:
        assert "".join(map(str, digits)) == label.strip().partition(".")[0]
