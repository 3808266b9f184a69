"""What `svhn inspect` finds, as it is written into result.json."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.core.plain import inlined, keyed, optional
from svhncli.data.describe import PartDescription


@dataclass(frozen=True)
class FindingSummary:
    """One kind of fault: how many images have it, how serious it is, and how to fix it.

    measure: what was measured, and the threshold, in one sentence. level: bad, look or good. sheet: the file
    that shows the images, or None. fix: what to do, or None.
    """

    name: str
    title: str
    measure: str
    count: int
    level: str
    sheet: str | None
    fix: str | None = keyed("mend")


@dataclass(frozen=True)
class TwoSampleTest:
    """One test of whether two samples differ.

    statistic, df: chi-square and its degrees of freedom, or the Kolmogorov-Smirnov distance and None.
    effect: Cramér's V or the distance, both in [0, 1]; measure says which. p: not corrected.
    """

    test: str
    statistic: float
    df: int | None
    measure: str
    effect: float
    p: float


@dataclass(frozen=True, kw_only=True)
class DriftTest:
    """A test of the training part against another part; p_holm is corrected for all of them."""

    what: str
    parts: list[str]
    result: TwoSampleTest = inlined()
    p_holm: float
    level: str


@dataclass(frozen=True)
class DataInspection:
    """What was found in a data set and its split.

    rendered: how many rendered images train beside the training part. excluded: how many images
    `data.exclude` leaves out.
    """

    data: str
    fingerprint: str
    split: str
    seed: int
    parts: dict[str, PartDescription]
    rendered: int
    findings: list[FindingSummary]
    drift: list[DriftTest]
    excluded: int
    out: str | None = optional()


@dataclass(frozen=True)
class LabelInspection:
    """What the folds of a run say about the labels of its training part.

    judged, of: how many images have a prediction of a network that did not train on them, of how many.
    read_as_labelled: the share of these predictions that are the label. estimated_errors: of labels, each
    position by itself; None where the predictions are too poor to judge labels. next: commands to go on with.
    """

    data: str
    fingerprint: str
    run: str
    seed: int
    judged: int
    of: int
    read_as_labelled: float
    positions: int
    estimated_errors: float | None
    findings: list[FindingSummary]
    drift: list[DriftTest]
    excluded: int
    out: str | None = optional()
    next: list[str] | None = optional()
