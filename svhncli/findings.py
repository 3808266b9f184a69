"""What is wrong or odd in a data set and its split: findings, each a list of pictures with what was
measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from svhncli.data.digits import BLANK, DataSet, Digits
from svhncli.data.disk import Progress, silent
from svhncli.describe import BATCH, describe, light, luminance
from svhncli.inspection import boxes, drift
from svhncli.inspection.duplicates import digests, near_pairs, thumbnails
from svhncli.inspection.outliers import deviations, looks
from svhncli.split import Fold

LEVELS = ("bad", "look", "good")
"""From the worst on: mend it before you train; look at it; nothing to do."""
LEAVE_OUT = "write their names into a file and leave them out with data.exclude=FILE"


@dataclass(frozen=True)
class Limits:
    """From where on something is found.

    blank: contrast, in grey levels of 0 to 255, below which a picture is blank.
    similar: correlation, 0 to 1, from which on two pictures are near-duplicates.
    outlier: robust standard deviations beyond which a picture is an outlier.
    """

    blank: float
    similar: float
    outlier: float


@dataclass(frozen=True)
class Part:
    """Pictures of one part: `digits[rows]`, rows int64, sorted, each once."""

    name: str
    digits: Digits
    rows: np.ndarray


@dataclass(frozen=True)
class Item:
    """A picture that was found: a place in the parts laid end to end, that of its partner, and what was
    measured.

    place is None for a file that cannot be read, which has but a name.
    """

    place: int | None
    measure: float | None = None
    partner: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    measure: what was measured, and the threshold, in one sentence. level: of `LEVELS`. mend: what to do, or
        None.
    items: the worst first.
    """

    name: str
    title: str
    measure: str
    level: str
    mend: str | None = None
    items: list[Item] = field(default_factory=list)


class Parts:
    """The parts of a data set laid end to end, read once, in their order."""

    def __init__(self, parts: list[Part], progress: Progress = silent) -> None:
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
                progress("look at pictures", done, total)
        self.brightness, self.contrast, self.digests, self.small, self.looks = map(
            np.concatenate, zip(*pieces, strict=True)
        )
        longest = max(part.digits.labels.shape[1] for part in parts)
        self.labels = np.concatenate([part.digits.padded(longest).labels[part.rows] for part in parts])

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, place: int) -> Part:
        return self.parts[int(self.which[place])]

    def each(self, measure: Callable[[Part], np.ndarray]) -> np.ndarray:
        """What `measure` says of every part's rows, laid end to end."""
        return np.concatenate([measure(part) for part in self.parts])


def parts_of(data: DataSet, fold: Fold) -> list[Part]:
    """What a fold trains on, what it validates on, and the test part where there is one."""
    validates = data.val if fold.val_part == "val" else data.train
    assert validates is not None, "a fold validates on a part that is there"
    found = [Part("train", data.train, np.unique(fold.train)), Part("val", validates, np.unique(fold.val))]
    if data.test is not None:
        found.append(Part("test", data.test, np.arange(len(data.test))))
    return found


def describe_part(part: Part) -> dict[str, Any]:
    """What `describe` says, and where photographs were made smaller, "sizes": {"width", "height"}: {"min",
    "median", "max"} in pixels."""
    digits = part.digits
    found = describe(digits.images, digits.labels, digits.groups, part.rows, BLANK)
    if digits.sizes is not None:
        found["sizes"] = {
            side: {
                "min": int(values.min()),
                "median": float(np.median(values)),
                "max": int(values.max()),
            }
            for side, values in zip(("width", "height"), digits.sizes[part.rows].T, strict=True)
        }
    return found


def look(
    data: DataSet, fold: Fold, parts: Parts, limits: Limits
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """All findings, the worst first, and the tests for drift."""
    tests = drift_tests(parts)
    alike = _Alike(parts, limits)
    found = [
        _broken(data),
        alike.leakage(),
        _torn(fold, parts),
        alike.contradictions(),
        *_boxes(parts),
        _drift(tests),
        _blank(parts, limits),
        alike.exact(),
        alike.near(),
        _outliers(parts, limits),
    ]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level)), tests


# ----------------------------------------------------------------------------- pictures by themselves


def _broken(data: DataSet) -> Finding:
    return Finding(
        "broken",
        "broken files",
        "files that are missing or that Pillow cannot decode whole",
        "bad" if data.broken else "good",
        "get them again, or leave them out with data.skip_broken=true" if data.broken else None,
        [Item(None, name=name) for name in data.broken],
    )


