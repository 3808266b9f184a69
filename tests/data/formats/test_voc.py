"""VOC's label files."""

from __future__ import annotations

from pathlib import Path

import pytest
from box_files import write_voc
from hypothesis import given
from hypothesis import strategies as st

from svhncli.core.errors import DataError
from svhncli.data.formats import marks, voc

SIDE = st.floats(0, 5000, width=32)


@given(st.lists(st.tuples(st.integers(0, 9), SIDE, SIDE), max_size=5))
def test_boxes_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, float, float]]
) -> None:
    boxes = tuple((10_000.0 * k + x, y, 10_000.0 * k + x + 9, y + 7) for k, (_, x, y) in enumerate(drawn))
    label = tuple(digit for digit, _, _ in drawn)
    folder = tmp_path_factory.getbasetemp() / "voc"
    write_voc(folder, [("a.png", label, boxes)])
    assert marks.number(voc.read(folder / "a.xml"), "here") == (label, boxes)


def xml(name: str = "3", xmin: str = "1") -> str:
    box = f"<xmin>{xmin}</xmin><ymin>2</ymin><xmax>4.5</xmax><ymax>6</ymax>"
    return f"<annotation><object><name>{name}</name><bndbox>{box}</bndbox></object></annotation>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.xml").write_bytes(xml().encode(encoding))
    assert voc.read(tmp_path / "a.xml") == (("3", (1.0, 2.0, 4.5, 6.0)),)


ENTITY = '<!DOCTYPE annotation [<!ENTITY a "3">]>'
BAD = {
    "nothing": ("", "is not VOC's XML: no element found"),
    "no XML": ("<annotation>", "is not VOC's XML"),
    "another XML": ("<svg></svg>", "begins with <svg>"),
    "an entity": (ENTITY + xml("&a;"), "it declares a document type"),
    "a document type": ("<!DOCTYPE annotation>" + xml(), "it declares a document type"),
    "an entity in UTF-16": ((ENTITY + xml("&a;")).encode("utf-16"), "it declares a document type"),
    "an unknown entity": (xml("&a;"), "undefined entity"),
    "an unknown encoding": ('<?xml version="1.0" encoding="x-none"?>' + xml(), "is not VOC's XML"),
    "huge": (" " * 1_000_001, "it has more than 1,000,000 bytes"),
    "no name": (xml(""), "object 1 has no name"),
    "no box": ("<annotation><object><name>3</name></object></annotation>", "object 1: xmin is 'missing'"),
    "a word": (xml(xmin="left"), "object 1: xmin is 'left'"),
    "infinite": (xml(xmin="-inf"), "object 1: xmin is '-inf'"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        voc.read(path)
    assert message in caught.value.message
    assert f"'{path}'" in caught.value.message
    assert caught.value.hint


def test_a_deep_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation>" + "<a>" * 50_000 + "</a>" * 50_000 + "</annotation>")
    assert voc.read(tmp_path / "a.xml") == ()
