"""The words by which names of arrays, files and folders say which part of a data set they are."""

from __future__ import annotations

import re

PART = re.compile(r"train|test|extra|valid(?:ation)?|val(?!ue)|dev", re.IGNORECASE)


def part_name(text: str) -> str:
    """train, test, extra or val by the last such word in a name; "" without any."""
    words = PART.findall(text)
    word = words[-1].lower() if words else ""
    return "val" if word[:3] in ("val", "dev") else word
