"""A run's directory: what was run, how it went, and no file that is half-written.

    config.yaml  env.json  split.json     what was run, on what, on which images
    data.json                             what these images are, in numbers
    SHA256SUMS                            of what is written whole, see core/sums.py
    metrics.csv  timing.csv               one row per epoch: what is exact, and what the clock measured
    best.pt  last.pt                      see checkpoint.py
    summary.json  status.json  train.log  the result, the present state, the messages
    plots/  report.html                   figures, and all of it as one page
    one such directory per fold           if there is more than one fold

metrics.csv is a function of config, data and machine: a resumed run's is the undisturbed run's, byte for
byte. That is why seconds and images per second are in timing.csv.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from filelock import Timeout
from omegaconf import OmegaConf

from svhncli.core import temporary
from svhncli.core.errors import BusyError, CheckpointError
from svhncli.core.files import (
    open_csv,
    read_json,
    read_text,
    settle_sums,
    write_csv,
    write_json,
    write_text,
    writing,
)
from svhncli.core.locks import locked
from svhncli.core.plain import from_plain, to_plain
from svhncli.core.run_mark import CONFIG, is_run
from svhncli.runs import config_yaml
from svhncli.runs.environment import Environment, Status
from svhncli.runs.results import Summary, read_summary

T = TypeVar("T")
METRICS = ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
TIMING = ("epoch", "seconds", "images_per_second")


@dataclass(frozen=True)
class Timing:
    """How long an epoch took: a row of timing.csv."""

    epoch: int
    seconds: float
    images_per_second: float


class RunDir:
    """Reads and writes the files of one run (or of one fold of it)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.pt"
        self.last = path / "last.pt"
        self._timing: list[Timing] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the directory against other processes; the lock ends with the process, however it ends.

        Raises:
            BusyError: another process works in it.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            lock = locked(self.path / ".lock", timeout=0)
        except Timeout:
            raise BusyError(
                f"another process is training in '{self.path}'", "wait for it, or stop it first"
            ) from None
        try:
            self._sweep()
            settle_sums(self.path, (self.path / ".hydra").glob("*.yaml"))
            yield
            settle_sums(self.path)
        finally:
            lock.release()

    def fold(self, name: str) -> RunDir:
        inner = RunDir(self.path / name)
        with writing(inner.path):
            inner.path.mkdir(exist_ok=True)
        inner._sweep()
        return inner

    def _sweep(self) -> None:
        for folder in (self.path, self.path / "plots", self.path / "snapshots"):
            temporary.sweep(folder)

    # ---- what is run

    @property
    def started(self) -> bool:
        return is_run(self.path)

    @property
    def has_weights(self) -> bool:
        """Whether anything was trained: until then, the run may still become another."""
        return any(self.path.glob("*.pt")) or any(self.path.glob("*/*.pt"))

    def write_config(self, config: dict[str, Any], environment: Environment) -> None:
        write_json(self.path / "env.json", to_plain(environment))
        self.write_settings(config)

    def write_settings(self, config: dict[str, Any]) -> None:
        write_text(self.path / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))

    def config(self) -> dict[str, Any]:
        """The saved config as plain values.

        Raises:
            CheckpointError: there is none, or it cannot be read.
        """
        try:
            return config_yaml.settings(read_text(self.path / CONFIG))
        except CheckpointError:
            raise  # it is damaged, and named
        except Exception as error:
            raise CheckpointError(f"'{self.path}' holds no readable {CONFIG}: {error}") from error

    def env(self) -> Environment:
        """Raises: CheckpointError: env.json is missing or damaged."""
        return self._read("env.json", lambda value: from_plain(Environment, value))

    def kept_meta(self) -> dict[str, Any] | None:
        """What the checkpoints say of the run; None where none of them is intact.

        Those in folders of folds speak for the run, those of several seeds do not: each has its own config.
        """
        from svhncli.runs import checkpoint  # torch, which other readers do not need

        inner = (file for file in sorted(self.path.glob("*/*.pt")) if not file.parent.name.startswith("seed"))
        for file in (self.last, self.best, *inner):
            with suppress(CheckpointError):
                return checkpoint.load_of_run(file)["meta"]
        return None

    # ---- how it goes

    def write_status(self, status: Status) -> None:
        write_json(self.path / "status.json", to_plain(status))

    def status(self) -> Status | None:
        """The latest status; None before the first.

        Raises:
            CheckpointError: status.json is damaged.
        """
        if not (self.path / "status.json").is_file():
            return None
        return self._read("status.json", lambda value: from_plain(Status, value))

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
        """Read back the timing of the epochs that a resumed run has already done."""
        path = self.path / "timing.csv"
        if path.is_file():
            rows = [
                Timing(int(row["epoch"]), float(row["seconds"]), float(row["images_per_second"]))
                for row in csv.DictReader(open_csv(path))
            ]
            self._timing = [row for row in rows if row.epoch <= epochs]

    def add_timing(self, timing: Timing) -> None:
        self._timing.append(timing)
        write_csv(self.path / "timing.csv", TIMING, map(to_plain, self._timing))

    def speed(self) -> tuple[float, float]:
        """Seconds of all epochs, and the median images per second (the first epoch warms up)."""
        rates = [row.images_per_second for row in self._timing]
        return sum(row.seconds for row in self._timing), median(rates) if rates else 0.0

    # ---- the result

    def write_summary(self, summary: Summary) -> None:
        write_json(self.path / "summary.json", to_plain(summary))

    def summary(self) -> Summary | None:
        """The summary; None where there is none yet.

        Raises:
            CheckpointError: summary.json is damaged.
        """
        return self._read("summary.json", read_summary) if (self.path / "summary.json").is_file() else None

    def _read(self, name: str, read: Callable[[Any], T]) -> T:
        try:
            return read(read_json(self.path / name))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"'{self.path / name}' cannot be used: {error}", "remove it, or name another run"
            ) from error
