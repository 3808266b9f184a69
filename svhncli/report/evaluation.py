"""The report of one evaluation: scores as JSON, what was read as CSV, and three pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.data.digits import BLANK, Digits
from svhncli.files import write_json
from svhncli.predictions import as_text, write_predictions
from svhncli.report.diagrams import draw_confusion, draw_reliability
from svhncli.report.sheet import draw_captioned
from svhncli.scores import (
    by_class,
    calibration_error,
    confidence,
    confusion,
    is_right,
    reliability,
    reshaped,
)
from svhncli.stats import wilson

WORST = 64
"""Mistakes that are shown: the surest ones."""
TALL = 128
"""Pixels of height up to which a shown picture is enlarged."""


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
    labels, read = digits.labels[indices], probabilities.argmax(-1)
    right = is_right(read, labels, BLANK)
    matrix = confusion(read, labels, probabilities.shape[-1])
    bins = reliability(confidence(probabilities), right)
    bins_after = None
    if fit["temperature"] is not None:
        bins_after = reliability(confidence(reshaped(probabilities, fit["temperature"])), right)
    calibration = {
        "ece": calibration_error(bins),
        **fit,
        "ece_after": calibration_error(bins_after) if bins_after else None,
        "bins": bins,
        "bins_after": bins_after,
    }

    files = {name: folder / name for name in ("predictions.csv", "confusion.png", "reliability.png")}
    write_predictions(files["predictions.csv"], digits, indices, probabilities)
    draw_confusion(files["confusion.png"], matrix, blank=BLANK)
    draw_reliability(files["reliability.png"], calibration)
    shown = _draw_mistakes(folder / "mistakes.png", digits, indices, probabilities, right)
    written = {name: str(path) for name, path in files.items()}
    report = {
        "classes": _classes(matrix),
        "confusion": matrix.tolist(),
        "calibration": calibration,
        "mistakes": int((~right).sum()),
        "report": str(folder),
        "files": {**written, "mistakes.png": str(folder / "mistakes.png") if shown else None},
    }
    write_json(folder / "results.json", {**facts, **report})
    return report


def _classes(matrix: np.ndarray) -> list[dict[str, Any]]:
    def interval(hits: int, n: int) -> dict[str, Any] | None:
        return asdict(wilson(hits, n)) if n else None

    return [
        {
            **scores,
            "precision_interval": interval(hits, scores["read"]),
            "recall_interval": interval(hits, scores["support"]),
        }
        for scores, hits in zip(by_class(matrix), matrix.diagonal().tolist(), strict=True)
    ]


def _draw_mistakes(
    path: Path, digits: Digits, indices: np.ndarray, probabilities: np.ndarray, right: np.ndarray
) -> bool:
    """Draw the wrong readings that were surest, the surest first; no file where nothing is wrong."""
    sure, wrong = confidence(probabilities), np.flatnonzero(~right)
    if not len(wrong):
        path.unlink(missing_ok=True)
        return False
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:WORST]
    read = probabilities[worst].argmax(-1)
    below = [
        f"{as_text(digits.labels[index]) or '-'} > {as_text(classes) or '-'}, {share:.1%}"
        for index, classes, share in zip(indices[worst], read, sure[worst], strict=True)
    ]
    caption = f"the surest mistakes, {len(worst)} of {len(wrong):,}: true > read, confidence"
    zoom = max(1, TALL // digits.shape[1])
    draw_captioned(path, caption, digits.images[indices[worst]], below, zoom, columns=8)
    return True
