"""Photographs are decoded into the cache once, even if decoding is killed; broken ones are reported."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPO
from fatal_photographs import Crashing, Killed
from photo_files import Row, assert_labels, leftovers, rows, write_images
from PIL import Image

from svhncli.core.errors import DataError
from svhncli.core.processes import CrashError
from svhncli.data.dataset import DataSet
from svhncli.data.framing import Framing
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources import photograph_files
from svhncli.data.sources.photograph_files import PhotographPart
from svhncli.data.store.cache import Cache

N = 11
FRAMING = Framing(12, 20, "boxes", 0.1, 0.1)


def part(folder: Path, labels: list[Row]) -> PhotographPart:
    return PhotographPart(
        (folder,),
        lambda: [
            PhotographFile(f"{folder.name}/{name}", folder / name, label, boxes)
            for name, label, boxes in labels
        ],
    )


def write_parts(root: Path, n: int = N) -> dict[str, PhotographPart]:
    for seed, name in enumerate(("train", "test")):
        write_images(root / name, rows(n, seed), seed)
    return {name: part(root / name, rows(n, seed)) for seed, name in enumerate(("train", "test"))}


def load(root: Path, parts: dict[str, PhotographPart], framing: Framing = FRAMING, **options: Any) -> DataSet:
    return photograph_files.load("some", parts, framing, cache=Cache(root / "cache"), **options)


def content(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.glob("*/*.npy")}


def test_images_match_framing_and_labels_match_the_file(tmp_path: Path) -> None:
    data = load(tmp_path, write_parts(tmp_path))
    assert data.framing == FRAMING
    for seed, digits in enumerate((data.train, data.test)):
        labels = rows(N, seed)
        assert_labels(digits, labels)
        for i, (name, _, boxes) in enumerate(labels):
            image = Image.open(tmp_path / ("train", "test")[seed] / name)
            assert (digits.images[i] == FRAMING.store(image, boxes)).all()
            assert tuple(digits.sizes[i]) == image.size
    assert isinstance(data.train.images, np.memmap)
    assert isinstance(data.train.names.names, np.memmap)
    assert data.train.names[1:3] == ["train/000002.png", "train/000003.png"]


def test_groups_are_distinct_across_parts(tmp_path: Path) -> None:
    data = load(tmp_path, write_parts(tmp_path))
    assert data.train.groups.tolist() == list(range(N))
    assert data.test.groups.tolist() == list(range(N, 2 * N))


def test_labels_are_padded_to_the_longest_of_all_parts(tmp_path: Path) -> None:
    write_images(tmp_path / "train", rows(4, 0, longest=2), 0)
    write_images(tmp_path / "test", rows(4, 1, longest=4), 1)
    parts = {
        "train": part(tmp_path / "train", rows(4, 0, longest=2)),
        "test": part(tmp_path / "test", rows(4, 1, longest=4)),
    }
    data = load(tmp_path, parts)
    assert data.train.labels.shape == data.test.labels.shape == (4, 4)
    assert (data.train.labels[:, 2:] == 10).all()
    assert data.train.classes == 11


def never() -> list[PhotographFile]:
    raise AssertionError("the labels were read again")


def test_photographs_are_decoded_once(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    fingerprint = load(tmp_path, parts).fingerprint
    cached = {name: PhotographPart(part.files, never) for name, part in parts.items()}
    assert load(tmp_path, cached).fingerprint == fingerprint


def replace_image(root: Path) -> None:
    Image.new("RGB", (50, 30)).save(root / "train" / "000001.png")


def add_image(root: Path) -> None:
    Image.new("RGB", (50, 30)).save(root / "train" / "other.png")


def remove_image(root: Path) -> None:
    (root / "train" / "000011.png").unlink()


@pytest.mark.parametrize("change", [replace_image, add_image, remove_image])
def test_changed_files_are_read_again(tmp_path: Path, change: Callable[[Path], None]) -> None:
    parts = write_parts(tmp_path)
    load(tmp_path, parts)
    change(tmp_path)
    with pytest.raises(AssertionError, match="read again"):
        load(tmp_path, {"train": PhotographPart(parts["train"].files, never)})


@pytest.mark.parametrize("framing", [Framing(12, 20), Framing(12, 21, "boxes", 0.1, 0.1)])
def test_another_framing_makes_another_set(tmp_path: Path, framing: Framing) -> None:
    parts = write_parts(tmp_path)
    original, reframed = load(tmp_path, parts), load(tmp_path, parts, framing)
    assert reframed.train.shape == (3, *framing.stored)
    assert original.fingerprint != reframed.fingerprint
    assert load(tmp_path, parts).fingerprint == original.fingerprint


def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    files = {}
    write_images(tmp_path / "train", rows(300, 0), 0)
    for workers in (1, 2):
        cache = tmp_path / str(workers)
        parts = {"train": part(tmp_path / "train", rows(300, 0))}
        photograph_files.load("some", parts, FRAMING, cache=Cache(cache), workers=workers)
        files[workers] = content(cache)
    assert set(files[1]) == {
        f"train_{name}.npy" for name in ("images", "labels", "groups", "boxes", "sizes", "names")
    }
    assert files[1] == files[2]


# ----------------------------------------------------------------------------- killed and resumed

FEW = 7
"""Images of a build that is killed at every step, of which it has more than ten for each image."""

KILLED_AT_EVERY_STEP = """
import itertools, os, signal, sys
from pathlib import Path
from svhncli.data.sources import photograph_files, white
sys.path[:0] = ["tests", "tests/data/sources"]
from test_photograph_files import FEW, load, part, rows