def _blank(parts: Parts, limits: Limits) -> Finding:
    places = np.flatnonzero(parts.contrast < limits.blank)
    places = places[np.argsort(parts.contrast[places], kind="stable")]
    return Finding(
        "blank",
        "blank pictures",
        f"standard deviation of the pixels' brightness below {limits.blank:g} of 255 grey levels",
        "look" if len(places) else "good",
        LEAVE_OUT if len(places) else None,
        [Item(place, float(parts.contrast[place])) for place in places.tolist()],
    )


def _outliers(parts: Parts, limits: Limits) -> Finding:
    far = deviations(parts.looks)
    places = np.flatnonzero((far > limits.outlier) & (parts.contrast >= limits.blank))
    places = places[np.argsort(-far[places], kind="stable")]
    return Finding(
        "outliers",
        "outliers",
        "Mahalanobis distance of the picture in 8x8 colours (probabilistic PCA of the nearest 90 %), its logarithm more "
        f"than {limits.outlier:g} robust standard deviations above the median; blank pictures stand by themselves",
        "look" if len(places) else "good",
        None,
        [Item(place, float(far[place])) for place in places.tolist()],
    )


def _boxes(parts: Parts) -> list[Finding]:
    if not any(part.digits.boxes is not None for part in parts.parts):
        return []

    def smallest(part: Part) -> np.ndarray:
        known = part.digits.boxes
        return np.full(len(part.rows), np.inf) if known is None else boxes.empty(known[part.rows])

    def over(part: Part) -> np.ndarray:
        known, sizes = part.digits.boxes, part.digits.sizes
        if known is None or sizes is None:
            return np.zeros(len(part.rows))
        return boxes.outside(known[part.rows], sizes[part.rows])

    sides, beyond = parts.each(smallest), parts.each(over)
    nothing = np.flatnonzero(sides <= 0)
    out = np.flatnonzero(beyond > boxes.SLACK)
    out = out[np.argsort(-beyond[out], kind="stable")]
    return [
        Finding(
            "empty_boxes",
            "boxes without size",
            "a digit's box is 0 pixels wide or high",
            "bad" if len(nothing) else "good",
            "correct the boxes in the label file" if len(nothing) else None,
            [Item(place, float(sides[place])) for place in nothing.tolist()],
        ),
        Finding(
            "outside_boxes",
            "boxes outside",
            f"a digit's box reaches more than {boxes.SLACK:g} pixel beyond the photograph",
            "look" if len(out) else "good",
            "correct the boxes in the label file" if len(out) else None,
            [Item(place, float(beyond[place])) for place in out.tolist()],
        ),
    ]


# ----------------------------------------------------------------------------- pictures beside each other


class _Alike:
    """Which pictures are there twice: pairs of places, the earlier one first, and how alike they are; 1 is
    equal."""

    def __init__(self, parts: Parts, limits: Limits) -> None:
        self.parts, self.limits = parts, limits
        _, first, member = np.unique(parts.digests, return_index=True, return_inverse=True)
        twin = first[member.ravel()]
        later = np.flatnonzero(twin != np.arange(len(twin)))
        self.equal = np.stack([twin[later], later], 1)
        # Each blank picture is like every other, and of equal pictures one stands for all.
        single = np.flatnonzero((twin == np.arange(len(twin))) & (parts.contrast >= limits.blank))
        pairs, self.alike = near_pairs(parts.small[single], limits.similar)
        self.nearly = single[pairs]

    def exact(self) -> Finding:
        return Finding(
            "exact_duplicates",
            "exact duplicates",
            "every byte of the pixels is that of an earlier picture, of whatever part",
            "look" if len(self.equal) else "good",
            LEAVE_OUT if len(self.equal) else None,
            self._items(self.equal, np.ones(len(self.equal))),
        )

    def near(self) -> Finding:
        return Finding(
            "near_duplicates",
            "near-duplicates",
            "a 63-bit DCT hash within 8 bits of an earlier picture's, and the pixels without their slow light correlate "
            f"by {self.limits.similar:g} or more at a shift of up to a pixel",
            "look" if len(self.nearly) else "good",
            "keep them on one side of the split, or " + LEAVE_OUT if len(self.nearly) else None,
            self._items(self.nearly, self.alike),
        )

    def contradictions(self) -> Finding:
        pairs, alike = self._all()
        labels = self.parts.labels
        differ = (labels[pairs[:, 0]] != labels[pairs[:, 1]]).any(1)
        pairs, alike = pairs[differ], alike[differ]
        return Finding(
            "contradictions",
            "duplicates with different labels",
            "exact or near-duplicates whose labels are not the same; bad where any of them are exact",
            ("bad" if (alike == 1).any() else "look") if len(pairs) else "good",
            "correct one of the labels, or " + LEAVE_OUT if len(pairs) else None,
            self._items(pairs, alike),
        )

    def leakage(self) -> Finding:
        pairs, alike = self._all()
        across = self.parts.which[pairs[:, 0]] != self.parts.which[pairs[:, 1]]
        pairs, alike = pairs[across], alike[across]
        return Finding(
            "leakage",
            "leakage between parts",
            "exact or near-duplicates of which one stands in another part (train, val, test) than the other",
            "bad" if len(pairs) else "good",
            "scores on these pictures are too good: " + LEAVE_OUT if len(pairs) else None,
            self._items(pairs, alike),
        )

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate([self.equal, self.nearly]), np.concatenate(
            [np.ones(len(self.equal)), self.alike]
        )

    def _items(self, pairs: np.ndarray, alike: np.ndarray) -> list[Item]:
        """Every later picture of a pair once, with the partner that it is most alike, the most alike ones
        first."""
        order = np.lexsort((pairs[:, 0], -alike, pairs[:, 1]))
        _, firsts = np.unique(pairs[order, 1], return_index=True)
        best = order[firsts]
        best = best[np.argsort(-alike[best], kind="stable")]
        return [
            Item(later, float(value), earlier)
            for (earlier, later), value in zip(pairs[best].tolist(), alike[best], strict=True)
        ]


