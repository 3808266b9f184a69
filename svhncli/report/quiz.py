"""Pictures that a person reads: which ones, how they look on a terminal, and how well they were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from svhncli.core.rng import numpy_generator
from svhncli.stats.intervals import wilson

UPPER_HALF = "▀"


@dataclass(frozen=True)
class Question:
    """A picture uint8 (C, H, W) of the validation part, its place there, its name, and what it shows."""

    index: int
    name: str
    label: str
    picture: np.ndarray


@dataclass(frozen=True)
class Answer:
    """What was read in a picture, and the seconds that it took."""

    index: int
    name: str
    label: str
    answer: str
    seconds: float


def draw(count: int, n: int, seed: int) -> list[int]:
    """n of `count` places, in the order in which they are asked for."""
    return numpy_generator(seed, "quiz").permutation(count)[:n].tolist()


def score(answers: Sequence[Answer]) -> dict[str, Any]:
    """How well pictures were read.

    Returns:
        {"n", "accuracy", "interval" (95%, Wilson), "median_seconds" (of a picture), "answers"}.

    Raises:
        ValueError: there are no answers.
    """
    right = sum(one.answer == one.label for one in answers)
    return {
        "n": len(answers),
        "accuracy": right / len(answers) if answers else 0.0,
        "interval": asdict(wilson(right, len(answers))),
        "median_seconds": median(one.seconds for one in answers),
        "answers": [asdict(one) for one in answers],
    }


def half_blocks(picture: np.ndarray, columns: int, rows: int) -> str:
    """A picture as coloured text: two pixels, one above the other, in a character.

    picture: uint8 (C, H, W), C = 1 or 3; it is enlarged or reduced, its sides alike, to fit into `columns`
        characters and `rows` lines. Colours are written as ANSI's 24-bit ones, which every terminal of today
        shows, over ssh, too.
    """
    height, width = picture.shape[1:]
    factor = min(columns / width, 2 * rows / height)
    across, down = max(1, int(width * factor)), max(2, int(height * factor) // 2 * 2)
    image = Image.fromarray(picture.transpose(1, 2, 0).repeat(3 // picture.shape[0], axis=2))
    pixels = np.asarray(image.resize((across, down), Image.Resampling.BICUBIC)).tolist()
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\x1b[38;2;{a};{b};{c};48;2;{d};{e};{f}m{UPPER_HALF}"
            for (a, b, c), (d, e, f) in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)
