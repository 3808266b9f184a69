"""Numbers as people read them: one format for each, on the terminal, in reports and in model cards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: Any) -> Any:
    """Text without what a terminal obeys: control characters, and those that turn the direction of writing,
    are shown as in Python's strings. Line ends and tabs stay; other values, too."""
    if not isinstance(text, str):
        return text
    return _CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def percent(value: float, digits: int = 2) -> str:
    """Such as `95.61%`."""
    return f"{100 * value:.{digits}f}%"


def bounds(low: float, high: float, digits: int = 2) -> str:
    """An interval of shares, such as `[92.90%, 93.80%]`."""
    return f"[{percent(low, digits)}, {percent(high, digits)}]"


def duration(seconds: float) -> str:
    """Such as `1 h 5 min`, `3 min 20 s` or `4.2 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def counted(count: int, noun: str) -> str:
    """Such as `1 file` or `1,200 files`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def some(words: Sequence[str], shown: int = 6) -> str:
    """Such as `a, b and 3 others`."""
    rest = len(words) - shown
    first = ", ".join(words[:shown])
    return f"{first} and {rest:,} other{'s' * (rest > 1)}" if rest > 0 else first


def count_range(counts: Sequence[int]) -> str:
    """Such as `1,000` where all are equal, else `990 to 1,010`."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def ordinal(number: int) -> str:
    """Such as `1st`, `12th` or `23rd`."""
    teens = 10 < number % 100 < 14
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
