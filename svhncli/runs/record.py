"""A run's directory: what was run, how it went, and nothing that is half-written.

    config.yaml  env.json  split.json     what was run, on what, on which pictures
    data.json                             what these pictures are, in numbers
    metrics.csv  timing.csv               one row an epoch: what is exact, and what the clock said
    best.pt  last.pt                      see checkpoint.py
    summary.json  status.json  train.log  the result, the present state, what was said
    plots/  report.html                   pictures, and all of it as one page
    fold directories of the same make     where a split has more than one fold

metrics.csv is a function of config, data and machine: a resumed run's is the undisturbed run's, byte for
byte. That is why seconds and images a second stand in timing.csv.
"""

from __future__ import annotations

import csv
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from svhncli.core.errors import BusyError, CheckpointError, Interrupted, SvhnError
from svhncli.core.files import read_json, sweep_temp, write_csv, write_json, write_text

SWEEP = "sweep.json"
"""The file that makes a folder a sweep's: what was swept."""
METRICS = ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
TIMING = ("epoch", "seconds", "images_per_second")
PACKAGES = ("svhncli", "torch", "torchvision", "numpy", "hydra-core", "omegaconf", "Pillow", "scipy")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")


class RunDir:
    """Reads and writes the files of one run (or of one fold of it)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.pt"
        self.last = path / "last.pt"
        self._timing: list[dict[str, Any]] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory against other processes; the lock falls with the process, however it ends.

        Raises:
            BusyError: another process works in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                f"another process is training in '{self.path}'", "wait for it, or stop it first"
            ) from None
        try:
            sweep_temp(self.path)
            yield
        finally:
            lock.release()

    def fold(self, name: str) -> RunDir:
        inner = RunDir(self.path / name)
        inner.path.mkdir(exist_ok=True)
        sweep_temp(inner.path)
        return inner

    # ---- what is run

    @property
    def started(self) -> bool:
        return (self.path / "config.yaml").is_file()

    def write_config(self, config: dict[str, Any], machine: dict[str, Any], data: dict[str, Any]) -> None:
        write_json(self.path / "env.json", {"machine": machine, "data": data, **environment()})
        self.write_settings(config)

    def write_settings(self, config: dict[str, Any]) -> None:
        write_text(self.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))

    def config(self) -> dict[str, Any]:
        """The saved config as plain values.

        Raises:
            CheckpointError: there is none, or it cannot be read.
        """
        try:
            values = OmegaConf.to_container(OmegaConf.load(self.path / "config.yaml"), resolve=False)
        except Exception as error:
            raise CheckpointError(f"'{self.path}' holds no readable config.yaml: {error}") from error
        if not isinstance(values, dict):
            raise CheckpointError(f"'{self.path / 'config.yaml'}' is not a config")
        return {str(name): value for name, value in values.items()}

    def env(self) -> dict[str, Any]:
        return read_json(self.path / "env.json")

    # ---- how it goes

    def status(self, status: str, **more: Any) -> None:
        write_json(
            self.path / "status.json",
            {"status": status, "pid": os.getpid(), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **more},
        )

    def read_status(self) -> str | None:
        """The word of the latest `status`; None before the first."""
        path = self.path / "status.json"
        return str(read_json(path)["status"]) if path.is_file() else None

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Write metrics.csv: the built-in columns, then those of registered metrics.

        A metric that was registered only when the run was resumed has no values of earlier epochs: it is
        left out.
        """
        added = [name for name in (history[-1] if history else ()) if all(name in row for row in history)]
        columns = list(dict.fromkeys([*METRICS, *added]))
        rows = [{name: row[name] for name in columns} for row in history]
        write_csv(self.path / "metrics.csv", columns, rows)

    def load_timing(self, epochs: int) -> None:
        """Take up the clock's rows of the epochs that a resumed run has behind it."""
        path = self.path / "timing.csv"
        if path.is_file():
            with path.open(newline="") as file:
                rows = [{"epoch": int(r["epoch"]), **_floats(r, TIMING[1:])} for r in csv.DictReader(file)]
            self._timing = [row for row in rows if row["epoch"] <= epochs]

    def add_timing(self, epoch: int, seconds: float, images_per_second: float) -> None:
        self._timing.append({"epoch": epoch, "seconds": seconds, "images_per_second": images_per_second})
        write_csv(self.path / "timing.csv", TIMING, self._timing)

    def speed(self) -> tuple[float, float]:
        """Seconds of all epochs, and the median images a second (the first epoch warms up)."""
        rates = [row["images_per_second"] for row in self._timing]
        return sum(row["seconds"] for row in self._timing), median(rates) if rates else 0.0

    # ---- the result

    def write_summary(self, summary: dict[str, Any]) -> None:
        write_json(self.path / "summary.json", summary)

    def summary(self) -> dict[str, Any] | None:
        path = self.path / "summary.json"
        return read_json(path) if path.is_file() else None


