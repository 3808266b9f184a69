"""SVHN's whole numbers: digitStruct.mat, archives and folders, and the real files, if available."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import REAL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from photo_files import assert_labels, fields, leftovers, rows, write_digit_struct, write_svhn_full
from served import folder_served

from svhncli.core.errors import DataError, UsageError
from svhncli.data.dataset import DataSet
from svhncli.data.formats import digit_struct
from svhncli.data.framing import Framing
from svhncli.data.sources import svhn_full
from svhncli.data.store.cache import Cache

FRAMING = Framing(12, 20, "boxes", 0.1, 0.1)
COUNTS = {"train": 9, "test": 5, "extra": 4}


def load(root: Path, **options: Any) -> DataSet:
    return svhn_full.load(root, FRAMING, **({"cache": Cache(root.parent / "cache")} | options))


def pack(root: Path, target: Path, *parts: str) -> None:
    target.mkdir(exist_ok=True)
    for part in parts:
        with tarfile.open(target / f"{part}.tar.gz", "w:gz") as archive:
            archive.add(root / part, part)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, (part, n) in enumerate(COUNTS.items()):
        write_svhn_full(tmp_path / "data", part, n, seed)
    return tmp_path / "data"


@pytest.fixture
def packed(root: Path, tmp_path: Path) -> Path:
    pack(root, tmp_path / "packed", *COUNTS)
    return tmp_path / "packed"


def assert_whole(data: DataSet) -> None:
    assert_labels(data.train, rows(COUNTS["train"], 0, width=1))
    assert_labels(data.test, rows(COUNTS["test"], 1, width=1))


def test_labels_and_boxes_are_those_of_the_file(tmp_path: Path) -> None:
    labels = rows(30, 0, longest=5)
    write_digit_struct(tmp_path / "a.mat", labels)
    assert digit_struct.read(tmp_path / "a.mat") == labels


@pytest.mark.full
def test_several_processes_read_the_same_labels(tmp_path: Path) -> None:
    labels = rows(1100, 0)
    write_digit_struct(tmp_path / "a.mat", labels)
    for workers in (1, 2):
        assert digit_struct.read(tmp_path / "a.mat", workers) == labels


def test_label_10_becomes_0_and_other_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    box = ((0.0, 0.0, 5.0, 5.0),)
    write_digit_struct(path, [("1.png", (0,), box)])
    with h5py.File(path) as file:
        assert file[file["digitStruct/bbox"][0, 0]]["label"][0, 0] == 10
    assert digit_struct.read(path) == [("1.png", (0,), box)]
    for label in (11, -1, 1.5):
        write_digit_struct(path, [("1.png", (label,), box)])
        with pytest.raises(DataError, match=f"'1.png': label {label}") as caught:
            digit_struct.read(path)
        assert "10 is the digit 0" in caught.value.hint


@pytest.mark.parametrize("name", ["../1.png", "a/b.png", "..", "", "/etc/passwd", "a\\b.png"])
def test_images_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    write_digit_struct(tmp_path / "a.mat", [(name or "\0", (1,), ((0.0, 0.0, 5.0, 5.0),))])
    with pytest.raises(DataError, match="not a valid file name"):
        digit_struct.read(tmp_path / "a.mat")


def test_the_test_part_is_loaded_alone_and_is_the_same(root: Path) -> None:
    whole = load(root)
    shutil.rmtree(root / "train")
    data = load(root, test_only=True)
    assert (len(data.train), data.val) == (0, None)
    assert data.test is not None
    assert whole.test is not None
    assert (data.test.images == whole.test.images).all()
    assert_labels(data.test, rows(COUNTS["test"], 1, width=1))
    with pytest.raises(DataError, match="train"):
        load(root)


def test_folders_are_read(root: Path) -> None:
    data = load(root)
    assert_whole(data)
    assert data.val is None
    assert data.framing == FRAMING
    assert data.train.names[0] == "train/1.png"


def test_the_extra_part_trains_or_validates(root: Path) -> None:
    data = load(root, extra="val")
    assert_labels(data.val, rows(COUNTS["extra"], 2, width=1))
    data = load(root, extra="train")
    assert_labels(data.train, rows(COUNTS["train"], 0, width=1) + rows(COUNTS["extra"], 2, width=1))
    with pytest.raises(UsageError, match="extra is 'all'"):
        load(root, extra="all")


def test_archives_are_unpacked_once(packed: Path) -> None:
    assert_whole(load(packed))
    assert {path.name for path in packed.iterdir() if not path.name.startswith(".")} == {
        "train",
        "test",
        *(f"{part}.tar.gz" for part in COUNTS),
    }
    for path in packed.glob("*.tar.gz"):
        path.write_bytes(b"")
    assert_whole(load(packed))


def test_the_users_own_files_may_have_no_test_part(root: Path) -> None:
    for path in (root / "test").iterdir():
        path.unlink()
    (root / "test").rmdir()
    assert load(root).test is None


def test_the_message_names_missing_files_with_their_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/none/train' nor train\.tar\.gz") as caught:
        load(tmp_path / "none")
    assert "data.download=true" in caught.value.hint
    (tmp_path / "none" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"neither digitStruct\.mat nor .*json in '.*/none/train'") as caught:
        load(tmp_path / "none")
    assert "train.tar.gz" in caught.value.hint
    (tmp_path / "none" / "digitStruct.mat").touch()
    with pytest.raises(DataError, match=r"neither digitStruct\.mat") as caught:
        load(tmp_path / "none")
    assert f"move '{tmp_path}/none/digitStruct.mat' into it" in caught.value.hint
    assert leftovers(tmp_path / "cache") == []


def test_a_file_that_is_no_part_is_refused_before_any_download(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"notes\.txt' is a file") as caught:
        load(tmp_path / "notes.txt", download=True)
    assert "train.tar.gz" in caught.value.hint


def test_archives_that_were_packed_or_unpacked_again_are_read(root: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    with tarfile.open(again / "train.tar", "w") as archive:
        archive.add(root / "train", "train")
    shutil.make_archive(str(again / "test"), "zip", root / "test")  # without a folder test/
    assert_whole(load(again, download=False))


def test_label_files_in_json_are_read(root: Path) -> None:
    for part in ("train", "test"):
        content = [
            {
                "filename": name,
                "boxes": [
                    dict(zip(columns, box, strict=True)) for box in zip(*columns.values(), strict=True)
                ],
            }
            for name, label, boxes in digit_struct.read(root / part / "digitStruct.mat")
            for columns in [fields(label, boxes, zero=10)]
        ]
        (root / part / "digitStruct.json").write_text(json.dumps(content))
        (root / part / "digitStruct.mat").unlink()
    assert_whole(load(root))


def test_folders_one_deeper_are_read_with_the_same_names(root: Path, tmp_path: Path) -> None:
    names = list(load(root).train.names)
    (tmp_path / "outer").mkdir()
    (root / "train").rename(tmp_path / "inner")
    (root / "train").mkdir()
    (tmp_path / "inner").rename(root / "train" / "train")
    root.rename(tmp_path / "outer" / "data")
    data = load(tmp_path / "outer")
    assert_whole(data)
    assert list(data.train.names) == names


@pytest.mark.parametrize("name", ["train", "train/digitStruct.mat", "test", "train.tar.gz"])
def test_the_root_may_be_named_by_what_lies_in_it(packed: Path, name: str) -> None:
    load(packed)
    assert_whole(load(packed / name, download=False))


def test_images_without_labels_are_counted(root: Path) -> None:
    beside = ("extra (data.extra=train or val uses it)",)
    assert load(root).unread == beside
    for name in ("a.png", "b.JPG", "._c.png", "d.m"):
        (root / "train" / name).touch()
    (root / "train" / "1.png").write_bytes(b"damaged")
    data = load(root, skip_broken=True)
    assert data.broken == ("train/1.png",)
    assert data.unread == (*beside, "train: 2 images that its label file does not list")


@pytest.fixture
def server(packed: Path) -> Iterator[str]:
    with folder_served(packed) as address:
        yield address


def test_missing_archives_are_downloaded(server: str, tmp_path: Path) -> None:
    stages: set[str] = set()
    data = load(
        tmp_path / "new",
        download=True,
        urls=[server],
        progress=lambda stage, done, total: stages.add(stage),
    )
    assert_whole(data)
    assert {"download train", "unpack train.tar.gz", "decode svhn_full train"} <= stages
    assert not (tmp_path / "new" / "extra.tar.gz").exists()


# ----------------------------------------------------------------------------- damage


def test_an_archive_cannot_write_outside_its_folder(packed: Path, tmp_path: Path) -> None:
    with tarfile.open(packed / "train.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("train/../../../escaped")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DataError, match=r"train\.tar\.gz' is damaged"):
        load(packed)
    assert not list(tmp_path.rglob("escaped"))
    assert not list(packed.glob(".writing-*"))
    assert not (packed / "train").exists()


def test_a_link_in_an_archive_is_refused(packed: Path) -> None:
    with tarfile.open(packed / "train.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("train/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(member)
    with pytest.raises(DataError, match="is not a file or folder inside it"):
        load(packed)
    assert not (packed / "train").exists()


def test_an_archive_without_the_parts_folder_is_refused(packed: Path) -> None:
    with tarfile.open(packed / "train.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("other"))
    with pytest.raises(DataError, match="no folder train/"):
        load(packed)


@pytest.mark.parametrize("offset", [-1, -8], ids=["length", "checksum"])
def test_an_archive_is_read_to_its_checksum(packed: Path, offset: int) -> None:
    content = bytearray((packed / "train.tar.gz").read_bytes())
    content[offset] ^= 1
    (packed / "train.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"train\.tar\.gz' is damaged"):
        load(packed)
    assert not (packed / "train").exists()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_is_refused_and_leaves_nothing(packed: Path, data: st.DataObject) -> None:
    whole = (packed / "test.tar.gz").read_bytes()
    content = bytearray(whole)
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:  # the header's first bytes hold a time and a name, which are not used
        content[data.draw(st.integers(len(whole) // 50, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (packed / "train.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"train\.tar\.gz"):
        load(packed)
    assert not (packed / "train").exists()
    assert not list(packed.glob(".writing-*"))
    assert leftovers(packed.parent / "cache") == []


@pytest.fixture(scope="module")
def struct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("struct") / "a.mat"
    write_digit_struct(path, rows(3, 0))
    return path


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_label_file_gives_labels_or_a_data_error(struct: Path, data: st.DataObject) -> None:
    content = bytearray(struct.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(512, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path = struct.with_name("damaged.mat")
    path.write_bytes(content)
    try:
        labels = digit_struct.read(path, 1)
    except DataError as error:
        assert str(path) in error.message  # noqa: PT017
    else:
        assert all(len(label) == len(boxes) > 0 for _, label, boxes in labels)


# ----------------------------------------------------------------------------- the real files

real = pytest.mark.skipif(not (REAL / "full_numbers_mini").is_dir(), reason=f"no real data in {REAL}")
REAL_NUMBERS = {
    "train": [(1, 9), (2, 3), (2, 5)],
    "test": [(5,), (2, 1, 0), (6,)],
    "val": [(4, 7, 8), (7, 1), (1, 7, 4)],
}


@real
def test_the_nine_real_photographs_have_their_numbers(tmp_path: Path) -> None:
    root = REAL / "full_numbers_mini"
    data = svhn_full.load(root, FRAMING, extra="val", skip_broken=True, cache=Cache(tmp_path))
    for part, labels in REAL_NUMBERS.items():
        digits = getattr(data, part)
        assert [tuple(k for k in row if k != 10) for row in digits.labels.tolist()] == labels
        assert (digits.boxes[:, 0, 2] > digits.boxes[:, 0, 0]).all()
    assert data.train.sizes.tolist() == [[741, 350], [199, 83], [52, 23]]
    with pytest.raises(DataError, match=r"train/4\.png': No such file"):
        svhn_full.load(root, FRAMING, cache=Cache(tmp_path))


@real
@pytest.mark.parametrize("part", ["train", "test"])
def test_the_real_label_files_match_the_tables_of_boxes(part: str) -> None:
    expected: dict[str, list[list[float]]] = {}
    with gzip.open(REAL / "labels" / f"svhn_{part}_boxes.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            values = [float(row[name]) for name in ("digit", "xmin", "ymin", "xmax", "ymax")]
            expected.setdefault(row["image"], []).append(values)
    labels = digit_struct.read(REAL / "full_numbers_mini" / part / "digitStruct.mat")
    assert len(labels) >= 39
    for name, label, boxes in labels:
        assert np.column_stack([label, boxes]).tolist() == expected[name]
