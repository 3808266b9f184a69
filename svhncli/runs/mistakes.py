"""The misclassified images of highest confidence: as a sheet, as a list, and as single images again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from svhncli.core.files import read_json, write_json
from svhncli.core.labels import BLANK, as_text
from svhncli.core.plain import from_plain, to_plain
from svhncli.data.digits import Digits
from svhncli.runs.contact_sheet import RIGHT, WRONG, Block, Outlines, cells, draw_sheet
from svhncli.stats.detection import Detections
from svhncli.stats.scores import confidence, is_right

WORST = 64
"""How many mistakes are shown: those with the highest confidence."""
TALL = 128
"""Pixels of height up to which a shown image is enlarged."""
COLUMNS = 8


@dataclass(frozen=True)
class Mistake:
    """A misclassified image. label, prediction: as text, "" where there is no digit."""

    index: int
    name: str
    label: str
    prediction: str
    confidence: float


def draw_mistakes(
    path: Path,
    digits: Digits,
    indices: np.ndarray,
    probabilities: np.ndarray,
    found: Detections | None = None,
) -> list[Mistake]:
    """Draw the mistakes of highest confidence, the highest first; no file where every prediction is correct.

    probabilities: float32 (N, L, K) of `digits[indices]`. found: where in these digits are and were found, in
    pixels of the images; the boxes are drawn in.

    Returns:
        What is shown, in its order.
    """
    right = is_right(probabilities.argmax(-1), digits.labels[indices], BLANK)
    sure, wrong = confidence(probabilities), np.flatnonzero(~right)
    if not len(wrong):
        path.unlink(missing_ok=True)
        return []
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:WORST]
    predicted = probabilities[worst].argmax(-1)
    shown = [
        Mistake(
            int(index),
            digits.names[int(index)],
            as_text(digits.labels[index]),
            as_text(classes),
            float(share),
        )
        for index, classes, share in zip(indices[worst], predicted, sure[worst], strict=True)
    ]
    below = [f"{row.label or '-'} > {row.prediction or '-'}, {row.confidence:.1%}" for row in shown]
    caption = f"the most confident mistakes, {len(worst)} of {len(wrong):,}: label > prediction, confidence"
    outlines = []
    if found is not None:
        outlines.append(Outlines(found.boxes[worst], WRONG))
        caption += "; orange: predicted boxes"
        if found.true is not None:
            outlines.insert(0, Outlines(found.true[worst], RIGHT))
            caption += ", blue: true ones"
    block = Block(caption, digits.images[indices[worst]], below, outlines=outlines)
    draw_sheet(path, [block], _zoom(digits.shape[1]), COLUMNS)
    return shown


def keep_mistakes(folder: Path, digits: Digits, indices: np.ndarray, probabilities: np.ndarray) -> None:
    """Write mistakes.png and mistakes.json, which says which image is where."""
    shown = draw_mistakes(folder / "mistakes.png", digits, indices, probabilities)
    write_json(folder / "mistakes.json", {"size": list(digits.shape[1:]), "mistakes": to_plain(shown)})


def kept_mistakes(folder: Path) -> list[tuple[Mistake, Image.Image]]:
    """The mistakes that `keep_mistakes` saved, each with its image.

    Raises:
        OSError, ValueError, KeyError, TypeError: the files are missing or were not written by it.
    """
    kept = read_json(folder / "mistakes.json")
    height, width = kept["size"]
    mistakes = from_plain(list[Mistake], kept["mistakes"])
    if not mistakes:
        return []
    sheet = folder / "mistakes.png"
    images = cells(sheet, len(mistakes), (height, width), _zoom(height), COLUMNS)
    return list(zip(mistakes, images, strict=True))


def _zoom(height: int) -> int:
    return max(1, TALL // height)
