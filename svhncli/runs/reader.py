"""What a run's or a sweep's folder holds, as plain values. What is missing or damaged is not there."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from svhncli.core.errors import CheckpointError, SvhnError
from svhncli.core.files import read_json
from svhncli.data.split import ALL, Fold
from svhncli.runs.mistakes import kept_mistakes
from svhncli.runs.predictions import read_predictions
from svhncli.runs.record import SWEEP, find_run, latest_run
from svhncli.stats.judged import Judged, judged
from svhncli.stats.metrics import rank

T = TypeVar("T")
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
    *(csv.Error, yaml.YAMLError, OmegaConfBaseException, SvhnError),
)
"""What a file that is not as a run writes it raises on its way in."""


def find(target: str | None) -> Path:
    """The folder that a word means: of a sweep, of a run, or of one fold of it.

    Raises:
        CheckpointError: there is no such run.
    """
    if target in (None, "latest"):
        return latest_run()
    path = Path(str(target)).expanduser()
    folder = path if path.is_dir() else path.parent
    is_fold = (folder / "split.json").is_file() and (folder.parent / "config.yaml").is_file()
    if path.exists() and (is_sweep(folder) or is_fold or (folder / "summary.json").is_file()):
        return folder
    return find_run(target)


def is_sweep(folder: Path) -> bool:
    return (folder / SWEEP).is_file()


@dataclass
class Run:
    """A run, or one fold of it. damaged: the names of files that are there and cannot be read."""

    path: Path
    top: Path
    """The folder with config.yaml and env.json: the run's own, or around a fold's."""
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Run:
        alone = (folder / "config.yaml").is_file() or not (folder.parent / "config.yaml").is_file()
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
    def summary(self) -> dict[str, Any]:
        return self._object(self.path / "summary.json")

    @cached_property
    def status(self) -> dict[str, Any]:
        return self._object(self.path / "status.json")

    @cached_property
    def env(self) -> dict[str, Any]:
        return self._object(self.top / "env.json")

    @cached_property
    def sheet(self) -> dict[str, Any]:
        """See `data_sheet`; {} where an earlier version trained."""
        return self._object(self.top / "data.json")

    @cached_property
    def config(self) -> dict[str, Any]:
        return self._read(self.top / "config.yaml", _config) or {}

    @cached_property
    def config_text(self) -> str:
        return self._read(self.top / "config.yaml", lambda path: path.read_text(encoding="utf-8")) or ""

    @cached_property
    def words(self) -> list[str]:
        """What was said on the command line beside the verb."""
        found = self._read(self.top / ".hydra" / "overrides.yaml", _words)
        if found is None:
            command = self.env.get("command") or []
            found = [word for word in command[1:] if "=" in word and not word.startswith("hydra.")]
        return found

    @cached_property
    def history(self) -> list[dict[str, float]]:
        return self._read(self.path / "metrics.csv", _history) or []

    @cached_property
    def folds(self) -> list[Run]:
        """In the order in which they ran; none for a run of one fold."""
        if (self.path / "metrics.csv").is_file():
            return []
        inner = (path.parent for path in self.path.glob("*/split.json") if path.parent.name != ALL)
        return [Run(path, self.top, self.damaged) for path in sorted(inner, key=_natural)]

    @cached_property
    def split(self) -> Fold | None:
        return self._read(self.path / "split.json", _fold)

    @cached_property
    def said(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Probabilities (N, L, K) and labels (N, L) of the validation part; of all folds, in order."""
        if not self.folds:
            return self._read(self.path / "val_predictions.csv", _predictions)
        parts = [fold.said for fold in self.folds if fold.said is not None]
        if not parts:
            return None
        return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])

    @cached_property
    def judged(self) -> Judged | None:
        return None if self.said is None else judged(self.said[1], self.said[0])

    @cached_property
    def mistakes(self) -> list[tuple[dict[str, Any], Image.Image]]:
        """The surest first, of all folds."""
        if self.folds:
            every = [one for fold in self.folds for one in fold.mistakes]
            return sorted(every, key=lambda one: -one[0]["confidence"])
        file = self.path / "plots" / "mistakes.json"
        return self._read(file, lambda path: kept_mistakes(path.parent)) or []

    @cached_property
    def film(self) -> Image.Image | None:
        """What was read in the watched pictures after each epoch (see `draw_film`); of the first fold."""
        if self.folds:
            return self.folds[0].film
        return self._read(self.path / "plots" / "watch.png", _picture)

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """What `svhn eval` found since, one for each part and fold."""
        found = sorted(self.path.glob("eval/*/results.json"))
        own = [{"fold": "", **one} for one in map(self._object, found) if one]
        return own + [{**one, "fold": fold.path.name} for fold in self.folds for one in fold.evaluations]


