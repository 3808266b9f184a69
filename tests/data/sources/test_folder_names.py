"""Labels in file names, parts in any case, and what is said where there are no labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from own_images import contents, group_of, load, make_image

from svhncli.config.groups.data import FolderConfig
from svhncli.core.errors import DataError, UsageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def images_in(folder: Path, *names: str) -> None:
    """Images whose gray values are 10, 11, …"""
    for value, name in enumerate(names, start=10):
        make_image(folder / name, value)


def test_a_pattern_takes_labels_from_the_names_of_loose_images(root: Path) -> None:
    images_in(root, "3_dig1.jpg.png", "012_dig2.png", "x.png", "more/7_a.png", "more/deep/8_a.png")
    (root / "notes.txt").write_text("3")
    (root / "more" / ".9_hidden.png").write_bytes(b"x")
    data = load(root, label=r"^(?:.*/)?(\d+)_")
    assert contents(data.train) == {
        "mine/012_dig2.png": ("012", 11),
        "mine/3_dig1.jpg.png": ("3", 10),
        "mine/more/7_a.png": ("7", 13),
        "mine/more/deep/8_a.png": ("8", 14),
    }
    assert data.unread == ("1 image without a label by data.label, such as x.png", "notes.txt")


def test_a_pattern_takes_labels_from_folders_of_readings(root: Path) -> None:
    images_in(root / "train", "0.0/a.png", "3.4/a.png", "3.5/a.png", "NaN/a.png", "NaN/b.png")
    images_in(root / "Test", "9.9/a.png")
    data = load(root, label=r"^(\d)\.\d/")
    assert contents(data.train) == {
        "train/0.0/a.png": ("0", 10),
        "train/3.4/a.png": ("3", 11),
        "train/3.5/a.png": ("3", 12),
    }
    assert contents(data.test) == {"Test/9.9/a.png": ("9", 10)}
    assert data.unread == ("2 images without a label by data.label, such as train/NaN/a.png",)


def test_folders_of_other_parts_are_not_searched_for_training_images(root: Path) -> None:
    images_in(root, "1_a.png", "test/2_a.png", "VAL/3_a.png", "more/4_a.png")
    data = load(root, label=r"(\d)_a")
    assert list(contents(data.train)) == ["mine/1_a.png", "mine/more/4_a.png"]
    assert data.unread == ("VAL", "test")


def test_a_part_without_a_label_in_any_name_is_no_part(root: Path) -> None:
    images_in(root, "train/1_a.png", "test/a.png")
    data = load(root, label=r"^(\d)_")
    assert (len(data.train), data.test, data.unread) == (1, None, ("test (no labels)",))


def test_another_pattern_is_another_data_set(root: Path) -> None:
    images_in(root, "1_2.png")
    first, second = load(root, label=r"^(\d)_"), load(root, label=r"_(\d)")
    assert [*contents(first.train).values(), *contents(second.train).values()] == [("1", 10), ("2", 10)]
    assert first.fingerprint != second.fingerprint


def test_groups_and_a_test_part_go_with_labels_in_names(root: Path) -> None:
    images_in(root, *(f"m{meter}/{digit}_{meter}.png" for meter in range(6) for digit in range(2)))
    data = load(root, label=r"/(\d)_", group=r"^(m\d)/", test_fraction=0.5)
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (6, 6)
    meters = [{name.split("/")[1] for name in part.names} for part in (data.train, data.test)]
    assert meters[0].isdisjoint(meters[1])
    assert len({*group_of(data.train).values()}) == 3


WRONG_LABELS = {
    "nothing": (r"^(\d)-", "finds nothing in '{root}': in the paths of 2 images, such as '1_a.png'"),
    "a word": (r"_(.*)\.", "'{root}/1_a.png': label 'a' is not a number of digits"),
    "other digits": (r"(\w)_b", "label '٣' is not a number of digits"),
}


@pytest.mark.parametrize(("pattern", "message"), WRONG_LABELS.values(), ids=WRONG_LABELS.keys())
def test_a_pattern_that_finds_no_labels_is_refused(root: Path, pattern: str, message: str) -> None:
    images_in(root, "1_a.png", "٣_b.png")
    with pytest.raises(DataError) as caught:
        load(root, label=pattern)
    assert message.format(root=root) in caught.value.message
    assert f"data.label={pattern}" in caught.value.message
    assert caught.value.hint


def test_a_pattern_and_a_list_contradict_each_other(root: Path) -> None:
    images_in(root, "1_a.png")
    (root / "labels.csv").write_text("file,label\n1_a.png,2\n")
    with pytest.raises(DataError, match=r"lists its images in a file, and data\.label="):
        load(root, label=r"^(\d)_")


@pytest.mark.parametrize("name", ["group", "label"])
def test_an_invalid_pattern_is_refused_before_any_data_is_read(name: str) -> None:
    with pytest.raises(UsageError, match=rf"data\.{name}=\(x is not a regular expression"):
        FolderConfig(**{name: "(x"}).refuse_conflicts()


# ----------------------------------------------------------------------------- parts


def test_parts_have_their_names_in_any_case(root: Path) -> None:
    images_in(root, "Train/3/a.png", "TEST/4/a.png", "Validation/5/a.png")
    data = load(root)
    assert contents(data.train) == {"Train/3/a.png": ("3", 10)}
    assert contents(data.test) == {"TEST/4/a.png": ("4", 11)}
    assert contents(data.val) == {"Validation/5/a.png": ("5", 12)}
    assert data.unread == ()


def test_of_two_folders_for_a_part_the_exact_name_counts(root: Path) -> None:
    images_in(root, "train/3/a.png", "Train/4/a.png", "TRAIN/5/a.png")
    data = load(root)
    assert contents(data.train) == {"train/3/a.png": ("3", 10)}
    assert data.unread == ("TRAIN", "Train")


def test_what_lies_around_a_deeper_root_is_named(root: Path) -> None:
    images_in(root, "data/train/train/3/a.png", "data/train/more/a.png", "other/a.png")
    (root / "readme.md").write_text("x")
    data = load(root)
    assert list(contents(data.train)) == ["train/3/a.png"]
    assert data.unread == ("other", "readme.md", "train/more")


# ----------------------------------------------------------------------------- no labels

NO_LABELS = {
    "empty": ((), "has neither folders 0 to 9 nor a labels.csv; '{root}' is empty", "labels.csv"),
    "numbers first": (
        ("3_dig1.jpg", "12_dig2.jpg"),
        "but 2 images such as '12_dig2.jpg'",
        r"data.label='^(\d+)_'",
    ),
    "others": (("3_dig1.jpg", "dig2.jpg"), "but 2 images such as '3_dig1.jpg'", "a labels.csv"),
    "readings": (
        tuple(f"{k}.{k}/a.jpg" for k in range(10)),
        "but folders '0.0', '1.1', '2.2', …",
        r"data.label='^(\d)\.\d/'",
    ),
    "words": (("five/a.jpg", "NaN/a.jpg"), "but folders 'NaN', 'five'", "a labels.csv"),
    "more digits": (("10/a.jpg", "07/a.jpg"), "but folders '07', '10'", "a labels.csv"),
    "both": (("a.jpg", "x/b.jpg"), "but 1 image such as 'a.jpg' and a folder 'x'", "a labels.csv"),
}


@pytest.mark.parametrize("part", ["", "train"])
@pytest.mark.parametrize(("names", "message", "hint"), NO_LABELS.values(), ids=NO_LABELS.keys())
def test_a_folder_without_labels_is_refused_with_what_is_there(
    root: Path, part: str, names: tuple[str, ...], message: str, hint: str
) -> None:
    (root / part).mkdir(exist_ok=True)
    images_in(root / part, *names)
    with pytest.raises(DataError) as caught:
        load(root)
    assert message.format(root=root / part) in caught.value.message
    assert f"'{root / part}'" in caught.value.message
    assert hint in caught.value.hint


OF_OTHERS = {
    "svhn_cropped-train.tfrecord-00000-of-00001": "Other formats",
    "train/data.mdb": "Other formats",
    "train_32x32.mat": "is for data=svhn",
    "mchar_train.json": "is for data=mchar",
}


@pytest.mark.parametrize(("name", "hint"), OF_OTHERS.items())
def test_a_folder_of_another_format_is_named_with_what_reads_it(root: Path, name: str, hint: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        load(root)
    assert f"holds {Path(name).name}" in caught.value.message
    assert hint in caught.value.hint


def test_folders_that_could_be_meant_are_named(root: Path) -> None:
    images_in(root, "a/b/3/x.png", "c/4/x.png", "d/e/f/5/x.png")
    (root / "c" / "labels.csv").write_text("file,label\n4/x.png,4\n")
    images_in(root, "g/5/x.png")
    with pytest.raises(DataError) as caught:
        load(root)
    named = [root / "c", root / "g", root / "a" / "b"]
    assert caught.value.hint == "choose a folder in it: " + " or ".join(f"data.root={path}" for path in named)
    assert all(len(load(path).train) == 1 for path in named)


def test_the_proposed_pattern_works(root: Path) -> None:
    images_in(root, "3_dig1.png", "12_dig2.png")
    with pytest.raises(DataError) as caught:
        load(root)
    pattern = re.match(r"data\.label='(.*)'", caught.value.hint)
    assert pattern is not None
    assert [number for number, _ in contents(load(root, label=pattern[1]).train).values()] == ["12", "3"]


# ----------------------------------------------------------------------------- groups


def test_a_pattern_that_finds_no_group_in_some_names_counts_them(root: Path) -> None:
    images_in(root / "3", "m1_a.png", "m2_a.png", "x.png", "y.png")
    with pytest.raises(DataError) as caught:
        load(root, group=r"(m\d)_")
    assert (
        f"data.group=(m\\d)_ finds nothing in 2 of 4 file names in '{root}', such as 'x.png'"
        == caught.value.message
    )
    assert caught.value.hint.startswith("rename them or widen the pattern")


def test_a_pattern_that_puts_all_training_images_into_one_group_is_the_cause(root: Path) -> None:
    images_in(root / "train" / "3", "m1_a.png", "m2_a.png")
    for _ in range(2):  # from the cache, too
        with pytest.raises(DataError, match=r"data\.group=\(m\) finds the same text in all 2 names"):
            load(root, group="(m)")
    with pytest.raises(DataError, match=r"are in one group by data\.group=\(m\)"):
        load(root, group="(m)", test_fraction=0.5)
    images_in(root / "val" / "3", "m3_a.png")
    assert len(load(root, group="(m)").train) == 2, "nothing is split where the data has a validation part"
    (root / "train" / "3" / "m2_a.png").unlink()
    (root / "val" / "3" / "m3_a.png").unlink()
    (root / "val" / "3").rmdir()
    assert len(load(root, group="(m)").train) == 1
