"""What is wrong or odd in a data set and its split: each finding is a list of images."""

from __future__ import annotations

import numpy as np

from svhncli.analysis.inspect import drift
from svhncli.analysis.inspect.alike import Alike
from svhncli.analysis.inspect.inspected import (
    LEAVE_OUT,
    LEVELS,
    Finding,
    InspectedPart,
    InspectedParts,
    Item,
    Limits,
)
from svhncli.analysis.inspect.outliers import deviations
from svhncli.core.labels import BLANK
from svhncli.data import boxes
from svhncli.data.dataset import DataSet
from svhncli.data.split import Fold
from svhncli.report.inspection import DriftTest
from svhncli.stats.significance import holm


def look(
    data: DataSet, fold: Fold, parts: InspectedParts, limits: Limits
) -> tuple[list[Finding], list[DriftTest]]:
    """All findings, the worst first, and the tests for drift."""
    tests = drift_tests(parts)
    alike = Alike(parts, limits)
    findings = [
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
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level)), tests


# ----------------------------------------------------------------------------- single images


def _broken(data: DataSet) -> Finding:
    return Finding(
        "broken",
        "broken files",
        "files that are missing or that Pillow cannot decode completely",
        "bad" if data.broken else "good",
        "replace or delete them; data.skip_broken=true leaves them out of a training"
        if data.broken
        else None,
        [Item(None, name=name) for name in data.broken],
    )


def _blank(parts: InspectedParts, limits: Limits) -> Finding:
    numbered = (parts.labels != BLANK).any(1)
    places = np.flatnonzero(numbered & (parts.contrast < limits.blank))
    places = places[np.argsort(parts.contrast[places], kind="stable")]
    return Finding(
        "blank",
        "blank images",
        f"standard deviation of the pixels' brightness below {limits.blank:g} of 255 gray levels; images "
        "without a number do not count",
        "look" if len(places) else "good",
        LEAVE_OUT if len(places) else None,
        [Item(place, float(parts.contrast[place])) for place in places.tolist()],
    )


def _outliers(parts: InspectedParts, limits: Limits) -> Finding:
    far = np.zeros(len(parts.looks))
    shown = parts.contrast >= limits.blank
    far[shown] = deviations(parts.looks[shown])
    places = np.flatnonzero(far > limits.outlier)
    places = places[np.argsort(-far[places], kind="stable")]
    return Finding(
        "outliers",
        "outliers",
        "Mahalanobis distance of the image in 8x8 colors (probabilistic PCA of the nearest 90%), its "
        f"logarithm more than {limits.outlier:g} robust standard deviations above the median; blank images "
        "do not count",
        "look" if len(places) else "good",
        None,
        [Item(place, float(far[place])) for place in places.tolist()],
    )


def _boxes(parts: InspectedParts) -> list[Finding]:
    if not any(part.digits.boxes is not None for part in parts.parts):
        return []

    def smallest(part: InspectedPart) -> np.ndarray:
        known = part.digits.boxes
        return np.full(len(part.rows), np.inf) if known is None else boxes.empty(known[part.rows])

    def over(part: InspectedPart) -> np.ndarray:
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


# ----------------------------------------------------------------------------- groups


def _torn(fold: Fold, parts: InspectedParts) -> Finding:
    """Groups on both sides of the fold; ids of parts that are separate files cannot be compared."""
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
        "groups on both sides",
        "validation images with a group that is also in the training part"
        if fold.val_part == "train"
        else "not measured: the validation part has its own ids, which cannot be compared",
        "bad" if both else "good",
        "split by groups, as every split of svhn does" if both else None,
        both,
    )


# ----------------------------------------------------------------------------- parts compared


def drift_tests(parts: InspectedParts) -> list[DriftTest]:
    """Each test of training against another part."""
    tested = []
    lengths = (parts.labels != BLANK).sum(1)
    for other in range(1, len(parts.parts)):
        first, second = parts.which == 0, parts.which == other
        tests = {"labels": drift.of_counts(_digits(parts.labels[first]), _digits(parts.labels[second]))}
        if parts.labels.shape[1] > 1:
            tests["lengths"] = drift.of_counts(
                *(np.bincount(lengths[rows], minlength=10) for rows in (first, second))
            )
        for what, values in (("brightness", parts.brightness), ("contrast", parts.contrast)):
            tests[what] = drift.of_values(values[first], values[second])
        names = [parts.parts[0].name, parts.parts[other].name]
        tested += [(what, names, test) for what, test in tests.items() if test is not None]
    corrected = holm([test.p for _, _, test in tested])
    return [
        DriftTest(what=what, parts=names, result=test, p_holm=p, level=drift.level(test, p))
        for (what, names, test), p in zip(tested, corrected, strict=True)
    ]


def _digits(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=10)[:10]


def _drift(tests: list[DriftTest]) -> Finding:
    differ = [test for test in tests if test.level != "good"]
    v, distance = drift.EFFECTS["cramers_v"], drift.EFFECTS["ks_distance"]
    worst = min((test.level for test in differ), key=LEVELS.index, default="good")
    return Finding(
        "drift",
        "drift between parts",
        "chi-square tests of digits and lengths, Kolmogorov-Smirnov tests of brightness and contrast: p "
        f"below {drift.ALPHA:g} after Holm's correction, and Cramér's V of {v[0]:g} or a distance of "
        f"{distance[0]:g} or more (bad from {v[1]:g} and {distance[1]:g})",
        worst,
        "a score on one part says little about the other: choose another split, or report both parts"
        if differ
        else None,
        [Item(None, test.result.effect, name=f"{test.what} {'/'.join(test.parts)}") for test in differ],
    )