def _torn(fold: Fold, parts: Parts) -> Finding:
    """House numbers on both sides of the fold; ids of parts that are files of their own are not
    comparable."""
    both: list[Item] = []
    if fold.val_part == "train":
        train, val = parts.parts[:2]
        groups = train.digits.groups
        partner = dict(zip(groups[train.rows].tolist(), range(len(train.rows)), strict=True))
        both = [
            Item(len(train.rows) + place, float(group), partner[group])
            for place, group in enumerate(groups[val.rows].tolist())
            if group in partner
        ]
    return Finding(
        "torn_numbers",
        "house numbers on both sides",
        "validation pictures whose house number also trains"
        if fold.val_part == "train"
        else "not measured: the validation part brings ids of its own, which cannot be compared",
        "bad" if both else "good",
        "split by groups, as every split of svhn does" if both else None,
        both,
    )


# ----------------------------------------------------------------------------- parts beside each other


def drift_tests(parts: Parts) -> list[dict[str, Any]]:
    """Each test of training against another part: {"what", "parts", "test", "statistic", "df", "measure",
    "effect", "p", "p_holm", "level"}; p_holm is corrected for all of them."""
    found = []
    for other in range(1, len(parts.parts)):
        one, two = parts.which == 0, parts.which == other
        lengths = (parts.labels != BLANK).sum(1)
        tests = {"labels": drift.of_counts(_digits(parts.labels[one]), _digits(parts.labels[two]))}
        if parts.labels.shape[1] > 1:
            tests["lengths"] = drift.of_counts(
                *(np.bincount(lengths[rows], minlength=10) for rows in (one, two))
            )
        for what, values in (("brightness", parts.brightness), ("contrast", parts.contrast)):
            tests[what] = drift.of_values(values[one], values[two])
        names = [parts.parts[0].name, parts.parts[other].name]
        found += [(what, names, test) for what, test in tests.items() if test is not None]
    corrected = drift.holm(np.array([test.p for _, _, test in found])).tolist()
    return [
        {
            "what": what,
            "parts": names,
            **vars(test),
            "p_holm": p,
            "level": drift.level(test, p),
        }
        for (what, names, test), p in zip(found, corrected, strict=True)
    ]


def _digits(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=10)[:10]


def _drift(tests: list[dict[str, Any]]) -> Finding:
    differ = [test for test in tests if test["level"] != "good"]
    worst = min((test["level"] for test in differ), key=LEVELS.index, default="good")
    return Finding(
        "drift",
        "drift between parts",
        f"chi-square tests of digits and lengths, Kolmogorov-Smirnov tests of brightness and contrast: p below "
        f"{drift.ALPHA:g} after Holm's correction, and Cramér's V of {drift.EFFECTS['cramers_v'][0]:g} or a distance of "
        f"{drift.EFFECTS['ks_distance'][0]:g} or more (bad from {drift.EFFECTS['cramers_v'][1]:g} and "
        f"{drift.EFFECTS['ks_distance'][1]:g})",
        worst,
        "a score on one part says little of the other: make the split anew, or say which part you mean"
        if differ
        else None,
        [Item(None, test["effect"], name=f"{test['what']} {'/'.join(test['parts'])}") for test in differ],
    )
