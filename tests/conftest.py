"""What the tests share: a cache of their own, an empty folder to run in, the command in a real process."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from forked import PIPE, Forked, Server, serving
from hypothesis import settings
from scipy.io import savemat
from threadpoolctl import threadpool_limits

from svhncli import registry
from svhncli.cli import main as cli
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.declare import BUILDS, ROOT_VALUES
from svhncli.config.groups.data import SvhnConfig
from svhncli.config.groups.optim import SgdConfig
from svhncli.config.groups.reg import RegConfig
from svhncli.config.groups.schedule import ConstantConfig
from svhncli.config.groups.split import HoldoutConfig
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.sums import SUMS
from svhncli.data.framing import Framing
from svhncli.data.render.faces import Atlas, atlas
from svhncli.data.render.world import STREET, load
from svhncli.data.store.cache import Cache, default_root
from svhncli.engine.preprocess import Preprocess
from svhncli.registry.table import BUILDERS
from svhncli.runs import checkpoint
from svhncli.runs.results import Achieved, BestEpoch, Diagnosis, EpochRow, FoldSummary
from svhncli.runs.run_dir import RunDir
from svhncli.stats.intervals import wilson
from svhncli.stats.metrics import METRICS
from svhncli.stats.score import Score
from svhncli.training.checks import bench, learning

REPO = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("SVHN_TEST_DATA") or REPO.parent / "shared" / "data")
"""Real data, which the project does not bring; what needs it is skipped where it is absent."""
# Several processes share the cores; threads that spin while they wait would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER is not None and hasattr(os, "sched_setaffinity"):
    # Each of pytest's processes keeps to one CPU, as on a machine with one: nothing waits for threads or
    # processes of another test. Tests that need several processes ask for them.
    CPUS = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {CPUS[int(WORKER.removeprefix("gw")) % len(CPUS)]})
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's and scipy's BLAS counted the CPUs when it was imported
settings.register_profile("shared cores", deadline=None)
settings.load_profile("shared cores")


pytest_plugins = ("compared", "joined", "reported")  # their fixtures

TIERS = ("unit", "engine", "e2e")
"""The quickest first: units neither train nor start a process, and are held to it; engine tests train tiny
runs or render in this process; e2e tests run whole commands. A folder has a tier; a test may say its own."""
TIER_OF = {
    "commands": "e2e",
    "cli": "e2e",
    "docs": "e2e",
    "golden": "e2e",
    "training": "engine",
    "data/sources": "engine",
}
"""Of the folders whose tests are not units. Sources read files in another process, which they may crash."""


def folder_tier(item: pytest.Item) -> str:
    path = item.path.relative_to(Path(__file__).parent)
    return next((tier for folder, tier in TIER_OF.items() if path.is_relative_to(folder)), "unit")


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not any(item.get_closest_marker(tier) for tier in TIERS):
            item.add_marker(getattr(pytest.mark, folder_tier(item)))
    # Long files first: otherwise a process could still be busy with one of them when the others are done.
    items.sort(key=lambda item: TIERS.index(folder_tier(item)), reverse=True)


def pytest_collection_finish() -> None:
    gc.freeze()  # what was imported stays, so collections need not look through it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a unit test that starts a process or takes a training step."""
    if item.get_closest_marker("unit") is None:
        return (yield)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("this test starts a process or trains: mark its module engine or e2e", pytrace=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        patch.setattr(Server, "start", refuse)
        patch.setattr("multiprocessing.process.BaseProcess.start", refuse)
        patch.setattr("svhncli.engine.loop.train_step", refuse)
        patch.setattr("svhncli.engine.range_test.train_step", refuse)
        return (yield)


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A temporary folder for all of pytest's processes."""
    base = factory.getbasetemp()
    return base if WORKER is None else base.parent


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[], None]) -> Path:
    """A folder that no test changes: the first of pytest's processes to need it makes it, others wait.

    make: writes into the current folder.
    """
    folder = shared_folder(factory) / name
    done = folder.with_suffix(".made")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                make()
            done.touch()
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Rendered and converted data goes to a folder of this session, not to the user's.

    Its processes share the folder: the faces take seconds to draw.
    """
    before = {name: os.environ.get(name) for name in ("SVHN_CACHE", "COLUMNS")}
    os.environ["SVHN_CACHE"] = str(shared_folder(tmp_path_factory) / "cache")
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


def write_run(folder: Path, framing: Framing, positions: int, model: Any, grey: bool = False) -> Path:
    """A run as training leaves it, but for what it learned: random weights, a checkpoint, a config."""
    config = TrainConfig(
        lr=0.1,
        precision="fp32",
        data=SvhnConfig(root=str(folder / "nowhere"), download=False),
        split=HoldoutConfig(),
        model=model,
        optim=SgdConfig(),
        schedule=ConstantConfig(),
        reg=RegConfig(),
    )
    channels, classes = (1 if grey else 3), (10 if positions == 1 else 11)
    preprocess = Preprocess(framing, grey, (0.4,) * channels, (0.2,) * channels)
    torch.manual_seed(zlib.crc32(folder.name.encode()))  # start weights, other ones for another name
    network = registry.model(model, preprocess.shape, positions, classes, 0.0)
    meta = {
        "config": rules.to_dict(config),
        "fold": "holdout",
        "fingerprint": None,
        "split": None,
        "preprocess": preprocess.to_dict(),
        "in_shape": list(preprocess.shape),
        "positions": positions,
        "classes": classes,
    }
    folder.mkdir(parents=True)
    RunDir(folder).write_settings(meta["config"])
    checkpoint.save(folder / "best.pt", {"meta": meta, "weights": network.state_dict()})
    return folder


def unrecorded(folder: Path) -> Path:
    """A run's folder without its record of SHA-256, so that its files can be edited."""
    for record in folder.rglob(SUMS):
        record.unlink()
    return folder


