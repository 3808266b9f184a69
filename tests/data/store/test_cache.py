from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from killed import before_every_step

from svhncli.core.errors import DataError, DiskError
from svhncli.core.rng import numpy_generator
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.data.store.arrays import create, load
from svhncli.data.store.cache import META, Cache, default_root, fingerprint

N = 7
KEY = {"n": N, "files": [["a", 1]]}


def fill(folder: Path, part: str = "train") -> None:
    draw = numpy_generator(0, "cache")
    images, labels, groups = create(folder, part, N, (3, 4, 4))
    images[:] = draw.integers(0, 256, images.shape)
    labels[:] = draw.integers(0, 10, labels.shape)
    groups[:] = np.arange(N) // 2


def expected() -> tuple[np.ndarray, np.ndarray]:
    draw = numpy_generator(0, "cache")
    return draw.integers(0, 256, (N, 3, 4, 4)), draw.integers(0, 10, (N, 1))


def assert_whole(folder: Path) -> None:
    digits = load(folder, "train", "train")
    images, labels = expected()
    assert (digits.images == images).all()
    assert (digits.labels == labels).all()
    assert (digits.groups == np.arange(N) // 2).all()
    assert not list(folder.parent.glob(f"{TEMP_PREFIX}*"))


def never(folder: Path) -> None:
    raise AssertionError("the folder was built again")


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "root")
    folder = cache.open("data", KEY, fill)
    assert cache.open("data", KEY, never) == folder
    assert_whole(folder)


def test_the_folder_depends_on_the_key_but_not_on_its_order(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    folder = cache.open("data", {"a": 1, "b": 2}, fill)
    assert cache.open("data", {"b": 2, "a": 1}, never) == folder
    assert cache.open("data", {"a": 1, "b": 3}, fill) != folder
    assert cache.open("other", {"a": 1, "b": 2}, fill) != folder


def test_a_complete_cache_opens_on_a_read_only_disk(tmp_path: Path) -> None:
    folder = Cache(tmp_path).open("data", KEY, fill)
    (tmp_path / f"{folder.name}.lock").unlink(missing_ok=True)
    before = sorted(tmp_path.rglob("*"))
    Cache(tmp_path).open("data", KEY, never)
    assert sorted(tmp_path.rglob("*")) == before


WORK = """
import sys
from svhncli.data.store.cache import Cache
sys.path[:0] = ["tests", "tests/data/store"]
from test_cache import KEY, fill

def work(folder):
    Cache(folder).open("data", KEY, fill)
"""


@pytest.mark.fault("a kill while data is prepared", "nothing or all of it is there", "137")
@pytest.mark.e2e
def test_a_kill_at_any_step_leaves_nothing_or_a_complete_folder(tmp_path: Path) -> None:
    roots = before_every_step(WORK, ("open", "os.", "shutil.", "mmap."), tmp_path)
    assert len(roots) > 20
    outcomes = set()
    for root in roots:
        folders = [folder for folder in root.glob("data-*") if folder.is_dir()]
        outcomes.add(len(folders))
        if folders:
            assert_holds_its_files(folders[0])
        assert_whole(Cache(root).open("data", KEY, never if folders else fill))
    assert outcomes == {0, 1}


def assert_holds_its_files(folder: Path) -> None:
    meta = json.loads((folder / META).read_text())
    assert {path.name for path in folder.iterdir()} == {META, *meta["files"]}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), DataError("bad")], ids=repr)
def test_a_build_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise error

    with pytest.raises(type(error)):
        Cache(tmp_path).open("data", KEY, fail)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    assert_whole(Cache(tmp_path).open("data", KEY, fill))


def other_shape(folder: Path) -> None:
    images = np.load(folder / "train_images.npy")
    np.save(folder / "train_images.npy", images.reshape(N, 3, 2, 8))


def overwrite_header(folder: Path) -> None:
    with (folder / "train_images.npy").open("r+b") as file:
        file.write(b"x" * 128)


def replace_by_folder(folder: Path) -> None:
    (folder / "train_labels.npy").unlink()
    (folder / "train_labels.npy").mkdir()