def jobs(sweep: Path) -> list[dict[str, Any]]:
    """Rows of a sweep's table, best first: as it was written at its end, or of what its folders hold now.

    A folder that was moved since is found where it is. Values are texts, "" where there is none.
    """
    rows: list[dict[str, Any]] = []
    try:
        with (sweep / "summary.csv").open(newline="", encoding="utf-8") as file:
            rows = [dict(row) for row in csv.DictReader(file)]
    except UNREADABLE:
        rows = []
    for row in rows:
        row["path"] = sweep / Path(row.get("run_dir") or "").name
    return rows or sorted(_folders(sweep), key=_place)


def _place(row: dict[str, Any]) -> tuple[bool, float]:
    """By which jobs that are done come first, the best of them at the head."""
    if row["status"] != "done" or not row["score"]:
        return True, float(row["job"])
    return False, rank(row["metric"], float(row["score"]))


def swept_keys(rows: list[dict[str, Any]]) -> list[str]:
    """The keys in which the jobs of a sweep differ."""
    names = list(rows[0]) if rows else []
    return names[names.index("status") + 1 : names.index("metric")] if rows else []


def _folders(sweep: Path) -> Iterator[dict[str, Any]]:
    """A row for every job that began in a sweep without a table of its own."""
    for number, path in enumerate(sorted((one for one in sweep.iterdir() if one.is_dir()), key=_natural), 1):
        if path.name.startswith("."):
            continue
        summary = Run.of(path).summary
        score = summary.get("score") or {}
        yield {
            "job": str(number),
            "status": summary.get("status", "unfinished"),
            "folder": path.name,
            "metric": score.get("metric", ""),
            "score": str(score.get("value", "")),
            "reason": summary.get("reason", ""),
            "path": path,
        }


# ----------------------------------------------------------------------------- one file


def _config(path: Path) -> dict[str, Any]:
    found = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    if not isinstance(found, dict):
        raise ValueError(f"'{path}' holds no keys")
    return {str(key): value for key, value in found.items()}


def _words(path: Path) -> list[str]:
    return [str(word) for word in OmegaConf.to_container(OmegaConf.load(path), resolve=False) or ()]


def _history(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _fold(path: Path) -> Fold:
    kept = read_json(path)
    train, val = (np.array(kept[name], np.int64) for name in ("train", "val"))
    return Fold(kept["name"], train, val, kept["val_part"])


def _predictions(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open(newline="", encoding="utf-8") as file:
        last = next(csv.reader(file))[-1]
    match = re.fullmatch(r"p(?:(\d)_)?(\d+)", last)
    if match is None:
        raise CheckpointError(f"'{path}' ends with the column '{last}'")
    return read_predictions(path, int(match[1] or 0) + 1, int(match[2]) + 1)


def _picture(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


def _natural(path: Path) -> list[tuple[int, str]]:
    """fold2 before fold10."""
    return [(int(digits or 0), text) for digits, text in re.findall(r"(\d*)(\D*)", path.name)]