def fold_summary(accuracy: float, **changes: Any) -> FoldSummary:
    """As training leaves it, with this validation accuracy, which its loss adds up with to 1."""
    score = Score(loss=1 - accuracy, accuracy=accuracy, n=100, interval=wilson(round(100 * accuracy), 100))
    both = {"val_loss": 1 - accuracy, "val_accuracy": accuracy}
    figures = {"train_accuracy": accuracy, "val_accuracy": accuracy, "gap": 0.0}
    summary = FoldSummary(
        status="done",
        reason="all 3 epochs done",
        name="holdout",
        fold="holdout",
        seed=0,
        epochs=3,
        best=BestEpoch(epoch=1, **both),
        last=EpochRow(epoch=3, lr=0.1, train_loss=1 - accuracy, train_accuracy=accuracy, **both),
        score=Achieved("val_accuracy", accuracy),
        train=score,
        val=score,
        test=None,
        has_test=False,
        diagnosis=Diagnosis(verdict="diverged", why="", advice=["a lower lr"], **figures),
        parameters=7,
        seconds=1.5,
        images_per_second=100.0,
        n_train=8,
        n_val=2,
        run_dir="run",
    )
    return replace(summary, **changes)


def shared_cache() -> Cache:
    """The session's."""
    return Cache(default_root())


def installed_faces() -> Atlas:
    """Drawn once a session."""
    return atlas(None, load(STREET), shared_cache())


def link_faces(root: Path) -> None:
    """Give another cache the faces, which take seconds to draw."""
    installed_faces()
    root.mkdir(exist_ok=True)
    for kind in ("fonts", "painter"):
        for known in filter(Path.is_dir, shared_cache().root.glob(f"{kind}-*")):
            (root / known.name).symlink_to(known)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def json_of(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run a command that succeeds and return its JSON output."""

    def run(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        code = cli.main([*words, "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.fixture(autouse=True)
def _own_declarations() -> Iterator[None]:
    """What a test's plugins declare is forgotten after it."""
    tables: list[dict[Any, Any]] = [*CHOICES.values(), BUILDS, ROOT_VALUES, BUILDERS, METRICS]
    before = [dict(table) for table in tables]
    yield
    for table, kept in zip(tables, before, strict=True):
        if table != kept:
            table.clear()
            table.update(kept)


@pytest.fixture
def plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a module that `plugins=[name]` imports."""
    monkeypatch.syspath_prepend(str(folder))
    written = set()

    def write(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)
        written.add(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


@pytest.fixture
def spawn(server: Server) -> Iterator[Callable[..., Forked]]:
    """Start `svhn …` in a process of its own (see `Server.start`); it is ended with the test."""
    started: list[Forked] = []

    def start(*words: str, stdout: int = PIPE, stderr: int = PIPE, **more: Any) -> Forked:
        started.append(server.start(*words, stdout=stdout, stderr=stderr, **more))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def _chromium() -> Any:
    """Chromium without a window, which takes a second to start; its console and requests are kept."""
    webdriver = pytest.importorskip("selenium.webdriver")
    driver = shutil.which("chromedriver")
    if driver is None:
        pytest.skip("Debian's chromium-driver is not installed")
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--window-size=400,800"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def browser(_chromium: Any) -> Any:
    """A new tab of a browser: without a console, requests, permissions or settings of other tests."""
    first = _chromium.current_window_handle
    _chromium.switch_to.new_window("tab")
    for log in ("browser", "performance"):
        _chromium.get_log(log)
    yield _chromium
    _chromium.execute_cdp_cmd("Browser.resetPermissions", {})
    _chromium.close()
    _chromium.switch_to.window(first)


@pytest.fixture
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`svhn check` gives up sooner on what it could learn in more steps."""
    monkeypatch.setattr(learning, "MEMORY", 200)
    monkeypatch.setattr(learning, "SHUFFLED_STEPS", 200)
    monkeypatch.setattr(bench, "ROUNDS", 1)


def requests_of(browser: Any) -> list[str]:
    """What the page asked the network for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not re.match(r"file:|data:|blob:", url)]
