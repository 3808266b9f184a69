"""Images listed in a labels.csv of a spreadsheet, or in the metadata of Hugging Face's imagefolder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_images import contents, group_of, load, make_image

from svhncli.core.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def images_in(folder: Path, *names: str) -> None:
    """Images whose gray values are 10, 11, …"""
    for value, name in enumerate(names, start=10):
        make_image(folder / name, value)


def metadata(folder: Path, kind: str, rows: list[dict[str, object]]) -> None:
    """The rows as a metadata.csv or a metadata.jsonl."""
    if kind == "jsonl":
        content = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        content = "\n".join(lines) + "\n"
    (folder / f"metadata.{kind}").write_text(content)


def test_a_labels_csv_of_a_spreadsheet_is_read(root: Path) -> None:
    images_in(root, "a.png", "sub/b.png", "c.png")
    content = "File;Label;Group\r\na.png;007;m1\r\nsub/b.png; 8 ;m2\r\nc.png;3.0;m1\r\n"
    (root / "labels.csv").write_bytes(content.encode("utf-16"))
    data = load(root)
    expected = {"mine/a.png": ("007", 10), "mine/sub/b.png": ("8", 11), "mine/c.png": ("3", 12)}
    assert contents(data.train) == expected
    groups = group_of(data.train)
    assert groups["mine/a.png"] == groups["mine/c.png"] != groups["mine/sub/b.png"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_in_the_folders_of_parts_labels_their_images(root: Path, kind: str) -> None:
    for part, label in (("train", "42"), ("test", "7"), ("validation", "8.0")):
        images_in(root / part, "0.png", "deep/1.png")
        rows = [{"file_name": "deep/1.png", "text": "x", "label": label, "split": part}]
        metadata(root / part, kind, [*rows, {"file_name": "0.png", "text": "y", "label": 1, "split": part}])
    make_image(root / "train" / "2.png", 5)
    data = load(root)
    assert contents(data.train) == {"train/deep/1.png": ("42", 11), "train/0.png": ("1", 10)}
    assert contents(data.test) == {"test/deep/1.png": ("7", 11), "test/0.png": ("1", 10)}
    assert contents(data.val) == {"validation/deep/1.png": ("8", 11), "validation/0.png": ("1", 10)}
    assert {f"{part}/metadata.{kind} (columns text, split)" for part in ("train", "test", "validation")} | {
        "train/2.png"
    } == {*data.unread}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_in_the_root_takes_the_parts_from_the_paths(root: Path, kind: str) -> None:
    images_in(root, "train/0.png", "Valid/0.png", "test/0.png", "more/0.png", "0.png")
    files = ("train/0.png", "Valid/0.png", "test/0.png", "more/0.png", "0.png")
    metadata(root, kind, [{"file_name": file, "label": place} for place, file in enumerate(files)])
    data = load(root)
    assert contents(data.train) == {
        "mine/train/0.png": ("0", 10),
        "mine/more/0.png": ("3", 13),
        "mine/0.png": ("4", 14),
    }
    assert contents(data.val) == {"mine/Valid/0.png": ("1", 11)}
    assert contents(data.test) == {"mine/test/0.png": ("2", 12)}
    assert data.unread == ()
    assert list(load(root, test_only=True).test.names) == ["mine/test/0.png"]


def test_a_labels_csv_in_the_root_takes_the_parts_from_the_paths_but_a_column_of_parts_decides(
    root: Path,
) -> None:
    images_in(root, "train/0.png", "test/0.png")
    (root / "labels.csv").write_text("file,label\ntrain/0.png,1\ntest/0.png,2\n")
    data = load(root)
    assert (list(contents(data.train)), list(contents(data.test))) == (
        ["mine/train/0.png"],
        ["mine/test/0.png"],
    )
    (root / "labels.csv").write_text("file,label,part\ntrain/0.png,1,test\ntest/0.png,2,train\n")
    data = load(root)
    assert list(contents(data.train)) == ["mine/test/0.png"]


def test_paths_without_parts_are_all_trained_on(root: Path) -> None:
    images_in(root, "a/0.png", "b/0.png")
    metadata(root, "csv", [{"file_name": "a/0.png", "label": 1}, {"file_name": "b/0.png", "label": 2}])
    data = load(root)
    assert (len(data.train), data.test, data.unread) == (2, None, ())


def test_a_labels_csv_counts_before_metadata_and_both_before_class_folders(root: Path) -> None:
    images_in(root, "3/a.png", "b.png", "c.png")
    metadata(root, "jsonl", [{"file_name": "b.png", "label": 1}])
    assert contents(load(root).train) == {"mine/b.png": ("1", 11)}
    (root / "labels.csv").write_text("file,label\nc.png,2\n")
    data = load(root)
    assert contents(data.train) == {"mine/c.png": ("2", 12)}
    assert data.unread == ("b.png", "metadata.jsonl", "3")


BAD = {
    "no label": (
        "csv",
        "file_name,text\na.png,x\n",
        "no column 'label'; its first line names file_name, text",
    ),
    "mistyped": ("csv", "filename,label\na.png,1\n", "did you mean 'file_name'?"),
    "empty": ("jsonl", "", "is empty"),
    "fraction": ("csv", "file_name,label\na.png,8.5\n", "row 2: label '8.5' is not"),
    "no JSON": ("jsonl", '{"file_name": "a.png", "label": 1}\n{"file_name": \n', "row 2 is not JSON"),
    "a list": ("jsonl", '["a.png", 1]\n', "row 1 is not a JSON object"),
    "deep": ("jsonl", "[" * 100_000 + "\n", "row 1 is not JSON"),
    "a row without": ("jsonl", '{"file_name": "a.png", "label": 1}\n{"file_name": "b.png"}\n', "row 2: no"),
    "true": ("jsonl", '{"file_name": "a.png", "label": true}\n', "label 'True' is not"),
    "null": ("jsonl", '{"file_name": "a.png", "label": null}\n', "the image has no label"),
    "a path": ("jsonl", '{"file_name": "../a.png", "label": 1}\n', "file '../a.png' is not inside"),
    "twice": ("csv", "file_name,label\na.png,1\n./a.png,1\n", "row 3: 'a.png' appears twice"),
    "latin-1": ("jsonl", b'{"file_name": "\xe4.png", "label": 1}\n', "not in UTF-8"),
}


@pytest.mark.parametrize(("kind", "content", "message"), BAD.values(), ids=BAD.keys())
def test_bad_metadata_is_one_data_error(root: Path, kind: str, content: str | bytes, message: str) -> None:
    images_in(root, "a.png", "b.png")
    raw = content if isinstance(content, bytes) else content.encode()
    (root / f"metadata.{kind}").write_bytes(raw)
    with pytest.raises(DataError) as caught:
        load(root)
    assert message in caught.value.message
    assert f"'{root / f'metadata.{kind}'}'" in caught.value.message
    assert caught.value.hint
