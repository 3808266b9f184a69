"""What a run's folder holds, for reports and comparisons; a missing or damaged file counts as None."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from svhncli.core import sums
from svhncli.core.errors import CheckpointError, SvhnError
from svhncli.core.files import open_csv, read_json, read_text
from svhncli.core.labels import as_text
from svhncli.core.plain import from_plain
from svhncli.core.run_mark import CONFIG, is_run
from svhncli.data.data_sheet import DataSheet
from svhncli.data.split import ALL, Fold
from svhncli.runs import config_yaml
from svhncli.runs.environment import Environment, Status
from svhncli.runs.mistakes import Mistake, kept_mistakes
from svhncli.runs.predictions import read_predictions
from svhncli.runs.results import EpochRow, FoldSummary, RunSummary, Summary, read_summary
from svhncli.runs.sweeps import natural_order
from svhncli.stats.class_report import ClassReport, class_report
from svhncli.stats.intervals import Interval

T = TypeVar("T")
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError),
    *(csv.Error, yaml.YAMLError, OmegaConfBaseException, SvhnError),
)
"""Exceptions that reading a damaged file can raise."""


@dataclass(frozen=True)
class CalibrationError:
    ece: float


@dataclass(frozen=True, kw_only=True)
class EvaluatedPart:
    """What a report shows of a results.json of `svhn eval`. fold: its folder, "" for a run of one."""

    data: str
    part: str
    tta: int
    n: int
    accuracy: float
    interval: Interval
    calibration: CalibrationError
    fold: str = ""


@dataclass
class Run:
    """A run, or one fold of it. damaged: the names of files that are there and cannot be read."""

    path: Path
    top: Path
    """The folder with config.yaml and env.json: the run's own, or around a fold's."""
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Run:
        alone = is_run(folder) or not is_run(folder.parent)
        return cls(folder, folder if alone else folder.parent)

    def _read(self, path: Path, read: Callable[[Path], T]) -> T | None:
        if not path.is_file():
            return None
        try:
            return read(path)
        except UNREADABLE:
            self.damaged.append(path.relative_to(self.top).as_posix())
            return None

    def _object(self, path: Path) -> dict[str, Any]:
        return self._read(path, lambda path: dict(read_json(path))) or {}

    @cached_property
    def summary(self) -> Summary | None:
        return self._read(self.path / "summary.json", lambda path: read_summary(read_json(path)))

    @property
    def finished(self) -> FoldSummary | RunSummary | None:
        """The summary of a run or fold that was trained to its end."""
        return self.summary if isinstance(self.summary, (FoldSummary, RunSummary)) else None

    @cached_property
    def status(self) -> Status | None:
        return self._read(self.path / "status.json", lambda path: from_plain(Status, read_json(path)))

    @cached_property
    def env(self) -> Environment | None:
        return self._read(self.top / "env.json", lambda path: from_plain(Environment, read_json(path)))

    @cached_property
    def sheet(self) -> DataSheet | None:
        """None where an earlier version trained."""
        return self._read(self.top / "data.json", lambda path: from_plain(DataSheet, read_json(path)))

    @cached_property
    def config(self) -> dict[str, Any]:
        return self._read(self.top / CONFIG, _config) or {}

    @cached_property
    def config_text(self) -> str:
        return self._read(self.top / CONFIG, read_text) or ""

    @cached_property
    def words(self) -> list[str]:
        """The overrides on the command line."""
        words = self._read(self.top / ".hydra" / "overrides.yaml", _words)
        if words is None:
            command = self.env.command if self.env else []
            words = [word for word in command[1:] if "=" in word and not word.startswith("hydra.")]
        return words

    @cached_property
    def history(self) -> list[EpochRow]:
        return self._read(self.path / "metrics.csv", _history) or []

    @cached_property
    def folds(self) -> list[Run]:
        """In the order in which they ran; none for a run of one fold."""
        if (self.path / "metrics.csv").is_file():
            return []
        inner = (path.parent for path in self.path.glob("*/split.json") if path.parent.name != ALL)
        return [Run(path, self.top, self.damaged) for path in sorted(inner, key=natural_order)]

    @cached_property
    def split(self) -> Fold | None:
        return self._read(self.path / "split.json", _fold)

    @cached_property
    def weights(self) -> list[Path]:
        """The best.pt of the run, or those of its folds."""
        files = [part.path / "best.pt" for part in self.folds or [self]]
        return [file for file in files if file.is_file()]

    @cached_property
    def val_outputs(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Probabilities (N, L, K) and labels (N, L) of the validation part; of all folds, in order."""
        if not self.folds:
            return self._read(self.path / "val_predictions.csv", _predictions)
        parts = [fold.val_outputs for fold in self.folds if fold.val_outputs is not None]
        if not parts:
            return None
        probabilities, labels = zip(*parts, strict=True)
        return np.concatenate(probabilities), np.concatenate(labels)

    @cached_property
    def majority(self) -> tuple[str, float] | None:
        """The most frequent label of the validation part, and its share: the accuracy of guessing."""
        if self.val_outputs is None:
            return None
        counts = Counter(as_text(row) for row in self.val_outputs[1])
        answer, count = counts.most_common(1)[0]
        return answer, count / counts.total()

    @cached_property
    def judged(self) -> ClassReport | None:
        return None if self.val_outputs is None else class_report(self.val_outputs[1], self.val_outputs[0])

    @cached_property
    def mistakes(self) -> list[tuple[Mistake, Image.Image]]:
        """Those with the highest confidence first, of all folds."""
        if self.folds:
            shown = [mistake for fold in self.folds for mistake in fold.mistakes]
            return sorted(shown, key=lambda pair: -pair[0].confidence)
        file = self.path / "plots" / "mistakes.json"
        if self._read(file.with_suffix(".png"), sums.read) is None:
            return []
        return self._read(file, lambda path: kept_mistakes(path.parent)) or []

    def plot(self, name: str) -> Image.Image | None:
        """An image in plots/; of the first fold, where there are several."""
        return self._read((self.folds or [self])[0].path / "plots" / name, _image)

    @cached_property
    def evaluations(self) -> list[EvaluatedPart]:
        """What `svhn eval` has scored since, one for each part and fold."""
        files = sorted(self.path.glob("eval/*/results.json"))
        scored = [self._read(file, lambda path: from_plain(EvaluatedPart, read_json(path))) for file in files]
        of_folds = [replace(part, fold=fold.path.name) for fold in self.folds for part in fold.evaluations]
        return [part for part in scored if part is not None] + of_folds


