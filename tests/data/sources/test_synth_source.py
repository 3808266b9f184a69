from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPO, link_faces, shared_cache
from filelock import FileLock
from forked import Forked

from svhncli.core.temporary import TEMP_PREFIX
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.data.render.renderer import render
from svhncli.data.sources import synth
from svhncli.data.store.cache import META, Cache

SIZES = {"n_train": 300, "n_test": 70, "seed": 0, "size": 16}


def load(cache: Path, **changes: Any) -> DataSet:
    return synth.load(**(SIZES | {"cache": Cache(cache)} | changes))


def rendered(part: str, n: int, seed: int = 0, size: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arrays = np.empty((n, 3, size, size), np.uint8), np.empty((n, 1), np.int64), np.empty(n, np.int64)
    render(*arrays, seed=seed, part=part, cache=shared_cache())
    return arrays


def assert_equals_rendered(digits: Digits | None, part: str, n: int, **options: int) -> None:
    images, labels, groups = rendered(part, n, **options)
    assert digits is not None
    assert np.array_equal(digits.images, images)
    assert np.array_equal(digits.labels, labels)
    assert np.array_equal(digits.groups - digits.groups[0], groups)


def test_the_parts_match_the_renderer(tmp_path: Path) -> None:
    data = load(tmp_path)
    assert data.name == "synth"
    assert data.val is None
    assert_equals_rendered(data.train, "train", 300)
    assert_equals_rendered(data.test, "test", 70)
    assert data.train.names[1] == "train/1"


def test_the_parts_groups_are_distinct(tmp_path: Path) -> None:
    data = load(tmp_path)
    assert data.test is not None
    assert data.train.groups.max() < data.test.groups.min()


def test_each_part_is_rendered_once_and_reports_progress(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []

    def progress(stage: str, done: int, total: int | None) -> None:
        calls.append((stage, done, total))

    first = load(tmp_path, progress=progress)
    assert ("render train", 300, 300) in calls
    assert ("render test", 70, 70) in calls
    calls.clear()
    assert load(tmp_path, progress=progress).fingerprint == first.fingerprint
    assert calls == []
    load(tmp_path, progress=progress, n_train=310)
    assert {stage for stage, _, _ in calls} == {"render train"}


def test_zero_test_images_means_no_test_part(tmp_path: Path) -> None:
    data = load(tmp_path, n_test=0)
    assert data.test is None
    assert_equals_rendered(data.train, "train", 300)


def test_every_argument_that_changes_images_changes_the_fingerprint(tmp_path: Path) -> None:
    variants: list[dict[str, int]] = [{}, {"n_train": 299}, {"n_test": 0}, {"seed": 1}, {"size": 8}]
    fingerprints = [load(tmp_path, **changes).fingerprint for changes in variants]
    assert len(set(fingerprints)) == len(fingerprints)
    assert_equals_rendered(load(tmp_path, seed=1, size=8).train, "train", 300, seed=1, size=8)


KILLED = """
import os, signal, sys
from pathlib import Path
from svhncli.data.store.cache import Cache
from svhncli.data.sources.synth import load

def progress(stage, done, total):
    if stage == "render train" and done == total:
        os.kill(os.getpid(), signal.SIGKILL)

load(n_train=300, n_test=70, seed=0, size=16, cache=Cache(Path(sys.argv[1])), progress=progress)
"""


@pytest.mark.e2e
def test_a_kill_while_rendering_costs_nothing_but_time(tmp_path: Path) -> None:
    for name in ("killed", "other"):
        link_faces(tmp_path / name)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    assert subprocess.run(command, cwd=REPO).returncode == -9
    assert list((tmp_path / "killed").glob(f"{TEMP_PREFIX}*"))
    data = load(tmp_path / "killed")
    assert not list((tmp_path / "killed").glob(f"{TEMP_PREFIX}*"))
    assert_equals_rendered(data.train, "train", 300)
    assert data.fingerprint == load(tmp_path / "other").fingerprint


@pytest.mark.full
@pytest.mark.e2e
def test_a_command_that_waits_logs_the_reason_once(folder: Path, spawn: Callable[..., Forked]) -> None:
    link_faces(folder / "cache")
    small = "data.n_train=200", "data.n_test=50", "epochs=1", "model=linear", "threads=1", "cache=cache"
    first = spawn("train", *small, "-q")
    assert first.wait() == 0, first.stderr.read()
    [prepared] = (path for path in (folder / "cache").glob("synth-train-*") if path.is_dir())
    for more in (["lr=0.001"], ["-m", "lr=0.001,0.002"]):  # a run and a sweep
        (prepared / META).unlink()
        with FileLock(f"{prepared}.lock"):
            process = spawn("train", *small, "-q", *more)
            assert select.select([process.stderr], [], [], 60)[0], "no message was printed"
            assert prepared.name in process.stderr.readline()
        _, output = process.communicate()
        assert process.returncode == 0
        assert "waiting" not in output
