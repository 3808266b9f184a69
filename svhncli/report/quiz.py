"""A quiz for a person: which images, how they look on a terminal, and how well they were recognized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from PIL import Image

from svhncli.core.plain import inlined, optional
from svhncli.core.rng import numpy_generator
from svhncli.stats.intervals import Interval, wilson

UPPER_HALF = "▀"


@dataclass(frozen=True)
class Question:
    """An image uint8 (C, H, W) of the validation part, its place there, its name, and its label."""

    index: int
    name: str
    label: str
    image: np.ndarray


@dataclass(frozen=True)
class Answer:
    """What a person answered, and the seconds that it took."""

    index: int
    name: str
    label: str
    answer: str
    seconds: float


def draw(count: int, n: int, seed: int) -> list[int]:
    """n of `count` places, in the order in which they are asked."""
    return numpy_generator(seed, "quiz").permutation(count)[:n].tolist()


@dataclass(frozen=True)
class QuizScore:
    """How many answers are correct, with a 95% Wilson interval; median_seconds: of an image."""

    n: int
    accuracy: float
    interval: Interval
    median_seconds: float
    answers: list[Answer]


@dataclass(frozen=True)
class QuizFacts:
    """Which images were asked. part: the one that the indices refer to. split: its digest."""

    data: str
    fingerprint: str
    part: str
    split: str
    seed: int


@dataclass(frozen=True)
class QuizResult:
    """A quiz that was answered."""

    score: QuizScore = inlined()
    facts: QuizFacts = inlined()
    out: str | None = optional()


def score(answers: Sequence[Answer]) -> QuizScore:
    """How well the images were recognized.

    Raises:
        ValueError: there are no answers.
    """
    right = sum(answer.answer == answer.label for answer in answers)
    interval = wilson(right, len(answers))
    seconds = median(answer.seconds for answer in answers)
    return QuizScore(len(answers), right / len(answers), interval, seconds, list(answers))


def half_blocks(image: np.ndarray, columns: int, rows: int) -> str:
    """An image as colored text: two pixels, one above the other, in each character.

    image: uint8 (C, H, W), C = 1 or 3; it is scaled, keeping its proportions, to fit into `columns`
    characters
        and `rows` lines. Colors are ANSI's 24-bit ones, which every current terminal shows, over ssh, too.
    """
    height, width = image.shape[1:]
    factor = min(columns / width, 2 * rows / height)
    across, down = max(1, int(width * factor)), max(2, int(height * factor) // 2 * 2)
    drawn = Image.fromarray(image.transpose(1, 2, 0).repeat(3 // image.shape[0], axis=2))
    pixels = np.asarray(drawn.resize((across, down), Image.Resampling.BICUBIC)).tolist()
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\x1b[38;2;{a};{b};{c};48;2;{d};{e};{f}m{UPPER_HALF}"
            for (a, b, c), (d, e, f) in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)
