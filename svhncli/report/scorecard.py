"""The report of one evaluation: scores as JSON, what was read as CSV, and three pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.core.files import write_json
from svhncli.core.labels import BLANK
from svhncli.data.digits import Digits
from svhncli.report.figures.diagrams import draw_confusion, draw_reliability
from svhncli.runs.mistakes import draw_mistakes
from svhncli.runs.predictions import write_predictions
from svhncli.stats.judged import judged
from svhncli.stats.scores import calibration_error, confidence, reliability, reshaped


def write_report(
    folder: Path,
    facts: Mapping[str, Any],
    digits: Digits,
    indices: np.ndarray,
    probabilities: np.ndarray,
    fit: Mapping[str, Any],
) -> dict[str, Any]:
    """Write results.json, predictions.csv, confusion.png, reliability.png and, of mistakes, mistakes.png.

    Each file is whole or not there, and results.json comes last. What an earlier report left is replaced.

    Args:
        facts: what was evaluated and how it scored; results.json begins with them.
        probabilities: float32 (N, L, K) of `digits[indices]`.
        fit: {"temperature": fitted on other pictures, or None, ...}, which the calibration takes over.

    Returns:
        {"classes": a list, see `scores.by_class`, with 95% Wilson intervals of precision and recall;
        "confusion": K rows of K counts, a row a true class; "calibration": {"ece", **fit, "ece_after",
        "bins", "bins_after"}, the latter None where there is no temperature; "mistakes": how many; "report":
        the folder; "files": name -> path, mistakes.png None where there are none}.

    Raises:
        DiskError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = judged(digits.labels[indices], probabilities)
    bins_after = None
    if fit["temperature"] is not None:
        bins_after = reliability(confidence(reshaped(probabilities, fit["temperature"])), found.right)
    calibration = {
        "ece": calibration_error(found.bins),
        **fit,
        "ece_after": calibration_error(bins_after) if bins_after else None,
        "bins": found.bins,
        "bins_after": bins_after,
    }

    files = {name: folder / name for name in ("predictions.csv", "confusion.png", "reliability.png")}
    write_predictions(files["predictions.csv"], digits, indices, probabilities)
    draw_confusion(files["confusion.png"], found.matrix, blank=BLANK)
    draw_reliability(files["reliability.png"], calibration)
    shown = draw_mistakes(folder / "mistakes.png", digits, indices, probabilities)
    written = {name: str(path) for name, path in files.items()}
    report = {
        "classes": found.classes,
        "confusion": found.matrix.tolist(),
        "calibration": calibration,
        "mistakes": found.wrong,
        "report": str(folder),
        "files": {**written, "mistakes.png": str(folder / "mistakes.png") if shown else None},
    }
    write_json(folder / "results.json", {**facts, **report})
    return report