photograph_files.CHUNK = 3
def each_here(work, jobs, *given):  # processes that read for it take long to start
    return [work(job, *given) for job in jobs]
photograph_files.each_apart = white.each_apart = each_here
CALLS = ("_write", "_stored_name", "write_json", "shorten")
data, out = map(Path, sys.argv[1:])
parts = {"train": part(data / "train", rows(FEW, 0))}

def start(root, step):
    counter = itertools.count(1)
    def count(is_counted):
        if is_counted and next(counter) == step:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(lambda event, args: count(event in ("os.rename", "os.truncate", "mmap.__new__")))
    sys.setprofile(lambda frame, event, arg: count(event == "call" and frame.f_code.co_name in CALLS))
    load(root, parts, skip_broken=True)
    os._exit(0)

for step in itertools.count(1):
    root = out / str(step)
    if (pid := os.fork()) == 0:
        start(root, step)
    if os.waitpid(pid, 0)[1] == 0:
        break
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    "broken", [pytest.param(False, marks=pytest.mark.full), True], ids=["all whole", "two broken"]
)
def test_after_a_kill_at_any_step_the_build_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    parts = {"train": write_parts(tmp_path, FEW)["train"]}
    if broken:
        for number in (2, 5):
            (tmp_path / "train" / f"{number:06}.png").write_bytes(b"x")
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path), str(tmp_path / "killed")]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True)
    monkeypatch.setattr(photograph_files, "CHUNK", 3)
    load(tmp_path, parts, skip_broken=True)
    expected = content(tmp_path / "cache")
    assert len(expected) == 6
    first_counts = []
    for step in range(1, len(list((tmp_path / "killed").iterdir())) + 1):
        root = tmp_path / "killed" / str(step)
        calls: list[int] = []
        load(
            root, parts, skip_broken=True, progress=lambda stage, done, total, calls=calls: calls.append(done)
        )
        assert content(root / "cache") == expected, step
        assert leftovers(root / "cache") == []
        first_counts.append(calls[0] if calls else FEW)
    assert first_counts == sorted(first_counts), "no finished work is repeated"
    assert {3, 6, FEW} <= set(first_counts)


def test_an_interrupt_loses_at_most_one_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photograph_files, "CHUNK", 3)
    parts = {"train": write_parts(tmp_path)["train"]}

    def interrupt(stage: str, done: int, total: int | None) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, parts, progress=interrupt)
    calls: list[int] = []
    load(tmp_path, parts, progress=lambda stage, done, total: calls.append(done))
    assert calls == [9, 11]
    assert leftovers(tmp_path / "cache") == []


def test_damaged_leftovers_are_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photograph_files, "CHUNK", 3)
    parts = {"train": write_parts(tmp_path)["train"]}

    def interrupt(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, parts, progress=interrupt)
    rest = next((tmp_path / "cache").glob(".writing-*"))
    (rest / "train_state.json").write_text("{")
    assert_labels(load(tmp_path, parts).train, rows(N, 0))


