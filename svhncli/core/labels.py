"""What the classes of a network mean: ten digits, and the blank that pads a short number."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CLASSES = 10
BLANK = 10
"""The class that pads a number which is shorter than the longest one."""


def as_text(classes: np.ndarray) -> str:
    """Classes of the positions (L,) as the number that they spell; blanks are left out."""
    return "".join(str(k) for k in classes.tolist() if k != BLANK)


@dataclass(frozen=True)
class Reading:
    """text: the digits, leading zeros kept; empty where every position is blank.
    confidence: the product over all positions, blanks too, of their class's probability.
    digits: the probability of each digit of the text.
    """

    text: str
    confidence: float
    digits: tuple[float, ...]


def read(probabilities: np.ndarray, demand_digit: bool = False) -> Reading:
    """The most likely class of every position of one picture, float (L, K); K = 11 with the blank.

    demand_digit: take the most likely reading that has a digit. Where every position is most likely blank,
        one of them becomes a digit, since every further one would lower the product: the one whose digit is
        likeliest beside its blank.
    """
    classes = probabilities.argmax(-1)
    if demand_digit and (classes == BLANK).all():
        digits = probabilities[:, :BLANK]
        position = (digits.max(-1) / probabilities[:, BLANK]).argmax()
        classes[position] = digits[position].argmax()
    chosen = np.take_along_axis(probabilities, classes[:, None], -1)[:, 0].tolist()
    pairs = [(k, p) for k, p in zip(classes.tolist(), chosen, strict=True) if k != BLANK]
    return Reading("".join(str(k) for k, _ in pairs), math.prod(chosen), tuple(p for _, p in pairs))
