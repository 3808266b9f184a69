"""How the predictions for a fixed batch of images change from epoch to epoch (Karpathy 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from svhncli.core.files import write_atomic
from svhncli.core.labels import decode
from svhncli.runs.contact_sheet import FAST, RIGHT, WRONG
from svhncli.runs.results import Movement

LATE = 4
"""The last quarter of a run is evaluated: early on, every prediction changes."""

ROW, GAP, EDGE, _LINE = 32, 2, 4, 16
HEAD = EDGE + 3 * _LINE
"""Pixels above the first row: the title, the legend and the numbers of the epochs."""
_FRAMES = 30
"""The most epochs that are drawn; in longer runs they are spread evenly."""
_SCALE = 40
"""Pixels of a color scale in the legend."""
_LEGEND = ((True, "correct"), (False, "wrong, at a confidence of 0 to 100%"))
_HEADING, _FONT = ImageFont.load_default(12), ImageFont.load_default(10)


@dataclass(frozen=True)
class Theme:
    """The colors of the background and of text on it."""

    paper: tuple[int, int, int]
    ink: tuple[int, int, int]


LIGHT, DARK = Theme((255, 255, 255), (26, 29, 33)), Theme((20, 23, 27), (231, 234, 238))
"""Those of the report's style sheet."""


def jumps(watched: np.ndarray) -> Movement | None:
    """How much predictions still change in the last quarter of a run, from one epoch to the next.

    watched: float (epochs, N, L, K), the probabilities of N images after each epoch.

    Returns:
        None before the second epoch.
    """
    count = len(watched) - 1
    if count < 1:
        return None
    late = -(-count // LATE)
    kept = watched[-late - 1 :]
    classes = kept.argmax(-1)
    return Movement(
        pictures=watched.shape[1],
        epochs=late,
        changed=float((classes[1:] != classes[:-1]).any(-1).mean()),
        moved=float(np.abs(kept[1:] - kept[:-1]).sum(-1).mean() / 2),
    )


def draw_film(
    path: Path, images: np.ndarray, labels: Sequence[str], watched: np.ndarray, theme: Theme = LIGHT
) -> None:
    """Write a PNG with one row per image: the image, its label, and the prediction after each epoch.

    A cell is blue if the prediction is correct and red if it is wrong, stronger for higher confidence; a
    title and a legend say so.

    images: uint8 (N, C, H, W), C = 1 or 3. labels: N texts. watched: as for `jumps`.
    """
    epochs = np.unique(np.linspace(0, len(watched) - 1, min(_FRAMES, len(watched))).round().astype(int))
    cell = 8 + 7 * watched.shape[2]
    height, width = images.shape[2:]
    across = round(width * ROW / height)
    left = EDGE + across + cell + 2 * GAP
    title = f"Predictions for {len(images)} watched validation images after each epoch"
    lengths = [_HEADING.getlength(title), sum(_scale_width(meaning) for _, meaning in _LEGEND)]
    right = max(left + len(epochs) * (cell + GAP), EDGE + round(max(lengths)))
    film = Image.new("RGB", (right + EDGE, HEAD + len(images) * (ROW + GAP) + EDGE), theme.paper)
    draw = ImageDraw.Draw(film)
    draw.text((EDGE, EDGE), title, theme.ink, _HEADING)
    _draw_legend(draw, EDGE + _LINE, theme)
    draw.text((EDGE, HEAD - _LINE), "epoch", theme.ink, _FONT)
    for column, epoch in enumerate(epochs):
        draw.text((left + column * (cell + GAP) + 2, HEAD - _LINE), str(epoch + 1), theme.ink, _FONT)
    for row, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        top = HEAD + row * (ROW + GAP)
        image = Image.fromarray(pixels.transpose(1, 2, 0).repeat(3 // pixels.shape[0], axis=2))
        film.paste(image.resize((across, ROW)), (EDGE, top))
        draw.text((EDGE + across + GAP + 2, top + ROW // 3), label or "-", theme.ink, _FONT)
        for column, epoch in enumerate(epochs):
            prediction = decode(watched[epoch, row])
            shade = _shade(prediction.text == label, prediction.confidence, theme)
            x = left + column * (cell + GAP)
            draw.rectangle((x, top, x + cell - 1, top + ROW - 1), shade)
            ink = "white" if prediction.confidence > 0.5 else theme.ink
            draw.text((x + 4, top + ROW // 3), prediction.text or "-", ink, _FONT)
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, lambda file: film.save(file, "png", compress_level=FAST))


def _shade(right: bool, confidence: float, theme: Theme) -> tuple[int, ...]:
    """The color of a cell: that of the paper at a confidence of 0, the full color at 1."""
    paper, color = np.array(theme.paper), np.array(RIGHT if right else WRONG)
    return tuple((paper + confidence * (color - paper)).astype(int).tolist())


def _draw_legend(draw: ImageDraw.ImageDraw, top: int, theme: Theme) -> None:
    """Two color scales of the confidence, of correct and of wrong predictions."""
    x = EDGE
    for right, meaning in _LEGEND:
        for step in range(_SCALE):
            shade = _shade(right, step / (_SCALE - 1), theme)
            draw.line((x + step, top + 1, x + step, top + _LINE - 5), shade)
        draw.text((x + _SCALE + 4, top), meaning, theme.ink, _HEADING)
        x += _scale_width(meaning)


def _scale_width(meaning: str) -> int:
    """Pixels of a color scale of the legend with its text and the space to the next one."""
    return _SCALE + 16 + round(_HEADING.getlength(meaning))
