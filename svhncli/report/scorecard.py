"""The report of one evaluation: scores as JSON, predictions as CSV, and three figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svhncli.core.files import write_json, write_text
from svhncli.core.labels import BLANK
from svhncli.core.plain import inlined, optional, to_plain
from svhncli.core.sums import SUMS
from svhncli.data.digits import Digits
from svhncli.report.figures.diagrams import draw_confusion, draw_reliability
from svhncli.runs.mistakes import draw_mistakes
from svhncli.runs.predictions import write_predictions
from svhncli.stats.class_report import class_report
from svhncli.stats.coverage import CoverageScore, Fitted, as_written, coverage_score
from svhncli.stats.detection import Detections, DetectionScore, detection_score
from svhncli.stats.score import Score
from svhncli.stats.scores import Calibration, ClassScore, calibrate, confidence


@dataclass(frozen=True)
class Evaluated:
    """Which network was evaluated on which data, and how it scored: the head of results.json.

    tta: views of each image whose probabilities were averaged.
    """

    checkpoint: str
    data: str
    fingerprint: str
    part: str
    tta: int
    score: Score = inlined()


@dataclass(frozen=True)
class Scorecard:
    """The contents of a report besides the score.

    confusion: K rows of K counts, a row for each true class. mistakes: how many images were misclassified.
    report: the folder. files: name -> path; mistakes.png is None where there were no mistakes. detection: of
    a network that finds boxes, on data with boxes.
    """

    classes: list[ClassScore]
    confusion: list[list[int]]
    calibration: Calibration
    coverage: CoverageScore
    mistakes: int
    report: str
    files: dict[str, str | None]
    detection: DetectionScore | None = optional()


def write_report(
    folder: Path,
    evaluated: Evaluated,
    digits: Digits,
    indices: np.ndarray,
    probabilities: np.ndarray,
    fitted: Fitted,
    percent: bool = False,
    found: Detections | None = None,
) -> Scorecard:
    """Write results.json, predictions.csv, confusion.png, reliability.png and, of mistakes, mistakes.png.

    Each file is whole or not there, and results.json comes last. Files of an earlier report are replaced.

    probabilities: float32 (N, L, K) of `digits[indices]`. percent: whether confusion.png shows percent of
    each label instead of counts. found: where in `digits[indices]` digits are and were found, in pixels of
    the images; None: the network knows of no boxes.

    Raises:
        DiskError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SUMS, "")  # what an earlier report recorded is replaced with its files
    report = class_report(digits.labels[indices], probabilities)
    calibration = calibrate(report.bins, probabilities, report.right, fitted.temperature)
    coverage = coverage_score(as_written(confidence(probabilities)), report.right, fitted.threshold)
    files = {name: folder / name for name in ("predictions.csv", "confusion.png", "reliability.png")}
    write_predictions(files["predictions.csv"], digits, indices, probabilities)
    draw_confusion(files["confusion.png"], report.matrix, blank=BLANK, percent=percent)
    draw_reliability(files["reliability.png"], calibration)
    shown = draw_mistakes(folder / "mistakes.png", digits, indices, probabilities, found)
    written = {name: str(path) for name, path in files.items()}
    scorecard = Scorecard(
        report.classes,
        report.matrix.tolist(),
        calibration,
        coverage,
        report.wrong,
        str(folder),
        {**written, "mistakes.png": str(folder / "mistakes.png") if shown else None},
        None if found is None else detection_score(found),
    )
    write_json(folder / "results.json", to_plain(evaluated) | to_plain(scorecard))
    return scorecard
