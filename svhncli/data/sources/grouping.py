"""Images that belong together: groups by their file names, and a test part of whole groups."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from svhncli.core.errors import DataError
from svhncli.data.photographs import PhotographFile
from svhncli.data.sources.labeled import Labeled
from svhncli.data.sources.photograph_files import PhotographPart

EXAMPLE = "such as data.group='(meter\\d+)_' for files like meter07_2.jpg"


def text_in(pattern: str, name: str) -> str:
    """The text that a pattern, or its first parentheses, finds in a file's name; "" where there is none."""
    match = re.search(pattern, name)
    return (match[min(1, match.re.groups)] or "") if match else ""


def grouped(labeled: Labeled, pattern: str | None) -> Labeled:
    """The images with groups by their file names; the same without a pattern."""
    if not pattern:
        return labeled
    parts = {name: _grouped(labeled, part, pattern) for name, part in labeled.parts.items()}
    return replace(labeled, parts=parts)


def _grouped(labeled: Labeled, part: PhotographPart, pattern: str) -> PhotographPart:
    def read() -> list[PhotographFile]:
        images = part.read()
        if any(image.group for image in images):
            raise DataError(
                f"the list in '{labeled.folder}' has a column of groups, and data.group is set, too",
                "leave data.group out",
            )
        names = [
            image.path.relative_to(labeled.folder).as_posix() if labeled.by_path else image.path.name
            for image in images
        ]
        groups = [text_in(pattern, name) for name in names]
        if lacking := [name for name, group in zip(names, groups, strict=True) if not group]:
            count = f"{len(lacking):,} of {len(names):,} file names in '{labeled.folder}'"
            raise DataError(
                f"data.group={pattern} finds nothing in {count}, such as '{lacking[0]}'",
                f"rename them or widen the pattern, {EXAMPLE}",
            )
        return [replace(image, group=group) for image, group in zip(images, groups, strict=True)]

    return replace(part, read=read, selection={**part.selection, "group": pattern})


def require_several(groups: np.ndarray, pattern: str) -> None:
    """Refuse a pattern that puts all training images into one group, which no split could divide.

    groups: int64 (N,).

    Raises:
        DataError: naming the pattern.
    """
    if len(groups) > 1 and len(np.unique(groups)) == 1:
        raise DataError(
            f"data.group={pattern} finds the same text in all {len(groups):,} names of training images: "
            "they form one group, and a group is never split",
            f"name what differs between groups, {EXAMPLE}",
        )


def cut(whole: PhotographPart, name: str, test_fraction: float, pattern: str | None) -> PhotographPart:
    """The training or the test part of a part that has both."""

    def read() -> list[PhotographFile]:
        images = whole.read()
        set_aside = _set_aside(images, test_fraction, pattern)
        return [image for image in images if (_unit(image) in set_aside) == (name == "test")]

    return replace(whole, read=read, selection={**whole.selection, "test_fraction": test_fraction})


def _unit(image: PhotographFile) -> str:
    """What is set aside as a whole: a group, or a file, whatever its label and thus its folder."""
    return image.group or image.path.name


def _set_aside(images: Sequence[PhotographFile], fraction: float, pattern: str | None) -> set[str]:
    """Groups that hold the fraction of the images, or a little more.

    They are the first by a hash of their names: corrected labels change nothing, and further images move
    hardly any group from one part to the other.

    Raises:
        DataError: nothing would be left on one side.
    """
    sizes = Counter(map(_unit, images))
    if len(sizes) < 2:
        by = f" by data.group={pattern}" if pattern else ""
        raise DataError(
            f"all {len(images):,} images are in one group{by}, so none can be set aside as the test part",
            "check data.group, or the column group of labels.csv",
        )
    chosen: set[str] = set()
    for name in sorted(
        sizes, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    ):
        enough = sum(sizes[other] for other in chosen) >= fraction * len(images)
        if chosen and (enough or len(chosen) == len(sizes) - 1):
            break
        chosen.add(name)
    return chosen
