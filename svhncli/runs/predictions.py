"""The predictions for each image of a part, as a CSV: written, read back, collected over folds."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svhncli.core import cells
from svhncli.core.errors import CheckpointError
from svhncli.core.files import open_csv, write_csv
from svhncli.core.labels import BLANK, as_text
from svhncli.data.digits import Digits
from svhncli.runs.run_dir import RunDir
from svhncli.stats.scores import confidence

COLLECTED = "oof_predictions.csv"
"""The predictions of a run's folds for the images that each validated on."""

ROUNDING = 1e-3
"""How far the sum of an image's probabilities, which are written with 6 digits, may be from 1."""


def write_predictions(path: Path, digits: Digits, indices: np.ndarray, probabilities: np.ndarray) -> None:
    """One row per image: its index in its part, its group, label, prediction, confidence, and every
    probability.

    probabilities: float32 (N, L, K) of `digits[indices]`. A number is written as its digits.
    """
    predicted, sure = probabilities.argmax(-1), confidence(probabilities)
    columns = _columns(*probabilities.shape[1:])
    rows = (
        {
            "index": int(index),
            "name": digits.names[int(index)],
            "group": int(digits.groups[index]),
            "label": as_text(digits.labels[index]),
            "prediction": as_text(predicted[i]),
            "confidence": f"{sure[i]:.6g}",
            **{name: f"{p:.6g}" for name, p in zip(columns, probabilities[i].ravel().tolist(), strict=True)},
        }
        for i, index in enumerate(indices)
    )
    write_csv(path, ["index", "name", "group", "label", "prediction", "confidence", *columns], rows)


