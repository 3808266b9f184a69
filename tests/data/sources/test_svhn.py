from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REAL, REPO
from hypothesis import given, settings
from hypothesis import strategies as st
from mat_files import COUNTS, assert_equals_mat, load, make_images, write
from scipy.io import loadmat, savemat
from served import folder_served

from svhncli.config.groups.data import SvhnConfig
from svhncli.core.errors import DataError, UsageError
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.data.sources import svhn


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, n in COUNTS.items():
        write(tmp_path / "data" / f"{part}_32x32.mat", *make_images(part, n))
    return tmp_path / "data"


def test_the_test_part_is_loaded_alone_and_is_the_same(root: Path) -> None:
    whole = load(root)
    (root / "train_32x32.mat").unlink()
    data = load(root, test_only=True)
    assert (len(data.train), data.train.shape, data.val) == (0, whole.train.shape, None)
    assert data.test is not None
    assert_equals_mat(data.test, root / "test_32x32.mat")
    with pytest.raises(DataError, match=r"train_32x32\.mat"):
        load(root)


def test_without_a_test_part_the_others_are_loaded(root: Path) -> None:
    (root / "test_32x32.mat").unlink()
    data = load(root, test_only=True)
    assert (len(data.train), data.test) == (COUNTS["train"], None)


def test_images_and_labels_are_those_that_scipy_reads(root: Path) -> None:
    data = load(root)
    assert_equals_mat(data.train, root / "train_32x32.mat")
    assert_equals_mat(data.test, root / "test_32x32.mat")
    assert data.val is None
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == data.train.groups.dtype == np.int64
    assert data.train.names[3] == "train/3"


