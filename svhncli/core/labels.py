"""The classes of a network: ten digits, and the blank that pads a short number."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CLASSES = 10
BLANK = 10
"""The class that pads a number shorter than the longest one."""


def as_text(classes: np.ndarray) -> str:
    """Classes of the positions (L,) as the number that they spell, without blanks."""
    return "".join(str(k) for k in classes.tolist() if k != BLANK)


def quoted(number: str) -> str:
    """A number in a sentence: “42”, or no number."""
    return f"“{number}”" if number else "no number"


@dataclass(frozen=True)
class DecodedNumber:
    """The predicted number of an image.

    text: its digits, leading zeros kept; empty if every position is blank.
    confidence: the product of the probabilities of the predicted classes at all positions, blanks included.
    digits: the probability of each digit of the text.
    """

    text: str
    confidence: float
    digits: tuple[float, ...]


def decode(probabilities: np.ndarray, demand_digit: bool = False) -> DecodedNumber:
    """The most likely class at every position of one image, from float (L, K); K is 11 with the blank.

    demand_digit: predict the most likely number with at least one digit. If every position is most likely
        blank, exactly one of them becomes a digit, since more would lower the product: the one whose most
        likely digit is most probable relative to its blank.
    """
    classes = probabilities.argmax(-1)
    if demand_digit and (classes == BLANK).all():
        digits = probabilities[:, :BLANK]
        position = (digits.max(-1) / probabilities[:, BLANK]).argmax()
        classes[position] = digits[position].argmax()
    chosen = np.take_along_axis(probabilities, classes[:, None], -1)[:, 0].tolist()
    pairs = [(k, p) for k, p in zip(classes.tolist(), chosen, strict=True) if k != BLANK]
    return DecodedNumber("".join(str(k) for k, _ in pairs), math.prod(chosen), tuple(p for _, p in pairs))
