"""The street-character contest's files, read strictly."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import REAL
from hypothesis import example, given, settings
from hypothesis import strategies as st
from photo_files import assert_labels, fields, leftovers, write_mchar

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.formats import mchar_json
from svhncli.data.formats.boxed_labels import LONGEST
from svhncli.data.framing import Framing
from svhncli.data.sources import mchar
from svhncli.data.store.cache import Cache

WHOLE = Framing(12, 20)
ROW = fields((0, 7), ((1.0, 2.0, 5.0, 9.0), (6.0, 2.0, 11.0, 9.5)))


def load(folder: Path, name: str = "", **options: Any) -> DataSet:
    return mchar.load(folder / name, WHOLE, cache=Cache(folder / ".cache"), **options)


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_both_parts_are_read_and_there_is_no_test_part(tmp_path: Path) -> None:
    train, val = (write_mchar(tmp_path, part, n, n) for part, n in (("train", 7), ("val", 4)))
    data = mchar.load(tmp_path, WHOLE, cache=Cache(tmp_path / "cache"))
    assert_labels(data.train, train)
    assert_labels(data.val, val)
    assert data.test is None
    assert data.train.names[0] == "mchar_train/000001.png"


def test_the_validation_part_may_be_missing(tmp_path: Path) -> None:
    write_mchar(tmp_path, "train", 3, 0)
    assert mchar.load(tmp_path, WHOLE, cache=Cache(tmp_path / "cache")).val is None


@pytest.mark.parametrize("folder", ["mchar_train/", ""])
def test_the_contests_zip_is_unpacked(tmp_path: Path, folder: str) -> None:
    train = write_mchar(tmp_path, "train", 3, 0)
    images = tmp_path / "mchar_train"
    with zipfile.ZipFile(tmp_path / "mchar_train.zip", "w") as zipped:
        for path in images.iterdir():
            zipped.write(path, f"{folder}{path.name}")
    shutil.rmtree(images)
    data = load(tmp_path)
    assert_labels(data.train, train)
    assert data.unread == ()
    assert len(list(images.glob("*.png"))) == 3


@pytest.mark.parametrize("name", ["mchar_train.json", "mchar_train", "mchar_val.json", "mchar_train.zip"])
def test_the_root_may_be_named_by_what_lies_in_it(tmp_path: Path, name: str) -> None:
    train, _ = write_mchar(tmp_path, "train", 3, 0), write_mchar(tmp_path, "val", 2, 1)
    (tmp_path / "mchar_train.zip").touch()
    data = load(tmp_path, name)
    assert_labels(data.train, train)
    assert data.val is not None


def test_another_file_is_not_taken_for_the_root(tmp_path: Path) -> None:
    write_mchar(tmp_path, "train", 3, 0)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"other/mchar_train\.json'"):
        load(tmp_path, "other")


def test_images_without_labels_are_counted(tmp_path: Path) -> None:
    write_mchar(tmp_path, "train", 9, 0)
    write_mchar(tmp_path, "val", 4, 1)
    shutil.copy(tmp_path / "mchar_val.json", tmp_path / "mchar_train.json")
    (tmp_path / "mchar_val" / "000001.png").unlink()
    (tmp_path / "mchar_val.zip").touch()
    for name in ("mchar_test_a.zip", "readme.md", "notes.doc"):
        (tmp_path / name).touch()
    data = load(tmp_path, skip_broken=True)
    assert data.unread == ("notes.doc", "mchar_train: 5 images that mchar_train.json does not list")


def test_a_part_without_a_label_file_is_named(tmp_path: Path) -> None:
    write_mchar(tmp_path / "data", "train", 3, 0)
    (tmp_path / "data" / "mchar_val").mkdir()
    (tmp_path / "data" / "mchar_val.zip").touch()
    assert load(tmp_path / "data").unread == tuple(
        f"{name} (there is no mchar_val.json)" for name in ("mchar_val", "mchar_val.zip")
    )


def test_floats_are_accepted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"a.png": ROW | {"label": [0.0, 7]}})
    assert mchar_json.read(path) == [("a.png", (0, 7), ((1.0, 2.0, 5.0, 9.0), (6.0, 2.0, 11.0, 9.5)))]


def nested(depth: int) -> str:
    return '{"a.png": ' + "[" * depth + "]" * depth + "}"


BAD = {
    "empty": ("", "not valid JSON"),
    "list": ([1], "not a JSON object"),
    "number": ("7", "not a JSON object"),
    "cut": ('{"a.png": {"label": [1', "not valid JSON"),
    "repeated image": ('{"a.png": 1, "a.png": 2}', "'a.png' appears twice"),
    "repeated field": ('{"a.png": {"label": [1], "label": [2]}}', "'label' appears twice"),
    "nan": ('{"a.png": {"label": [NaN]}}', "NaN is not a finite number"),
    "infinity": ('{"a.png": {"left": [-Infinity]}}', "-Infinity is not a finite number"),
    "deep": (nested(100_000), "nested too deeply"),
    "long integer": ('{"a.png": {"label": [' + "7" * 5000 + "]}}", "not valid JSON"),
    "rather long integer": (json.dumps({"a.png": ROW}).replace("7.5", "9" * 400), "'a.png'"),
    "lengths": ({"a.png": ROW | {"left": [1]}}, "2 values in 'label', but 1 in 'left'"),
    "missing field": ({"a.png": {"label": [1]}}, "'left' is missing"),
    "label 10": ({"a.png": ROW | {"label": [1, 10]}}, "label 10"),
    "label -1": ({"a.png": ROW | {"label": [1, -1]}}, "label -1"),
    "label 1.5": ({"a.png": ROW | {"label": [1, 1.5]}}, "label 1.5"),
    "label text": ({"a.png": ROW | {"label": ["1", "2"]}}, "'label' holds"),
    "label null": ({"a.png": ROW | {"label": [None, 2]}}, "'label' holds"),
    "label true": ({"a.png": ROW | {"label": [True, 2]}}, "'label' holds"),
    "no digits": ({"a.png": {name: [] for name in ROW}}, "0 digits"),
    "many digits": ({"a.png": {name: [1] * (LONGEST + 1) for name in ROW}}, f"{LONGEST + 1} digits"),
    "fields are numbers": ({"a.png": dict.fromkeys(ROW, 1)}, "not lists"),
    "row is a list": ({"a.png": [1]}, "not lists"),
    "huge": (json.dumps({"a.png": ROW}).replace("7.5", "1e999"), "'height' holds"),
    "far": ({"a.png": ROW | {"left": [1e9, 1]}}, "'left' holds"),
    "negative size": ({"a.png": ROW | {"width": [-1, 1]}}, "negative size"),
    "path": ({"../a.png": ROW}, "not a valid file name"),
    "bytes": (None, "not valid JSON"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_label_file_is_one_data_error(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "a.json"
    if content is None:
        path.write_bytes(b"\xff\xfe\x00")
    else:
        write(path, content)
    with pytest.raises(DataError, match=r"a\.json") as caught:
        mchar_json.read(path)
    assert message in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("missing", ["mchar_train.json", "mchar_train"])
def test_the_message_names_missing_files_with_their_path(tmp_path: Path, missing: str) -> None:
    write_mchar(tmp_path, "train", 2, 0)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"/{missing}'"):
        mchar.load(tmp_path, WHOLE, cache=Cache(tmp_path / "cache"))


numbers = (
    st.integers(-5, 12) | st.floats() | st.none() | st.booleans() | st.text(max_size=2) | st.just(10**400)
)
rows = st.dictionaries(st.sampled_from([*ROW, "other"]), st.lists(numbers, max_size=3) | numbers)
files = st.dictionaries(st.text(max_size=4), rows | numbers, max_size=2) | numbers
texts = files.map(json.dumps) | st.text(max_size=30)


@settings(max_examples=200, deadline=None)
@given(content=texts, position=st.integers(0, 10**6), byte=st.integers(0, 255))
@example(content=json.dumps({"a.png": ROW}), position=3, byte=0)
def test_a_malformed_label_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, content: str, position: int, byte: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mchar"
    folder.mkdir(exist_ok=True)
    for raw in (content, json.dumps({"a.png": ROW})):
        data = bytearray(raw.encode("utf-8", "surrogatepass") or b" ")
        if raw is not content:
            data[position % len(data)] = byte
        (folder / "mchar_train.json").write_bytes(data)
        try:
            labels = mchar_json.read(folder / "mchar_train.json")
        except DataError as error:
            assert "mchar_train.json" in error.message  # noqa: PT017
        else:
            assert all(0 <= digit <= 9 for _, label, _ in labels for digit in label)


def test_a_bad_file_leaves_no_partial_cache(tmp_path: Path) -> None:
    write_mchar(tmp_path, "train", 3, 0)
    for content, _ in BAD.values():
        if content is not None:
            write(tmp_path / "mchar_train.json", content)
            with pytest.raises(DataError):
                mchar.load(tmp_path, WHOLE, cache=Cache(tmp_path / "cache"))
            assert leftovers(tmp_path / "cache") == []


@pytest.mark.skipif(not (REAL / "labels").is_dir(), reason=f"no real data in {REAL}")
def test_the_contests_own_files_are_read() -> None:
    labels = mchar_json.read(REAL / "labels" / "mchar_train.json")
    lengths = [len(label) for _, label, _ in labels]
    assert [lengths.count(length) for length in range(1, 7)] == [4636, 16262, 7813, 1280, 8, 1]
    assert labels[0] == ("000000.png", (1, 9), ((246.0, 77.0, 327.0, 296.0), (323.0, 81.0, 419.0, 300.0)))
    assert len(mchar_json.read(REAL / "labels" / "mchar_val.json")) == 10_000