# ----------------------------------------------------------------------------- unreadable images


@pytest.mark.parametrize("workers", [1, 2])
def test_the_message_names_a_broken_image_and_no_files_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(photograph_files, "CHUNK", 3)
    parts = write_parts(tmp_path)
    (tmp_path / "train" / "000008.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"000008\.png") as caught:
        load(tmp_path, parts, workers=workers)
    assert "data.skip_broken=true" in caught.value.hint
    assert leftovers(tmp_path / "cache") == []


def with_fourth(folder: Path, kind: type[PhotographFile]) -> dict[str, PhotographPart]:
    """A part whose fourth photograph is of another kind."""
    write_images(folder, rows(N, 0), 0)
    photographs = [
        (kind if place == 3 else PhotographFile)(name, folder / name, label, boxes)
        for place, (name, label, boxes) in enumerate(rows(N, 0))
    ]
    return {"train": PhotographPart((folder,), lambda: photographs)}


@pytest.mark.fault("an image crashes its decoder", "refused by name, or left out (`data.skip_broken`)", "3")
def test_an_image_that_crashes_its_decoder_is_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photograph_files, "CHUNK", 1)  # more than are ahead
    parts = with_fourth(tmp_path / "train", Crashing)
    with pytest.raises(DataError, match=r"000004\.png': it is damaged: .* was ended by SIGSEGV") as caught:
        load(tmp_path, parts, workers=1)
    assert "data.skip_broken=true" in caught.value.hint
    assert leftovers(tmp_path / "cache") == []
    data = load(tmp_path, parts, workers=2, skip_broken=True)
    assert data.broken == ("000004.png",)
    assert_labels(data.train, [row for place, row in enumerate(rows(N, 0)) if place != 3])


def test_the_last_chunk_is_not_decoded_in_this_process(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="SIGSEGV"):
        load(tmp_path, with_fourth(tmp_path / "train", Crashing), workers=2)


@pytest.mark.fault("the system ends a process that decodes images", "an error; no image is left out", "1")
def test_no_image_is_left_out_because_something_ended_the_process(tmp_path: Path) -> None:
    parts = with_fourth(tmp_path / "train", Killed)
    with pytest.raises(CrashError, match="SIGKILL"):
        load(tmp_path, parts, skip_broken=True)


def test_broken_and_missing_images_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(photograph_files, "CHUNK", 3)
    monkeypatch.setattr(
        photograph_files.log, "disabled", False
    )  # Hydra, in another test, may have silenced it
    parts = write_parts(tmp_path)
    for number in (1, 5, 6):
        (tmp_path / "train" / f"{number:06}.png").write_bytes(b"no image")
    (tmp_path / "train" / "000011.png").unlink()
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            data = load(tmp_path, parts, skip_broken=True)
        assert caplog.messages == [
            "4 of 11 images of the train part cannot be read and are left out: "
            "train/000001.png, train/000005.png, train/000006.png, …"
        ]
        kept = [row for row in rows(N, 0) if int(row[0][:6]) not in (1, 5, 6, 11)]
        assert_labels(data.train, kept)
        assert len(data.test) == N


def test_a_set_with_only_broken_images_is_an_error(tmp_path: Path) -> None:
    parts = {"train": write_parts(tmp_path)["train"]}
    for path in (tmp_path / "train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of 11 images can be read.*000001.png"):
        load(tmp_path, parts, skip_broken=True)
    assert leftovers(tmp_path / "cache") == []


def test_images_without_boxes_require_the_whole_crop(tmp_path: Path) -> None:
    write_images(tmp_path / "train", rows(3, 0), 0)
    without_boxes = PhotographPart(
        (tmp_path / "train",),
        lambda: [PhotographFile(name, tmp_path / "train" / name, label) for name, label, _ in rows(3, 0)],
    )
    with pytest.raises(DataError, match="no boxes") as caught:
        load(tmp_path, {"train": without_boxes}, skip_broken=True)
    assert "data.crop=whole" in caught.value.hint
    assert leftovers(tmp_path / "cache") == []
    data = load(tmp_path, {"train": without_boxes}, Framing(12, 20))
    assert np.isnan(data.train.boxes).all()


def test_an_empty_part_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="no labeled images in"):
        load(tmp_path, {"train": PhotographPart((tmp_path / "train",), list)})