def best_scores(row: dict[str, Any]) -> dict[str, Any]:
    """What a summary says of the best epoch: its number, and its loss, accuracy and registered metrics."""
    return {"epoch": row["epoch"], "val_loss": row["val_loss"]} | {
        name: value for name, value in row.items() if name.startswith("val_")
    }


def _floats(row: dict[str, str], names: tuple[str, ...]) -> dict[str, float]:
    return {name: float(row[name]) for name in names}


def environment() -> dict[str, Any]:
    """Versions and machine, for a run's env.json."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {package: _version(package) for package in PACKAGES},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def reserve(kind: str, moment: datetime | None = None) -> Path:
    """Make outputs/<kind>/<moment, now>: mkdir is atomic, so two starts in one instant get two folders."""
    moment = moment or datetime.now()
    while True:
        folder = Path("outputs", kind, moment.strftime("%Y-%m-%d_%H-%M-%S-%f"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process removed its empty parent just now
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                moment += timedelta(microseconds=1)


def find_run(target: str | None) -> Path:
    """The run directory that a word on the command line means: a folder, a file in it, or `latest`.

    Raises:
        CheckpointError: there is no such run.
    """
    if target in (None, "latest"):
        return latest_run()
    path = Path(str(target)).expanduser()
    if not path.exists():
        raise CheckpointError(f"there is no run '{path}'", "name a run's folder, a .pt file in it, or latest")
    folder = path if path.is_dir() else path.parent
    for candidate in (folder, folder.parent):  # a fold's folder stands in its run's
        if (candidate / "config.yaml").is_file():
            return candidate
    raise CheckpointError(
        f"'{path}' does not belong to a run: there is no config.yaml beside it",
        "to start a new run from a checkpoint's weights: svhn train init_from=FILE",
    )


def weights_file(target: str) -> Path:
    """The checkpoint that a word means: a file, or a run's best.pt.

    Raises:
        CheckpointError: there is no such run or file.
    """
    path = Path(target).expanduser()
    if target != "latest" and path.is_file():
        return path
    found = path if target != "latest" and (path / "best.pt").is_file() else find_run(target)
    if not (found / "best.pt").is_file():
        raise CheckpointError(
            f"'{found}' has no best.pt", "name a .pt file, or one of the folds of a run that has several"
        )
    return found / "best.pt"


def evaluation_folder(folder: Path, data: str, part: str, views: int = 1) -> Path:
    """Where `svhn eval` leaves what it found of one part of a data set, beside the checkpoint it scored."""
    name = f"{data}-{part}" + (f"-tta{views}" if views > 1 else "")
    return folder / "eval" / re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)


def latest_run(outputs: Path = Path("outputs/train")) -> Path:
    """The newest run under `outputs`, by the stamp in its name."""
    runs = sorted(p for p in outputs.glob("*") if _STAMP.match(p.name) and _is_of_use(p))
    if not runs:
        raise CheckpointError(f"there is no run under '{outputs}' yet", "start one: svhn train")
    return runs[-1]


def _is_of_use(run: Path) -> bool:
    """Whether a run began and has not failed before anything was saved."""
    saved = (run / "last.pt").is_file() or any(run.glob("*/last.pt"))  # in the folds, where there are several
    failed = (run / "summary.json").is_file() and not saved
    return (run / "config.yaml").is_file() and not failed


def failure(error: BaseException, run_dir: Path) -> dict[str, Any]:
    """What the summary of a run that did not end well says."""
    told = {"run_dir": str(run_dir)}
    if isinstance(error, SvhnError):
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        return {
            "status": status,
            "reason": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
            **told,
        }
    status = "failed" if isinstance(error, Exception) else "interrupted"  # Ctrl-C or SIGTERM
    return {
        "status": status,
        "reason": f"{type(error).__name__}: {error}",
        "hint": "",
        "exit_code": 1,
        **told,
    }