def read_predictions(path: Path, positions: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 (N, positions, classes) and labels int64 (N, positions) of such a file.

    Raises:
        CheckpointError: it is not what `write_predictions` writes, naming the line.
    """
    hint = "remove it to continue without a temperature and a threshold"
    _, made, labels = read_probabilities(path, positions, classes, hint)
    return made, labels


def read_collected(run: RunDir, positions: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The predictions of a run's folds for the images that they did not train on.

    Returns:
        Each image's index in the training part, int64 (N,), sorted, each once; probabilities float32 (N,
        positions, classes), the mean over the folds or replicates that did not train on it; labels int64 (N,
        positions).

    Raises:
        CheckpointError: the file is missing or is not what `collect_predictions` writes.
    """
    hint = f"svhn train --resume {run.path} writes it again"
    return read_averaged([run.path / COLLECTED], positions, classes, hint)


def read_averaged(
    paths: Sequence[Path], positions: int, classes: int, hint: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `read_collected`, from files of predictions for the same part.

    Raises:
        CheckpointError: one is not what `write_predictions` writes, naming the line, with `hint`.
    """
    files = [read_probabilities(path, positions, classes, hint) for path in paths]
    indices, made, labels = map(np.concatenate, zip(*files, strict=True))
    index, first, place = np.unique(indices, return_index=True, return_inverse=True)
    sums = np.zeros((len(index), *made.shape[1:]))
    np.add.at(sums, place, made)
    return index, (sums / np.bincount(place)[:, None, None]).astype(np.float32), labels[first]


def read_probabilities(
    path: Path, positions: int, classes: int, hint: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices int64 (N,), probabilities float32 (N, positions, classes) and labels int64 (N, positions).

    Raises:
        CheckpointError: it is not what `write_predictions` writes, naming the line, with `hint`.
    """
    columns = _columns(positions, classes)
    indices: list[int] = []
    values: list[list[float]] = []
    labels: list[list[int]] = []
    where = ""
    try:
        reader = csv.DictReader(open_csv(path), strict=True)
        if missing := [
            name for name in ("label", "index", *columns) if name not in (reader.fieldnames or ())
        ]:
            raise ValueError(f"it has no column '{missing[0]}'")
        for row in reader:
            where = f"line {reader.line_num}: "
            indices.append(int(row["index"]))
            labels.append(_classes(row["label"], positions, classes))
            values.append(_distribution([row[name] for name in columns], positions))
        if not values:
            raise ValueError("it has no rows")
    except (OSError, ValueError, csv.Error) as error:
        raise CheckpointError(f"'{path}' cannot be used: {where}{error}", hint) from error
    made = np.array(values, np.float32).reshape(-1, positions, classes)
    return np.array(indices, np.int64), made, np.array(labels, np.int64)


@dataclass(frozen=True)
class PredictionRows:
    """The rows of a predictions file: an image validated by several folds has several rows.

    index, group: int64 (N,); label, prediction: (N,) of text; fold: (N,) of text, "" in a file of one fold;
    name: (N,) of text, the image's, "" in a file without names.
    """

    index: np.ndarray
    group: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    fold: np.ndarray
    name: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """bool (N,)"""
        return self.label == self.prediction

    def by_image(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each image's index (M,), ascending, the share of its rows that are correct, and its group."""
        index, first, place, times = np.unique(
            self.index, return_index=True, return_inverse=True, return_counts=True
        )
        return index, np.bincount(place, self.correct) / times, self.group[first]


def read_rows(path: Path) -> PredictionRows:
    """A predictions file without its probabilities; without groups, each image is a group of its own.

    Raises:
        CheckpointError: it is missing, or not what `write_predictions` or `collect_predictions` writes.
    """
    try:
        rows = cells.rows(open_csv(path))
        place = {name: i for i, name in enumerate(next(rows, []))}
        names = ("index", "label", "prediction", "group" if "group" in place else "index")
        picked = [place[name] for name in names]
        absent = len(place)  # of a column that is not there: ""
        fold, named = place.get("fold", absent), place.get("name", absent)
        parsed = [
            (
                *(int(row[picked[0]]), row[picked[1]], row[picked[2]], int(row[picked[3]])),
                *([*row, ""][fold], [*row, ""][named]),
            )
            for row in rows
        ]
        if not parsed:
            raise ValueError("it has no rows")
    except (OSError, ValueError, KeyError, IndexError, csv.Error) as error:
        raise CheckpointError(
            f"'{path}' cannot be used: {error}", "name a run whose files are complete"
        ) from error
    index, label, prediction, group, *texts = (np.array(column) for column in zip(*parsed, strict=True))
    return PredictionRows(index, group, label, prediction, *texts)


def collect_predictions(run: RunDir, names: list[str]) -> None:
    """Put the folds' out-of-fold predictions into one file, with a column for the fold."""

    def rows() -> Iterator[dict[str, str]]:
        for name in names:
            columns, *lines = cells.rows(open_csv(run.path / name / "val_predictions.csv"))
            yield from ({"fold": name, **dict(zip(columns, row, strict=True))} for row in lines)

    columns = next(cells.rows(open_csv(run.path / names[0] / "val_predictions.csv")))
    write_csv(run.path / COLLECTED, ["fold", *columns], rows())


def _columns(positions: int, classes: int) -> list[str]:
    return [f"p{k}" if positions == 1 else f"p{i}_{k}" for i in range(positions) for k in range(classes)]


def _classes(text: str | None, positions: int, classes: int) -> list[int]:
    """The inverse of `as_text`; labels are padded with blanks only if there is a class for blanks."""
    shortest = positions if classes <= BLANK else 0
    if text is None or not (shortest <= len(text) <= positions and all(c in "0123456789" for c in text)):
        raise ValueError(f"the label '{text or ''}' is not a number of at most {positions} digits")
    return [*map(int, text), *[BLANK] * (positions - len(text))]


def _distribution(texts: list[str | None], positions: int) -> list[float]:
    try:
        values = [float(text or "") for text in texts]
    except ValueError:
        raise ValueError("a probability is not a number") from None
    classes = len(values) // positions
    for start in range(0, len(values), classes):
        row = values[start : start + classes]
        if not (min(row) >= 0 and abs(sum(row) - 1) < ROUNDING):  # a NaN is refused, too
            raise ValueError(f"its probabilities add up to {sum(row):g}, not to 1")
    return values
