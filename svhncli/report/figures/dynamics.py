"""How the predictions for a fixed batch of images change from epoch to epoch (Karpathy 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from svhncli.core.files import write_atomic
from svhncli.core.labels import decode
from svhncli.runs.results import Movement

LATE = 4
"""The last quarter of a run is evaluated: early on, every prediction changes."""

_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion, which color-blind people can tell apart."""
_ROW, _GAP, _LINE = 32, 2, 12
_FRAMES = 30
"""The most epochs that are drawn; in longer runs they are spread evenly."""


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


def draw_film(path: Path, images: np.ndarray, labels: Sequence[str], watched: np.ndarray) -> None:
    """Write a PNG with one row per image: the image, its label, and the prediction after each epoch.

    A cell is blue if the prediction is correct and red if it is wrong, stronger for higher confidence.

    images: uint8 (N, C, H, W), C = 1 or 3. labels: N texts. watched: as for `jumps`.
    """
    epochs = np.unique(np.linspace(0, len(watched) - 1, min(_FRAMES, len(watched))).round().astype(int))
    cell = 8 + 7 * watched.shape[2]
    height, width = images.shape[2:]
    across = round(width * _ROW / height)
    left = across + cell + 2 * _GAP
    film = Image.new(
        "RGB", (left + len(epochs) * (cell + _GAP), _LINE + len(images) * (_ROW + _GAP)), "white"
    )
    draw = ImageDraw.Draw(film)
    for column, epoch in enumerate(epochs):
        draw.text((left + column * (cell + _GAP) + 2, 0), str(epoch + 1), fill="black")
    for row, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        top = _LINE + row * (_ROW + _GAP)
        image = Image.fromarray(pixels.transpose(1, 2, 0).repeat(3 // pixels.shape[0], axis=2))
        film.paste(image.resize((across, _ROW)), (0, top))
        draw.text((across + _GAP + 2, top + _ROW // 3), label, fill="black")
        for column, epoch in enumerate(epochs):
            prediction = decode(watched[epoch, row])
            color = np.array(_RIGHT if prediction.text == label else _WRONG)
            shade = tuple((255 - prediction.confidence * (255 - color)).astype(int).tolist())
            x = left + column * (cell + _GAP)
            draw.rectangle((x, top, x + cell - 1, top + _ROW - 1), fill=shade)
            ink = "white" if prediction.confidence > 0.5 else "black"
            draw.text((x + 4, top + _ROW // 3), prediction.text or "-", fill=ink)
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, lambda file: film.save(file, "png"))
