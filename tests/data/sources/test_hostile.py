"""Files that were made to do harm: one message each, with the file's name, and nothing runs."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_images import load, make_image

from svhncli.core.errors import DataError
from svhncli.data.formats import (
    array_file,
    coco,
    digit_struct_json,
    labels_csv,
    mat,
    mchar_json,
    metadata,
    voc,
    yolo,
)


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be of some size."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.fault("an image claims 10^10 pixels", "refused by name", "3")
def test_an_image_that_claims_ten_billion_pixels_is_refused(tmp_path: Path) -> None:
    make_image(tmp_path / "mine" / "1" / "a.png", 1)
    (tmp_path / "mine" / "2").mkdir()
    (tmp_path / "mine" / "2" / "huge.png").write_bytes(png(100_000, 100_000))
    with pytest.raises(DataError, match=r"huge\.png' has more than 50,000,000 pixels"):
        load(tmp_path / "mine")


JSON = {
    "NaN": '{"a.png": NaN}',
    "infinity": '{"a.png": -Infinity}',
    "a name twice": '{"a.png": {}, "a.png": {}}',
    "10,000 levels": "[" * 10_000 + "]" * 10_000,
    "10,000 objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "5,000 digits": '{"a.png": ' + "9" * 5_000 + "}",
    "half": '{"a.png": {"label": [1',
    "bytes": "\x00\x01",
}
READERS: dict[str, Callable[[Path], object]] = {
    "mchar": mchar_json.read,
    "coco": coco.read,
    "digitStruct": digit_struct_json.read,
}


@pytest.mark.fault(
    "JSON with NaN, a key twice, 10,000 levels or numbers of 5,000 digits", "refused by name", "3"
)
@pytest.mark.parametrize("content", JSON.values(), ids=JSON.keys())
@pytest.mark.parametrize("reader", READERS)
def test_json_that_is_not_strict_is_refused(reader: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.json'"):
        READERS[reader](tmp_path / "a.json")


LINES = {
    "10,000 levels": JSON["10,000 levels"],
    "5,000 digits": JSON["5,000 digits"],
    "NaN": '{"file_name": "b.png", "label": 1, "more": NaN}',
    "a name twice": '{"file_name": "b.png", "label": 1, "label": 2}',
    "a list": "[]",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_a_line_of_json_is_refused_with_its_number(line: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "a.png", "label": 1}}\n{line}\n')
    with pytest.raises(DataError, match=r"metadata\.jsonl', row 2"):
        metadata.read(tmp_path / "metadata.jsonl")


CSV = {
    "NUL": b"file,label\na\0.png,1\n",
    "a huge field": b"file,label\n" + b"a" * 200_000 + b",1\n",
    "10 MB of digits": b"file,label\na.png," + b"1" * 10_000_000 + b"\n",
    "100,000 columns": b"file,label" + b"," * 100_000,
    "an open quote": b'file,label\n"a.png,1\n' + b"b.png,2\n" * 1000,
    "no text": bytes(range(256)),
    "an absolute path": b"file,label\n/etc/passwd,1\n",
    "a path above": b"file,label\n../../a.png,1\n",
}


@pytest.mark.parametrize("content", CSV.values(), ids=CSV.keys())
def test_a_csv_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"labels\.csv'") as caught:
        labels_csv.read(tmp_path / "labels.csv")
    assert len(caught.value.message) < 1000


LAUGHS = "names: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(10)
)


@pytest.mark.parametrize(
    "content", [LAUGHS, "names: &a [*a]", "names: !!python/object/apply:os.mkdir [canary]", "[" * 10_000]
)
def test_names_of_classes_that_would_fill_the_memory_are_refused(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=r"data\.yaml'"):
        yolo.names(tmp_path / "data.yaml")
    assert os.listdir() == ["data.yaml"]


def test_entities_of_xml_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("7")
    entity = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    (tmp_path / "a.xml").write_text(f"{entity}<annotation><object><name>&x;</name></object></annotation>")
    with pytest.raises(DataError, match=r"a\.xml'.*declares a document type"):
        voc.read(tmp_path / "a.xml")


class Evil:
    """Whoever unpickles it makes a folder."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("canary",)


def npz_of(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.npy", content)
    return file.getvalue()


@pytest.mark.fault("an array holds pickled objects", "refused by name; nothing is run", "3")
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_objects_in_an_array_are_never_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    np.save(file, np.array([Evil()], object), allow_pickle=True)
    Path(name).write_bytes(file.getvalue() if name == "x.npy" else npz_of(file.getvalue()))
    (array,) = array_file.arrays_in(tmp_path / name)
    with pytest.raises(DataError, match="could run code"):
        array.read()
    assert os.listdir() == [name]


@pytest.mark.fault("an array claims a terabyte", "refused by name", "3")
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_array_that_claims_a_terabyte_is_refused(suffix: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
    )
    path = tmp_path / f"x{suffix}"
    path.write_bytes(file.getvalue() if suffix == ".npy" else npz_of(file.getvalue()))
    (array,) = array_file.arrays_in(path)
    with pytest.raises(DataError, match=r"far more than a file of this size holds"):
        array.read()


def test_a_mat_that_claims_a_terabyte_is_refused(tmp_path: Path) -> None:
    def item(kind: int, content: bytes) -> bytes:
        return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)

    header = item(6, struct.pack("<II", 9, 0)) + item(5, struct.pack("<ii", 1 << 20, 1 << 20)) + item(1, b"X")
    start = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(start + item(14, header))
    with pytest.raises(DataError, match=r"a\.mat' is damaged: .*far more than a file of its size holds"):
        mat.variables(tmp_path / "a.mat")


@pytest.mark.parametrize("damage", [("<U1", ">U1"), ("7\0\0\0", "7\0\0\x7f")], ids=["byte order", "letter"])
def test_letters_that_are_none_are_damage(tmp_path: Path, damage: tuple[str, str]) -> None:
    np.save(tmp_path / "y.npy", np.array(["7"]))
    before, after = (text.encode() for text in damage)
    content = (tmp_path / "y.npy").read_bytes()
    assert before in content
    (tmp_path / "y.npy").write_bytes(content.replace(before, after))
    (array,) = array_file.arrays_in(tmp_path / "y.npy")
    with pytest.raises(DataError, match=r"y\.npy'"):
        array.read()


def test_an_image_that_is_missing_is_refused_with_the_list_that_names_it(tmp_path: Path) -> None:
    make_image(tmp_path / "mine" / "a.png", 1)
    (tmp_path / "mine" / "labels.csv").write_text("file,label\na.png,1\nb.png,2\n")
    with pytest.raises(DataError, match=r"b\.png'.*\(listed in '.*labels\.csv'\)"):
        load(tmp_path / "mine")


def test_a_list_of_nothing_is_named(tmp_path: Path) -> None:
    make_image(tmp_path / "mine" / "a.png", 1)
    (tmp_path / "mine" / "labels.csv").write_text("file,label\n")
    with pytest.raises(DataError, match=r"no labeled images in '.*labels\.csv'"):
        load(tmp_path / "mine")