def edit_meta(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        meta = json.loads((folder / META).read_text())
        change(meta)
        (folder / META).write_text(json.dumps(meta))

    return damage


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no meta": lambda folder: (folder / META).unlink(),
    "empty meta": lambda folder: (folder / META).write_text(""),
    "meta is a list": lambda folder: (folder / META).write_text("[]"),
    "meta is not text": lambda folder: (folder / META).write_bytes(b"\xff\xfe\x00"),
    "meta of another key": edit_meta(lambda meta: meta.update(key={"n": 1})),
    "no array": lambda folder: (folder / "train_labels.npy").unlink(),
    "array cut short": lambda folder: os.truncate(folder / "train_images.npy", 200),
    "empty array": lambda folder: os.truncate(folder / "train_groups.npy", 0),
    "another shape": other_shape,
    "header overwritten": overwrite_header,
    "array is a folder": replace_by_folder,
    "a bit of an image": lambda folder: flip(folder / "train_images.npy", 8 * 128 + 5),
    "a bit of a group": lambda folder: flip(folder / "train_groups.npy", 8 * 128),
    "another digest of the labels": edit_meta(
        lambda meta: meta["files"]["train_labels.npy"].update(sha256="0" * 64)
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_folder_is_rebuilt(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    folder = Cache(tmp_path).open("data", KEY, fill)
    damage(folder)
    assert Cache(tmp_path).open("data", KEY, fill) == folder
    assert_whole(folder)


@pytest.mark.fault("a bit flips in prepared data", "found when it is opened; the data is prepared anew", "0")
@given(data=st.data())
def test_any_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = Cache(tmp_path_factory.mktemp("cache")).open("data", KEY, fill)
    intact = {file: file.read_bytes() for file in folder.glob("*.npy")}
    for file, content in intact.items():
        flip(file, data.draw(st.integers(0, 8 * len(content) - 1)))
        with pytest.raises(AssertionError, match="built again"):
            Cache(folder.parent).open("data", KEY, never)
        file.write_bytes(content)
    assert Cache(folder.parent).open("data", KEY, never) == folder


def test_a_folder_of_an_earlier_version_is_compared_with_its_sha256(tmp_path: Path) -> None:
    folder = Cache(tmp_path).open("data", KEY, fill)
    meta = json.loads((folder / META).read_text())
    for facts in (meta, *meta["files"].values()):
        del facts["xxh3"]
    (folder / META).write_text(json.dumps(meta))
    assert Cache(tmp_path).open("data", KEY, never) == folder
    flip(folder / "train_images.npy", 8 * 128 + 5)
    assert Cache(tmp_path).open("data", KEY, fill) == folder
    assert_whole(folder)


def test_a_damaged_folder_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = Cache(tmp_path).open("data", KEY, fill)
    assert not caplog.messages
    flip(folder / "train_images.npy", 8 * 128 + 5)
    Cache(tmp_path).open("data", KEY, fill)
    assert caplog.messages == [f"prepared data in '{folder}' is damaged, and is prepared anew"]


def test_concurrent_opens_build_once(tmp_path: Path) -> None:
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        fill(folder)

    threads = [threading.Thread(target=Cache(tmp_path).open, args=("data", KEY, build)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_too_little_space_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught:
        Cache(tmp_path).open(
            "data", KEY, lambda folder: create(folder, "train", 10**12, (3, 32, 32)) and None
        )
    assert str(tmp_path) in caught.value.message
    assert "3,088,000,000.0 MB" in caught.value.message
    assert "SVHN_CACHE" in caught.value.hint
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.fault("the disk fills up while data is prepared", "nothing half-made stays", "6")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which stands in for a full disk")
def test_a_disk_that_fills_up_during_the_build_is_a_disk_error(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "full").symlink_to("/dev/full")
        (folder / "full").write_bytes(b"x")

    with pytest.raises(DiskError, match="No space left") as caught:
        Cache(tmp_path).open("data", KEY, build)
    assert str(tmp_path) in caught.value.message
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_root_that_cannot_be_reached_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot be used: File name too long") as caught:
        Cache(tmp_path / ("x" * 300)).open("data", KEY, fill)
    assert "SVHN_CACHE" in caught.value.hint


def test_a_root_that_cannot_be_created_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="file/root"):
        Cache(tmp_path / "file" / "root").open("data", KEY, fill)


def test_images_are_mapped_read_only_and_the_rest_is_in_memory(tmp_path: Path) -> None:
    digits = load(Cache(tmp_path).open("data", KEY, fill), "train", "street", first_group=10)
    assert isinstance(digits.images, np.memmap)
    assert not digits.images.flags.writeable
    assert not isinstance(digits.labels, np.memmap)
    assert digits.groups.tolist() == [10, 10, 11, 11, 12, 12, 13]
    assert digits.names[2] == "street/2"


def test_the_fingerprint_follows_images_and_labels_only(tmp_path: Path) -> None:
    def changed(name: str) -> Callable[[Path], None]:
        def build(folder: Path) -> None:
            fill(folder)
            if name:
                array = np.load(folder / f"train_{name}.npy", mmap_mode="r+")
                array.flat[-1] ^= 1

        return build

    fingerprints = {
        name: fingerprint(Cache(tmp_path / (name or "none")).open("data", KEY, changed(name)))
        for name in ("", "images", "labels", "groups")
    }
    assert fingerprints[""] == fingerprints["groups"]
    assert len({fingerprints[""], fingerprints["images"], fingerprints["labels"]}) == 3


def test_the_default_root_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("SVHN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_root() == Path("/home/someone/.cache/svhn")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_root() == Path("/xdg/svhn")
    monkeypatch.setenv("SVHN_CACHE", "/chosen")
    assert default_root() == Path("/chosen")
    monkeypatch.setenv("SVHN_CACHE", "~/chosen")
    assert default_root() == Path("/home/someone/chosen")
