"""The images that are inspected, and what is found in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from svhncli.analysis.inspect.duplicates import digests, thumbnails
from svhncli.analysis.inspect.outliers import looks
from svhncli.core.labels import BLANK
from svhncli.data.dataset import DataSet
from svhncli.data.describe import BATCH, PartDescription, PixelRange, describe, light, luminance
from svhncli.data.digits import Digits
from svhncli.data.split import Fold
from svhncli.data.store.disk import Progress, silent

LEVELS = ("bad", "look", "good")
"""The worst first: fix it before you train; look at it; nothing to do."""
LEAVE_OUT = "leave them out: data.exclude=LIST"
"""A way to fix a finding. LIST stands for the file of names that is written beside its sheet."""


@dataclass(frozen=True)
class Limits:
    """The thresholds of findings.

    blank: contrast, in gray levels of 0 to 255, below which an image is blank.
    similar: correlation, 0 to 1, from which on two images are near-duplicates.
    outlier: robust standard deviations beyond which an image is an outlier.
    """

    blank: float
    similar: float
    outlier: float


@dataclass(frozen=True)
class InspectedPart:
    """Images of one part: `digits[rows]`, rows int64, sorted, each once."""

    name: str
    digits: Digits
    rows: np.ndarray


@dataclass(frozen=True)
class Item:
    """One image of a finding.

    place: where it is in the parts laid end to end; None for a file that cannot be decoded, which has only a
        name. measure: what was measured. partner: the place of the image that it is paired with.
    """

    place: int | None
    measure: float | None = None
    partner: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    measure: what was measured, and the threshold, in one sentence. level: of `LEVELS`. fix: what to do, or
        None.
    items: the worst first.
    """

    name: str
    title: str
    measure: str
    level: str
    fix: str | None = None
    items: list[Item] = field(default_factory=list)


class InspectedParts:
    """The parts of a data set, concatenated; their images are read only once."""

    def __init__(self, parts: list[InspectedPart], progress: Progress = silent) -> None:
        self.parts = parts
        self.which = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
        self.rows = np.concatenate([part.rows for part in parts])
        total = len(self.rows)
        pieces: list[tuple[np.ndarray, ...]] = []
        done = 0
        for part in parts:
            for start in range(0, len(part.rows), BATCH):
                images = part.digits.images[part.rows[start : start + BATCH]]
                pieces.append((*light(images), digests(images), thumbnails(luminance(images)), looks(images)))
                done += len(images)
                progress("inspect images", done, total)
        self.brightness, self.contrast, self.digests, self.small, self.looks = map(
            np.concatenate, zip(*pieces, strict=True)
        )
        longest = max(part.digits.labels.shape[1] for part in parts)
        self.labels = np.concatenate([part.digits.padded(longest).labels[part.rows] for part in parts])

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, place: int) -> InspectedPart:
        return self.parts[int(self.which[place])]

    def each(self, measure: Callable[[InspectedPart], np.ndarray]) -> np.ndarray:
        """What `measure` gives for the rows of every part, laid end to end."""
        return np.concatenate([measure(part) for part in self.parts])


def parts_of(data: DataSet, fold: Fold) -> list[InspectedPart]:
    """What a fold trains on, what it validates on, and the test part where there is one."""
    validates = data.val if fold.val_part == "val" else data.train
    assert validates is not None, "a fold validates on a part of the data"
    parts = [
        InspectedPart("train", data.train, np.unique(fold.train)),
        InspectedPart("val", validates, np.unique(fold.val)),
    ]
    if data.test is not None:
        parts.append(InspectedPart("test", data.test, np.arange(len(data.test))))
    return parts


def describe_part(part: InspectedPart) -> PartDescription:
    """The part in numbers, with the sizes of photographs that were scaled down."""
    digits = part.digits
    summary = describe(digits.images, digits.labels, digits.groups, part.rows, BLANK)
    if digits.sizes is None:
        return summary
    sizes = {
        side: PixelRange(int(values.min()), float(np.median(values)), int(values.max()))
        for side, values in zip(("width", "height"), digits.sizes[part.rows].T, strict=True)
    }
    return replace(summary, sizes=sizes)