def test_more_images_than_a_block_holds_are_all_converted(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{part}_32x32.mat", *make_images(part, 2500, 4)) for part in ("train", "test")]
    assert_equals_mat(load(tmp_path, tmp_path / "cache").train, paths[0])


def test_label_10_becomes_0_and_the_others_stay(tmp_path: Path) -> None:
    x, _ = make_images("train", 10)
    for part in ("train", "test"):
        write(tmp_path / f"{part}_32x32.mat", x, np.arange(1, 11).reshape(10, 1))
    assert load(tmp_path, tmp_path / "cache").train.labels.ravel().tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


@pytest.mark.parametrize("kind", ["f8", "i2", "u1"])
@pytest.mark.parametrize("across", [False, True])
def test_labels_of_any_number_type_in_a_column_or_a_row_are_read(root: Path, kind: str, across: bool) -> None:
    x, y = make_images("train", 9)
    path = write(root / "train_32x32.mat", x, (y.T if across else y).astype(kind))
    assert_equals_mat(load(root).train, path)


@pytest.mark.parametrize("label", [0, 11, 255, -1, 3.5, np.nan, np.inf])
def test_invalid_labels_are_refused_with_their_row(root: Path, label: float) -> None:
    x, y = make_images("train", 9)
    y = y.astype(float)
    y[6] = label
    path = write(root / "train_32x32.mat", x, y)
    with pytest.raises(DataError, match="row 6 ") as caught:
        load(root)
    assert str(path) in caught.value.message
    assert "10 is the digit 0" in caught.value.hint


X, Y = make_images("layout", 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": X}, "lacks the variable y: it holds X is uint8 8×8×3×5"),
        ({"y": Y}, "lacks the variable X: it holds y is uint8 5×1"),
        ({}, "it holds no arrays"),
        ({"X": X.astype(float), "y": Y}, "X is double 8×8×3×5"),
        ({"X": X.transpose(3, 2, 0, 1), "y": Y}, "X is uint8 5×3×8×8"),
        ({"X": X[:, :, :2], "y": Y}, "X is uint8 8×8×2×5"),
        ({"X": X[:4], "y": Y}, "X is uint8 4×8×3×5"),
        ({"X": X[..., :0], "y": Y[:0]}, "X is uint8 8×8×3×0"),
        ({"X": X, "y": Y[:4]}, "X is uint8 8×8×3×5, but y is uint8 4×1"),
        ({"X": X, "y": np.hstack([Y, Y])}, "but y is uint8 5×2"),
        ({"X": X, "y": np.array(list("abcde"), object).reshape(5, 1)}, "but y is cell 5×1"),
        ({"X": X, "y": Y.astype(complex)}, "but y is complex double 5×1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_layout_is_refused_and_the_message_lists_the_variables(
    root: Path, content: dict[str, Any], message: str
) -> None:
    savemat(root / "test_32x32.mat", content)
    with pytest.raises(DataError) as caught:
        load(root)
    assert message in caught.value.message
    assert str(root / "test_32x32.mat") in caught.value.message
    assert "side×side×3×N" in caught.value.hint


def test_one_image_whose_last_dimension_was_dropped_is_read(root: Path) -> None:
    path = write(root / "test_32x32.mat", X[..., 0], Y[:1])
    digits = load(root).test
    assert digits is not None
    assert digits.labels.tolist() == [[loadmat(path)["y"][0, 0] % 10]]
    assert np.array_equal(digits.images[0], X[..., 0].transpose(2, 0, 1))


def test_parts_of_different_sizes_are_refused(root: Path) -> None:
    write(root / "test_32x32.mat", *make_images("test", 5, size=6))
    with pytest.raises(DataError, match=r"8×8 in .*train_32x32\.mat', but 6×6 in .*test_32x32\.mat'"):
        load(root)
    write(root / "test_32x32.mat", *make_images("test", 5))
    write(root / "extra_32x32.mat", *make_images("extra", 5, size=6))
    for extra in ("train", "val"):
        with pytest.raises(DataError, match=r"8×8 in .*train_32x32\.mat', but 6×6 in .*extra_32x32\.mat'"):
            load(root, extra=extra)


def test_extra_is_appended_to_train_or_becomes_the_validation_part(root: Path) -> None:
    appended = load(root, extra="train")
    assert_equals_mat(appended.train, root / "train_32x32.mat", root / "extra_32x32.mat")
    assert appended.val is None
    apart = load(root, extra="val")
    assert_equals_mat(apart.train, root / "train_32x32.mat")
    assert_equals_mat(apart.val, root / "extra_32x32.mat")


def test_the_users_validation_file_becomes_the_validation_part(root: Path) -> None:
    mine = write(root.parent / "mine.mat", *make_images("mine", 6))
    assert_equals_mat(load(root, val_file=mine).val, mine)
    with pytest.raises(DataError, match=r"none\.mat"):
        load(root, val_file=root / "none.mat")
    with pytest.raises(UsageError):
        load(root, val_file=mine, extra="val")


def test_groups_of_all_parts_and_files_are_distinct(root: Path) -> None:
    appended = load(root, extra="train")
    assert appended.test is not None
    train, extra = np.split(appended.train.groups, [COUNTS["train"]])
    apart = load(root, extra="val")
    assert apart.test is not None
    assert apart.val is not None
    for groups in ([train, extra, appended.test.groups], [train, apart.test.groups, apart.val.groups]):
        ids = [number for part in groups for number in np.unique(part)]
        assert len(ids) == len(set(ids))


def stages(root: Path, **options: Any) -> set[str]:
    reported: set[str] = set()
    load(root, progress=lambda stage, done, total: reported.add(stage), **options)
    return reported


def test_a_file_is_converted_once_even_if_it_is_moved(root: Path) -> None:
    assert {"check train_32x32.mat", "convert test_32x32.mat"} <= stages(root)
    assert stages(root) == set()
    moved = root.rename(root.parent / "moved")
    assert stages(moved) == set()
    assert stages(moved, extra="val") >= {"convert extra_32x32.mat"}


def test_a_changed_file_is_noticed(root: Path) -> None:
    before = load(root).fingerprint
    x, y = make_images("train", COUNTS["train"])
    x[0, 0, 0, 0] ^= 1
    path = write(root / "train_32x32.mat", x, y)
    after = load(root)
    assert_equals_mat(after.train, path)
    assert after.fingerprint != before


def test_another_file_of_the_same_size_and_time_is_noticed(root: Path) -> None:
    path = root / "train_32x32.mat"
    x, y = make_images("train", COUNTS["train"])
    savemat(path, {"X": x, "y": y})
    os.utime(path, ns=(0, 0))
    load(root)
    size = path.stat().st_size
    savemat(path, {"X": 255 - x, "y": y})
    os.utime(path, ns=(0, 0))
    assert path.stat().st_size == size
    assert_equals_mat(load(root).train, path)


def test_the_fingerprint_depends_on_images_and_labels(root: Path) -> None:
    fingerprint = load(root).fingerprint
    assert load(root, root.parent / "other").fingerprint == fingerprint
    x, y = make_images("test", COUNTS["test"])
    write(root / "test_32x32.mat", x, y % 10 + 1)
    assert load(root).fingerprint != fingerprint


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def make_official(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    for part in COUNTS:
        name = f"{part}_32x32.mat"
        monkeypatch.setitem(svhn.FILES, part, (name, md5(root / name)))


def test_files_other_than_the_official_ones_are_refused_and_the_hint_names_the_key(root: Path) -> None:
    for _ in ("fresh", "after they were cached unchecked"):
        with pytest.raises(DataError, match=md5(root / "train_32x32.mat")) as caught:
            load(root, check_md5=True)
        assert "data.check_md5=false" in caught.value.hint
        load(root, check_md5=False)


def test_official_files_pass_and_are_hashed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_official(monkeypatch, root)
    assert "check train_32x32.mat" in stages(root, check_md5=True)
    assert stages(root, check_md5=True) == set()
    write(root / "mine.mat", *make_images("mine", 6))
    load(root, check_md5=True, val_file=root / "mine.mat")


def test_the_md5s_are_those_of_torchvision() -> None:
    spec = importlib.util.find_spec("torchvision")  # located, not imported: the import takes seconds
    assert spec is not None
    assert spec.origin is not None
    source = "".join((Path(spec.origin).parent / "datasets" / "svhn.py").read_text().split())
    (official,) = SvhnConfig().urls
    for part, (name, official_md5) in svhn.FILES.items():
        assert f'"{part}":["{official}/{name}","{name}","{official_md5}",]' in source


@pytest.mark.parametrize("part", ["train", "test", "extra"])
def test_the_message_names_a_missing_official_file_and_three_ways_to_fix_it(root: Path, part: str) -> None:
    (root / f"{part}_32x32.mat").unlink()
    with pytest.raises(DataError) as caught:
        load(root, extra="train", check_md5=True)
    assert caught.value.exit_code == 3
    assert str(root / f"{part}_32x32.mat") in caught.value.message
    for remedy in ("data.download=true", "data.root=", "put it there"):
        assert remedy in caught.value.hint


def test_official_files_are_never_downloaded_next_to_the_users_own(root: Path) -> None:
    """SVHN's test part does not measure accuracy on other images; the user's files may lack a test part."""
    (root / "test_32x32.mat").unlink()
    assert load(root, download=True, urls=["http://127.0.0.1:9"]).test is None
    with pytest.raises(DataError, match=r"train_32x32\.mat' is not the official file"):
        load(root, check_md5=True, download=True, urls=["http://127.0.0.1:9"])
    (root / "train_32x32.mat").unlink()
    with pytest.raises(DataError) as caught:
        load(root, download=True, urls=["http://127.0.0.1:9"])
    assert "data.download" not in caught.value.hint


@pytest.fixture
def server(root: Path) -> Iterator[str]:
    with folder_served(root) as address:
        yield address


def test_missing_files_are_downloaded_if_allowed(
    root: Path, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_official(monkeypatch, root)
    empty = tmp_path / "new" / "folder"
    options: dict[str, Any] = {"download": True, "urls": [server], "check_md5": True}
    assert "download train_32x32.mat" in stages(empty, **options)
    assert_equals_mat(load(empty, **options).train, root / "train_32x32.mat")
    assert not (empty / "extra_32x32.mat").exists()
    assert stages(empty, extra="val", **options) >= {"download extra_32x32.mat"}


def test_a_download_with_another_md5_is_not_kept(tmp_path: Path, server: str) -> None:
    with pytest.raises(DataError, match="md5"):
        load(tmp_path / "new", download=True, urls=[server], check_md5=True)
    assert [path for path in (tmp_path / "new").iterdir() if path.suffix != ".lock"] == []


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_damaged_file_is_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    whole = write(folder / "test_32x32.mat", *make_images("test", 4, 4)).read_bytes()
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(136, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "train_32x32.mat").write_bytes(damaged[: data.draw(st.integers(1, len(whole)))])
    with pytest.raises(DataError):
        load(folder, folder / "cache")
    assert not [path for path in (folder / "cache").glob("*") if path.is_dir()]


KILLED = """
import os, signal, sys
from pathlib import Path
from svhncli.data.store.cache import Cache
from svhncli.data.sources.svhn import load

def progress(stage, done, total):
    if stage == sys.argv[3] and done == total:
        os.kill(os.getpid(), signal.SIGKILL)

load(Path(sys.argv[1]), check_md5=False, cache=Cache(Path(sys.argv[2])), progress=progress)
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    "stage", ["check train_32x32.mat", "convert train_32x32.mat", "find house numbers in test_32x32.mat"]
)
def test_a_kill_during_the_conversion_costs_nothing_but_time(root: Path, stage: str) -> None:
    cache = root.parent / "killed"
    command = [sys.executable, "-c", KILLED, str(root), str(cache), stage]
    assert subprocess.run(command, cwd=REPO).returncode == -9
    assert list(cache.glob(f"{TEMP_PREFIX}*"))
    data = load(root, cache)
    assert not list(cache.glob(f"{TEMP_PREFIX}*"))
    assert_equals_mat(data.train, root / "train_32x32.mat")
    assert_equals_mat(data.test, root / "test_32x32.mat")
    assert data.fingerprint == load(root).fingerprint


def real(folder: str) -> Path:
    if not (path := Path(REAL) / folder).is_dir():
        pytest.skip(f"no real data in {path}")
    return path


@pytest.mark.parametrize(("folder", "n"), [("svhn32_real", (601, 198)), ("meter32_real", (5600, 1401))])
def test_real_files_are_read_as_scipy_reads_them(tmp_path: Path, folder: str, n: tuple[int, int]) -> None:
    root = real(folder)
    data = load(root, tmp_path / "cache")
    for digits, part, count in zip((data.train, data.test), ("train", "test"), n, strict=True):
        assert digits is not None
        assert len(digits) == count
        assert digits.shape == (3, 32, 32)
        assert_equals_mat(digits, root / f"{part}_32x32.mat")
        raw = np.bincount(loadmat(root / f"{part}_32x32.mat")["y"].ravel(), minlength=11)
        assert digits.class_counts() == [raw[10], *raw[1:10]]
