"""Images that the user excludes, and exclude lists that are refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_mat
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import write_mchar

from svhncli import registry
from svhncli.cli import main as cli
from svhncli.config.choices import CHOICES
from svhncli.config.groups.data import McharConfig, MixConfig
from svhncli.core.errors import DataError
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.exclude import without
from svhncli.data.store.disk import silent


def digits(part: str, n: int, positions: int = 2) -> Digits:
    draw = np.random.default_rng(n)
    labels = np.arange(n * positions).reshape(n, positions) % 10
    return Digits(
        draw.integers(0, 256, (n, 3, 4, 5), dtype=np.uint8),
        labels,
        np.arange(n) // 3,
        [f"{part}/{i}" for i in range(n)],
        draw.random((n, positions, 4), np.float32),
        draw.integers(10, 20, (n, 2), dtype=np.int32),
    )


def data() -> DataSet:
    return DataSet("some", digits("train", 40), "f", digits("test", 10), digits("val", 30))


def write_list(folder: Path, *lines: str) -> Path:
    file = folder / "exclude.txt"
    file.write_text("\n".join(lines))
    return file


@settings(max_examples=30)
@given(st.sets(st.integers(0, 39), min_size=1, max_size=9))
def test_kept_images_keep_their_labels_groups_names_and_boxes(
    tmp_path_factory: pytest.TempPathFactory, rows: set[int]
) -> None:
    before = data().train
    file = write_list(tmp_path_factory.mktemp("x"), *(f"train/{row}" for row in rows))
    after = without(data(), file).train
    kept = [row for row in range(40) if row not in rows]
    assert list(after.names) == [f"train/{row}" for row in kept]
    for name in ("images", "labels", "groups", "boxes", "sizes"):
        assert (getattr(after, name) == getattr(before, name)[kept]).all(), name


def test_validation_images_can_be_excluded_and_test_images_cannot(tmp_path: Path) -> None:
    kept = without(data(), write_list(tmp_path, "val/3", "train/7"))
    assert (len(kept.train), len(kept.val or ()), len(kept.test or ())) == (39, 29, 10)
    assert kept.excluded == ("val/3", "train/7")
    with pytest.raises(DataError, match="names images of the test part: 'test/1'"):
        without(data(), write_list(tmp_path, "train/7", "test/1"))


def test_the_fingerprint_depends_on_the_names_but_not_on_comments_blank_lines_or_order(
    tmp_path: Path,
) -> None:
    fingerprints = [
        without(data(), write_list(tmp_path, *lines)).fingerprint
        for lines in (
            ["train/1", "train/2"],
            ["# why", "", "  train/2\t", "train/1\r", "train/1"],
            ["\ufefftrain/1", "train/2"],
            ["train/1"],
            ["# nothing"],
        )
    ]
    assert len(set(fingerprints[:3])) == 1
    assert len({*fingerprints, "f"}) == 3
    assert fingerprints[4] == "f"


def test_a_line_that_looks_like_a_comment_is_a_name_if_an_image_has_it(tmp_path: Path) -> None:
    part = replace(data().train, names=["#5", *data().train.names[1:]])
    kept = without(replace(data(), train=part), write_list(tmp_path, "#5", "#6"))
    assert kept.excluded == ("#5",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["train/99", "train/1"], "names 1 images that some does not have: 'train/99'"),
        ([f"train/{i}" for i in range(40)], "leaves no image in the training part"),
        ([f"train/{i}" for i in range(0, 40, 5)], "leaves no training image of class 0"),
    ],
)
def test_a_list_that_does_not_fit_the_data_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        without(data(), write_list(tmp_path, *lines))
    assert caught.value.hint


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the exclude list"):
        without(data(), tmp_path / "nowhere.txt")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        without(data(), tmp_path / "bytes")


@pytest.mark.parametrize("name", list(CHOICES["data"]))
def test_every_data_source_has_the_exclude_key(name: str) -> None:
    assert CHOICES["data"][name]().exclude is None


@pytest.mark.engine
def test_images_of_photographs_and_mixed_data_can_be_excluded(folder: Path) -> None:
    write_mchar(folder / "m", "train", 40, 0)
    write_mchar(folder / "m", "val", 20, 1)
    file = write_list(folder, "mchar_train/000003.png", "mchar_val/000001.png")
    config = McharConfig(root="m", exclude=str(file), crop="boxes")
    loaded = registry.data(config, None, "cache", silent)
    assert (len(loaded.train), len(loaded.val or ())) == (39, 19)
    assert loaded.train.names[2] == "mchar_train/000004.png"
    assert loaded.train.boxes is not None

    write_mat(folder / "d", "train", 60, 0)
    mix = MixConfig(root="d", check_md5=False, download=False, n_rendered=20)
    whole = registry.data(mix, None, "cache", silent)
    mixed = registry.data(replace(mix, exclude=str(write_list(folder, "train/5"))), None, "cache", silent)
    assert mixed.extra_train is not None
    assert (len(mixed.train), len(mixed.extra_train)) == (
        59,
        20,
    )  # a real and a rendered image share this name
    assert mixed.fingerprint != whole.fingerprint


TRAIN = [
    "data=svhn",
    "data.root=d",
    "data.check_md5=false",
    "model=linear",
    "device=cpu",
    "threads=1",
    "watch=0",
]


@pytest.mark.engine
def test_a_run_resumes_with_a_moved_exclude_list_but_not_with_a_changed_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mat(folder / "d", "train", 200, 0)
    file = write_list(folder, "train/5", "train/6")
    args = ["train", *TRAIN, f"data.exclude={file.name}", "hydra.run.dir=run"]
    assert cli.main([*args, "epochs=1"]) == 0
    assert "198 training" in capsys.readouterr().err
    config = (folder / "run" / "config.yaml").read_text()
    assert f"exclude: {file}" in config  # absolute, so that it resolves from another folder
    file.rename(folder / "moved.txt")
    assert cli.main(["train", "--resume", "run", "epochs=2"]) == 3
    assert f"data.exclude: there is no '{file}'" in capsys.readouterr().err
    assert cli.main(["train", "--resume", "run", "epochs=2", "data.exclude=moved.txt"]) == 0
    (folder / "moved.txt").write_text("train/5\n")
    capsys.readouterr()
    assert cli.main(["train", "--resume", "run", "epochs=3", "data.exclude=moved.txt"]) == 3
    err = capsys.readouterr().err
    assert "images or labels have changed" in err
    assert "198 images, now 199" in err
    assert len(re.findall(r"digit \d: \d+, now \d+", err)) == 1
