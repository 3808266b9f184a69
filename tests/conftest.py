"""What the tests share: a cache of their own, an empty folder to run in, the command in a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from svhncli.data.cache import Cache, default_root
from svhncli.data.synth.faces import Atlas, atlas
from svhncli.data.synth.world import STREET, load

REPO = Path(__file__).resolve().parent.parent
# Several processes share the cores; threads that spin while they wait would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Rendered and converted data goes to a folder of this session, not to the user's."""
    before = {name: os.environ.get(name) for name in ("SVHN_CACHE", "COLUMNS")}
    os.environ["SVHN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["COLUMNS"] = "100"
    yield
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


def write_mat(folder: Path, part: str, count: int, seed: int) -> None:
    """A file of the official layout; a bright bar in noise shows the class, so it is easily learned."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(1, 11, count)
    pictures = draw.integers(0, 120, (32, 32, 3, count))
    for i, label in enumerate(labels):
        pictures[3 * label - 2 : 3 * label, :, :, i] = 250
    folder.mkdir(exist_ok=True)
    savemat(
        folder / f"{part}_32x32.mat",
        {"X": pictures.astype(np.uint8), "y": labels[:, None]},
        do_compression=True,
    )


def shared_cache() -> Cache:
    """The session's."""
    return Cache(default_root())


def installed_faces() -> Atlas:
    """Drawn once a session."""
    return atlas(None, load(STREET), shared_cache())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `svhn …` in a process of its own, one thread; ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **more: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "svhncli", *words],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
