"""Your own images: class folders or a labels.csv."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_images import load, make_image
from photo_files import leftovers

from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.framing import Framing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def numbers(data: DataSet) -> list[str]:
    return ["".join(str(k) for k in row if k != 10) for row in data.train.labels.tolist()]


def with_csv(root: Path, content: str | bytes, images: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    for value, name in enumerate(images):
        make_image(root / name, value)
    raw = content if isinstance(content, bytes) else content.encode()
    (root / "labels.csv").write_bytes(raw)
    return root


def test_class_folders_give_single_digits(root: Path) -> None:
    for digit in (0, 3, 9):
        for i in range(2):
            make_image(root / str(digit) / f"{i}.png", 10 * digit + i)
    data = load(root)
    assert data.train.labels.ravel().tolist() == [0, 0, 3, 3, 9, 9]
    assert data.train.classes == 10
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 30, 31, 90, 91]
    assert data.train.names[2] == "mine/3/0.png"
    assert data.test is None
    assert data.val is None


def classes_in(folder: Path, count: int = 1) -> None:
    for digit in range(10):
        for i in range(count):
            make_image(folder / str(digit) / f"{i}.png", 10 * digit + i)


def test_whatever_is_not_read_is_named(root: Path) -> None:
    classes_in(root)
    for name in ("10", "07", "five", "NaN"):
        make_image(root / name / "0.png", 5)
    make_image(root / "3" / "more" / "0.png", 5)
    make_image(root / "beside.png", 5)
    for hidden in (".DS_Store", "3/._0.png", "__MACOSX/3/._0.png"):
        (root / hidden).parent.mkdir(parents=True, exist_ok=True)
        (root / hidden).write_bytes(b"\0\5\x16\7")
    data = load(root)
    assert len(data.train) == 10
    assert data.unread == ("07", "10", "3/more", "NaN", "beside.png", "five")


def test_what_a_labels_csv_does_not_list_is_named(root: Path) -> None:
    with_csv(root, "file,label\nimg/a.png,1\n", ("img/a.png", "other/b.png", "c.png"))
    assert load(root).unread == ("c.png", "other")


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_part_has_any_of_its_usual_names(root: Path, name: str) -> None:
    classes_in(root / "train")
    classes_in(root / name, 2)
    data = load(root)
    assert data.val is not None
    assert (len(data.train), len(data.val), data.unread) == (10, 20, ())


@pytest.mark.parametrize("part", ["test", "valid"])
def test_a_part_without_labels_does_not_stop_training(root: Path, part: str) -> None:
    classes_in(root / "train")
    make_image(root / part / "0.png", 5)
    data = load(root)
    assert (data.test, data.val, data.unread) == (None, None, (f"{part} (no labels)",))


def test_images_may_lie_one_folder_deeper(root: Path) -> None:
    classes_in(root / "download" / "train" / "train")
    classes_in(root / "download" / "test")
    (root / "__MACOSX").mkdir()
    data = load(root)
    assert data.test is not None
    assert (len(data.train), len(data.test), data.unread) == (10, 10, ())


def test_a_labels_csv_may_have_the_backslashes_of_windows(root: Path) -> None:
    with_csv(root, "file,label\r\nimg\\a.png,1\r\nimg\\b.png,2\r\n", ("img/a.png", "img/b.png"))
    assert numbers(load(root)) == ["1", "2"]


def test_a_changed_image_behind_a_link_is_decoded_anew(root: Path) -> None:
    classes_in(root / "store")
    (root / "use").mkdir()
    for digit in range(10):
        (root / "use" / str(digit)).symlink_to(root / "store" / str(digit))
    assert load(root / "use").train.images[0, 0, 0, 0] == 0
    make_image(root / "store" / "0" / "0.png", 200)
    assert load(root / "use").train.images[0, 0, 0, 0] == 200
    (root / "store" / "1" / "0.png").unlink()
    assert len(load(root / "use").train) == 9


def test_a_changed_image_in_a_linked_folder_that_a_list_names_is_decoded_anew(root: Path) -> None:
    make_image(root / "store" / "a.png", 0)
    (root / "use").mkdir()
    (root / "use" / "img").symlink_to(root / "store")
    (root / "store" / "back").symlink_to(root / "use")
    (root / "use" / "labels.csv").write_text("file,label\nimg/a.png,1\n")
    assert load(root / "use").train.images[0, 0, 0, 0] == 0
    make_image(root / "store" / "a.png", 200)
    assert load(root / "use").train.images[0, 0, 0, 0] == 200


def test_files_that_are_not_images_are_left_out_and_counted(root: Path) -> None:
    make_image(root / "4" / "a.PNG", 1)
    make_image(root / "4" / "b.jpeg", 1)
    for name in ("notes.txt", "c.heic", "Thumbs.db", "desktop.ini", ".DS_Store"):
        (root / "4" / name).write_bytes(b"x")
    (root / "Thumbs.db").write_bytes(b"x")
    for _ in ("decoded", "from the cache"):
        data = load(root)
        assert (len(data.train), data.unread) == (
            2,
            ("2 files without an image's suffix, such as 4/c.heic",),
        )


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_part_without_a_labeled_image_is_no_part(root: Path, part: str) -> None:
    make_image(root / "train" / "4" / "a.png", 1)
    (root / part / "4").mkdir(parents=True)
    (root / part / "4" / "a.heic").write_bytes(b"x")
    data = load(root)
    assert (data.val, data.test, data.unread) == (None, None, (f"{part} (no labels)",))


def test_without_any_image_the_suffixes_of_images_are_named(root: Path) -> None:
    (root / "4").mkdir(parents=True)
    (root / "4" / "a.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=f"no labeled images in '{root}/4'") as caught:
        load(root)
    assert ".jpg" in caught.value.hint


def test_parts_can_have_their_own_folders(root: Path) -> None:
    for value, part in enumerate(("train", "val", "test")):
        make_image(root / part / "5" / "a.png", value)
    data = load(root)
    values = [part.images[0, 0, 0, 0] for part in (data.train, data.val, data.test)]
    assert values == [0, 1, 2]
    assert len({int(part.groups[0]) for part in (data.train, data.val, data.test)}) == 3


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_labels_keep_their_leading_zeros(root: Path, bom: bytes, newline: str) -> None:
    text = newline.join(["file,label", "b.png,007", "sub/c.png,12", "", '"a.png",0', ""])
    with_csv(root, bom + text.encode(), ("a.png", "b.png", "sub/c.png"))
    data = load(root)
    assert numbers(data) == ["007", "12", "0"]
    assert data.train.labels.shape == (3, 3)
    assert data.train.images[:, 0, 0, 0].tolist() == [1, 2, 0]


def test_a_csv_can_name_groups_and_parts(root: Path) -> None:
    rows = ["part,file,label,group", "train,a.png,1,m1", ",b.png,2,m2", "test,c.png,3,m3", "valid,d.png,4,"]
    data = load(with_csv(root, "\n".join([*rows, "train,e.png,5,m1"]), tuple(f"{c}.png" for c in "abcde")))
    assert numbers(data) == ["1", "2", "5"]
    first, second, third = data.train.groups.tolist()
    assert first == third != second
    assert data.test is not None
    assert data.val is not None
    assert [list(part.names) for part in (data.test, data.val)] == [["mine/c.png"], ["mine/d.png"]]
    assert {*data.test.groups, *data.val.groups}.isdisjoint(data.train.groups)
    assert list(load(root, test_only=True).train.names) == []


def test_a_group_in_two_parts_is_warned_of(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svhncli.data.sources.listed.log.disabled", False)
    with_csv(root, "file,label,group,part\na.png,1,m1,train\nb.png,2,m1,test\n")
    load(root)
    assert caplog.messages == ["1 group in more than one part of the data, such as 'm1'"]


@pytest.mark.parametrize("layout", ["csv", "classes"])
@pytest.mark.parametrize("pattern", [r"(meter\d+)_", r"meter\d+"])
def test_a_pattern_groups_images_by_their_file_names(root: Path, layout: str, pattern: str) -> None:
    files = [f"meter{meter}_{shot}.png" for shot in range(2) for meter in (7, 10)]
    if layout == "csv":
        with_csv(root, "file,label\n" + "".join(f"{file},1\n" for file in files), tuple(files))
    else:
        for file in files:
            make_image(root / "1" / file, 3)
    data = load(root, group=pattern)
    by_name = dict(zip(data.train.names, data.train.groups.tolist(), strict=True))
    of = {Path(name).name: group for name, group in by_name.items()}
    assert of["meter7_0.png"] == of["meter7_1.png"] != of["meter10_0.png"] == of["meter10_1.png"]
    assert len({*load(root).train.groups.tolist()}) == 4, "without the pattern, from another cache"


def test_a_fraction_of_whole_groups_is_set_aside_as_the_test_part(root: Path) -> None:
    for digit in range(2):
        for meter in range(20):
            for shot in range(2):
                make_image(root / str(digit) / f"m{digit}{meter:02}_{shot}.png", 3 * meter + shot)
    data = load(root, group=r"m\d+", test_fraction=0.25)
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (60, 20)
    groups = [{Path(name).name.partition("_")[0] for name in part.names} for part in (data.train, data.test)]
    assert groups[0].isdisjoint(groups[1])
    assert list(load(root, group=r"m\d+", test_fraction=0.25, test_only=True).test.names) == list(
        data.test.names
    )
    moved = next(name for name in data.test.names if name.startswith("mine/0"))
    file = root.parent / moved
    file.rename(root / "1" / file.name)  # a label is corrected
    make_image(root / "1" / "m777_0.png", 9)
    corrected = load(root, group=r"m\d+", test_fraction=0.25)
    assert corrected.test is not None
    kept = {Path(name).name for name in data.test.names} & {Path(name).name for name in corrected.test.names}
    assert len(kept) == len(data.test)
    file = root / "1" / file.name
    file.rename(root.parent / moved)
    (root / "1" / "m777_0.png").unlink()
    whole = load(root, group=r"m\d+")
    assert (len(whole.train), whole.test) == (80, None)
    assert whole.fingerprint != data.fingerprint


WRONG_OPTIONS = {
    "no match": ("file,label\na.png,1\n", {"group": "meter"}, "finds nothing in 1 of 1 file names"),
    "empty match": ("file,label\na.png,1\n", {"group": "(x*)a"}, "finds nothing in 1 of 1 file names"),
    "all in one group": (
        "file,label,group\na.png,1,g\nb.png,1,g\n",
        {"test_fraction": 0.5},
        "all 2 images are in one group",
    ),
    "twice": ("file,label,group\na.png,1,g\n", {"group": "a"}, "has a column of groups"),
    "two test parts": (
        "file,label,part\na.png,1,train\nb.png,1,test\n",
        {"test_fraction": 0.5},
        "has a test part already",
    ),
    "no training part": ("file,label,part\na.png,1,test\n", {}, "has no training images"),
    "another part": ("file,label,part\na.png,1,dev\n", {}, "part 'dev'"),
}


@pytest.mark.parametrize(("content", "options", "message"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS.keys())
def test_groups_and_parts_that_cannot_be_are_refused(
    root: Path, content: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load(with_csv(root, content), **options)


def test_a_csv_of_a_part_cannot_name_parts(root: Path) -> None:
    with_csv(root / "train", "file,label,part\na.png,1,test\n")
    with pytest.raises(DataError, match="is one part itself"):
        load(root)


def test_a_csv_of_single_digits_has_ten_classes(root: Path) -> None:
    assert load(with_csv(root, "file,label\na.png,1\nb.png,2\n")).train.classes == 10


BAD = {
    "empty": ("", "is empty"),
    "another header": ("name,label\na.png,1\n", "no column 'file'; its first line names name, label"),
    "no header": ("a.png,1\n", "no column 'file'; its first line names a.png, 1"),
    "no label column": ("file,group\na.png,1\n", "no column 'label'; its first line names file, group"),
    "mistyped column": ("file,lable\na.png,1\n", "unknown column 'lable': did you mean 'label'?"),
    "plural": ("file,label,groups\na.png,1,m\n", "unknown column 'groups': did you mean 'group'?"),
    "another column": ("file,label,width\na.png,1,3\n", "unknown column 'width'"),
    "an index": (",file,label\n0,a.png,1\n", "a column without a name"),
    "two of a column": ("file,label,File\na.png,1,b.png\n", "two columns 'file'"),
    "one field": ("file,label\na.png\n", "row 2: 1 fields"),
    "three fields": ("file,label\na.png,1,2\n", "row 2: 3 fields"),
    "no label": ("file,label\na.png,1\nb.png,\n", "row 3: label '' is no number: the image has no label"),
    "NaN": ("file,label\na.png,NaN\n", "row 2: label 'NaN' is no number: the image has no label"),
    "a letter": ("file,label\na.png,1x\n", "label '1x'"),
    "negative": ("file,label\na.png,-1\n", "label '-1'"),
    "a fraction": ("file,label\na.png,8.5\n", "label '8.5' is not a number of digits"),
    "a space": ("file,label\na.png,1 2\n", "label '1 2' is not"),
    "other digits": ("file,label\na.png,٣\n", "label '٣'"),
    "power": ("file,label\na.png,²\n", "label '²'"),
    "5,000 digits": ("file,label\na.png," + "7" * 5000, "is too long: it has 5000 digits"),
    "twice": ("file,label\na.png,1\n./a.png,2\n", "row 3: 'a.png' appears twice"),
    "above": ("file,label\n../a.png,1\n", "file '../a.png'"),
    "above in the middle": ("file,label\nsub/../../a.png,1\n", "file 'sub/../../a.png'"),
    "absolute": ("file,label\n/etc/passwd,1\n", "file '/etc/passwd'"),
    "no file": ("file,label\n,1\n", "file '' is no name"),
    "zero byte": ("file,label\na\0.png,1\n", ""),
    "open quote": ('file,label\n"a.png,1\n', "not a CSV"),
    "latin-1": ("file,label\n\xe4.png,1\n".encode("latin-1"), "not a CSV in UTF-8"),
    "header alone": ("file,label\n", "no labeled images"),
    "missing image": ("file,label\nnone.png,1\n", "none.png': No such file"),
    "a folder": ("file,label\n.,1\n", "Is a directory"),
    "the csv itself": ("file,label\nlabels.csv,1\n", "not an image"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_csv_is_one_data_error(root: Path, content: str | bytes, message: str) -> None:
    with_csv(root, content)
    with pytest.raises(DataError) as caught:
        load(root)
    assert message in caught.value.message
    assert str(root) in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 300
    assert leftovers(root.parent / "cache") == []


def test_other_layouts_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"neither folders 0 to 9 nor a labels\.csv"):
        load(root)
    (root / "4").mkdir()
    with pytest.raises(DataError, match="no labeled images"):
        load(root)


def test_cropping_to_boxes_is_refused_as_the_users_own_images_have_none(root: Path) -> None:
    make_image(root / "4" / "a.png", 1)
    with pytest.raises(DataError, match="no boxes") as caught:
        load(root, Framing(8, 8, "boxes"))
    assert "data.crop=whole" in caught.value.hint


cells = st.text(max_size=6) | st.sampled_from(["a.png", "b.png", "1", "007", "../x", "file", "label"])
tables = st.lists(st.lists(cells, max_size=3), max_size=4).map(
    lambda rows: "\n".join(["file,label", *(",".join(row) for row in rows)])
)


@settings(max_examples=200, deadline=None)
@given(content=(tables | st.text(max_size=40)).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_a_malformed_csv_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "folder" / "mine"
    root.mkdir(parents=True, exist_ok=True)
    with_csv(root, content)
    try:
        data = load(root, skip_broken=True)
    except DataError as error:
        assert str(root) in error.message  # noqa: PT017
    else:
        assert np.isin(data.train.labels, np.arange(11)).all()
    assert leftovers(root.parent / "cache") == []
