"""The surest mistakes: as a sheet, as a list of what was read, and as single pictures again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from svhncli.core.files import read_json, write_json
from svhncli.core.labels import BLANK, as_text
from svhncli.data.digits import Digits
from svhncli.runs.contact_sheet import cells, draw_captioned
from svhncli.stats.scores import confidence, is_right

WORST = 64
"""Mistakes that are shown: the surest ones."""
TALL = 128
"""Pixels of height up to which a shown picture is enlarged."""
COLUMNS = 8


def draw_mistakes(
    path: Path, digits: Digits, indices: np.ndarray, probabilities: np.ndarray
) -> list[dict[str, Any]]:
    """Draw the wrong readings that were surest, the surest first; no file where nothing is wrong.

    probabilities: float32 (N, L, K) of `digits[indices]`.

    Returns:
        What is shown, in its order: {"index", "name", "label", "prediction", "confidence"}.
    """
    right = is_right(probabilities.argmax(-1), digits.labels[indices], BLANK)
    sure, wrong = confidence(probabilities), np.flatnonzero(~right)
    if not len(wrong):
        path.unlink(missing_ok=True)
        return []
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:WORST]
    read = probabilities[worst].argmax(-1)
    shown = [
        {
            "index": int(index),
            "name": digits.names[int(index)],
            "label": as_text(digits.labels[index]),
            "prediction": as_text(classes),
            "confidence": float(share),
        }
        for index, classes, share in zip(indices[worst], read, sure[worst], strict=True)
    ]
    below = [f"{one['label'] or '-'} > {one['prediction'] or '-'}, {one['confidence']:.1%}" for one in shown]
    caption = f"the surest mistakes, {len(worst)} of {len(wrong):,}: true > read, confidence"
    draw_captioned(path, caption, digits.images[indices[worst]], below, _zoom(digits.shape[1]), COLUMNS)
    return shown


def keep_mistakes(folder: Path, digits: Digits, indices: np.ndarray, probabilities: np.ndarray) -> None:
    """Write mistakes.png and, so that its pictures can be told apart again, mistakes.json."""
    shown = draw_mistakes(folder / "mistakes.png", digits, indices, probabilities)
    write_json(folder / "mistakes.json", {"size": list(digits.shape[1:]), "mistakes": shown})


def kept_mistakes(folder: Path) -> list[tuple[dict[str, Any], Image.Image]]:
    """What `keep_mistakes` kept: each mistake with its picture.

    Raises:
        OSError, ValueError, KeyError, TypeError: the files are not there or not of its making.
    """
    kept = read_json(folder / "mistakes.json")
    height, width = kept["size"]
    if not kept["mistakes"]:
        return []
    count = len(kept["mistakes"])
    pictures = cells(folder / "mistakes.png", count, (height, width), _zoom(height), COLUMNS)
    return list(zip(kept["mistakes"], pictures, strict=True))


def _zoom(height: int) -> int:
    return max(1, TALL // height)