# ----------------------------------------------------------------------------- one file


def _config(path: Path) -> dict[str, Any]:
    return config_yaml.settings(read_text(path))


def _words(path: Path) -> list[str]:
    return [str(word) for word in config_yaml.plain(read_text(path)) or ()]


def _history(path: Path) -> list[EpochRow]:
    lines = csv.DictReader(open_csv(path))
    rows = [{name: float(value) for name, value in row.items()} for row in lines]
    return [from_plain(EpochRow, row | {"epoch": int(row["epoch"])}) for row in rows]


def _fold(path: Path) -> Fold:
    kept = read_json(path)
    train, val = (np.array(kept[name], np.int64) for name in ("train", "val"))
    return Fold(kept["name"], train, val, kept["val_part"])


def _predictions(path: Path) -> tuple[np.ndarray, np.ndarray]:
    last = next(csv.reader(open_csv(path)))[-1]
    match = re.fullmatch(r"p(?:(\d)_)?(\d+)", last)
    if match is None:
        raise CheckpointError(f"'{path}' ends with the column '{last}'")
    return read_predictions(path, int(match[1] or 0) + 1, int(match[2]) + 1)


def _image(path: Path) -> Image.Image:
    with Image.open(io.BytesIO(sums.read(path))) as image:
        image.load()
    return image
