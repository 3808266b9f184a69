"""What an inspection writes: result, tables and contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.analysis.inspect.inspected import LEAVE_OUT, Finding, InspectedParts, Item
from svhncli.core.files import write_csv, write_json, write_text
from svhncli.core.labels import as_text
from svhncli.core.plain import to_plain
from svhncli.core.rng import numpy_generator
from svhncli.data.dataset import DataSet
from svhncli.data.digits import Digits
from svhncli.report.inspection import DataInspection, FindingSummary, LabelInspection
from svhncli.runs.contact_sheet import WRONG, Block, draw_sheet
from svhncli.stats.confident_learning import RELIABLE, LabelErrors

RESULT, TABLE, CLASSES = "result.json", "findings.csv", "classes.png"
LABELS, LABELS_SHEET, EXCLUDE = "labels.csv", "labels.png", "exclude.txt"
LABEL_FILES = {RESULT, LABELS, LABELS_SHEET, EXCLUDE}
BOXES = {"empty_boxes.png", "outside_boxes.png"}
"""Sheets of findings that only data with boxes has."""
SHOWN = 64
"""Images on a sheet."""
SIDE = 96
"""About how many pixels high an image is on a sheet, so that a line of text fits below."""
COLUMNS = (
    "finding",
    "part",
    "index",
    "name",
    "partner_part",
    "partner_index",
    "partner_name",
    "label",
    "measure",
)


def write_findings(
    folder: Path,
    inspection: DataInspection,
    parts: InspectedParts,
    findings: Sequence[Finding],
    already: Sequence[str],
) -> None:
    """Write result.json, findings.csv, classes.png, and a sheet and a list for each finding with images.

    The lists are for data.exclude; names that it leaves out already stand in each, too.
    """
    _draw_classes(folder / CLASSES, parts, inspection.seed)
    for finding in findings:
        if sheet := _sheet(finding):
            drawn = [item for item in finding.items if item.place is not None]
            _draw_finding(folder / sheet, finding.title, drawn, parts)
        if names := _to_leave_out(finding, parts):
            head = f"# {finding.title}, for data.exclude=FILE; look at {_sheet(finding)} first"
            _write_list(folder / _list(finding), head, names, already)
    write_csv(folder / TABLE, COLUMNS, (_row(f.name, item, parts) for f in findings for item in f.items))
    write_json(folder / RESULT, to_plain(inspection))


def _list(finding: Finding) -> str:
    return f"{finding.name}.txt"


def _to_leave_out(finding: Finding, parts: InspectedParts) -> list[str]:
    """Names of a finding's images that data.exclude can leave out, which are not in the test part. Of a pair
    it is the image itself or, if that one is in the test part, its partner."""
    if finding.fix is None or LEAVE_OUT not in finding.fix:
        return []
    names = []
    for item in finding.items:
        for place in (item.place, item.partner):
            if place is not None and (part := parts.part(place)).name != "test":
                names.append(part.digits.names[int(parts.rows[place])])
                break
    return list(dict.fromkeys(names))


def _write_list(file: Path, head: str, names: Sequence[str], already: Sequence[str]) -> None:
    new = [name for name in names if name not in {*already}]
    write_text(file, "\n".join([head, *new, *(["# already left out"] if already else []), *already]) + "\n")


def _fix_of(finding: Finding, parts: InspectedParts, out: Path) -> str | None:
    if finding.fix is None or _to_leave_out(finding, parts):
        return finding.fix and finding.fix.replace("LIST", str(out / _list(finding)))
    return finding.fix.replace(LEAVE_OUT, "they are in the test part, which data.exclude does not change")


def summaries(findings: Sequence[Finding], parts: InspectedParts, out: Path) -> list[FindingSummary]:
    """What result.json says about findings, whose lists will be in `out`."""
    return [
        FindingSummary(
            finding.name,
            finding.title,
            finding.measure,
            len(finding.items),
            finding.level,
            _sheet(finding),
            _fix_of(finding, parts, out),
        )
        for finding in findings
    ]


def _sheet(finding: Finding) -> str | None:
    """The file that shows a finding's images; None where it has none."""
    return f"{finding.name}.png" if any(item.place is not None for item in finding.items) else None


def files_of(findings: Sequence[Finding]) -> set[str]:
    """The files that an inspection may have written into a folder."""
    return {
        RESULT,
        TABLE,
        CLASSES,
        *(f"{finding.name}.png" for finding in findings),
        *map(_list, findings),
        *BOXES,
    }


def _row(finding: str, item: Item, parts: InspectedParts) -> dict[str, Any]:
    row = {"finding": finding, "name": item.name, "measure": item.measure}
    if item.place is None:
        return row
    row |= {"label": as_text(parts.labels[item.place])}
    for prefix, place in (("", item.place), ("partner_", item.partner)):
        if place is not None:
            part, index = parts.part(place), int(parts.rows[place])
            row |= {
                f"{prefix}part": part.name,
                f"{prefix}index": index,
                f"{prefix}name": part.digits.names[index],
            }
    return row


def _pixels(parts: InspectedParts, places: Sequence[int]) -> np.ndarray:
    return np.stack([parts.part(place).digits.images[parts.rows[place]] for place in places])


def _below(parts: InspectedParts, place: int) -> str:
    return f"{parts.part(place).name} {parts.rows[place]}: {as_text(parts.labels[place]) or '-'}"


def _draw_finding(path: Path, title: str, items: Sequence[Item], parts: InspectedParts) -> None:
    """A sheet of the first images, each with its partner to its right."""
    pairs = items[0].partner is not None
    shown = items[: SHOWN // 2 if pairs else SHOWN]
    places = [p for item in shown for p in (item.place, item.partner) if p is not None]
    beside = ", each with its partner" if pairs else ""
    caption = f"{title}, {len(shown):,} of {len(items):,}{beside}: part, index, label"
    images = _pixels(parts, places)
    block = Block(caption, images, [_below(parts, place) for place in places])
    draw_sheet(path, [block], _zoom(images), columns=8)


def _draw_classes(path: Path, parts: InspectedParts, seed: int) -> None:
    """Random training images of each class; of numbers, those that contain the digit."""
    draw = numpy_generator(seed, "classes")
    trains = parts.labels[parts.which == 0]
    blocks = []
    for digit in range(10):
        places = np.flatnonzero((trains == digit).any(1))
        some = np.sort(draw.permutation(places)[: SHOWN // 2])
        if len(some):
            caption = f"{digit}: {len(some)} of {len(places):,} training images"
            blocks.append(Block(caption, _pixels(parts, some.tolist())))
    draw_sheet(path, blocks, zoom=1 if blocks[0].images.shape[3] > SIDE else 2)


def _zoom(images: np.ndarray) -> int:
    return max(1, SIDE // images.shape[2])


# ----------------------------------------------------------------------------- label errors


def label_inspection(
    data: DataSet, run: Path, out: Path, seed: int, judged: int, verdict: LabelErrors
) -> LabelInspection:
    """What result.json says about the labels of a run's training part; the list of names will be in `out`."""
    count = int(verdict.suspicious.sum())
    is_reliable = verdict.agreement >= RELIABLE
    exclude = out / EXCLUDE
    finding = FindingSummary(
        name="labels",
        title="likely label errors" if is_reliable else "likely label errors, not judged",
        measure="images off the diagonal of the confident joint of out-of-sample probabilities (Northcutt et "
        "al. 2021), ranked by the probability of the label less the largest other one",
        count=count if is_reliable else 0,
        level=("look" if count else "good") if is_reliable else "bad",
        sheet=LABELS_SHEET if is_reliable else None,
        fix=_fix(verdict.agreement, count, exclude),
    )
    return LabelInspection(
        data=data.name,
        fingerprint=data.fingerprint,
        run=str(run),
        seed=seed,
        judged=judged,
        of=len(data.train),
        read_as_labelled=verdict.agreement,
        positions=data.train.labels.shape[1],
        estimated_errors=verdict.estimate if is_reliable else None,
        findings=[finding],
        drift=[],
        excluded=len(data.excluded),
    )


def _fix(agreement: float, count: int, exclude: Path) -> str | None:
    if agreement < RELIABLE:
        return (
            f"networks that classify {agreement:.1%} of the held-out images correctly are in no position to "
            f"doubt labels: that takes {RELIABLE:.0%} or more; train better ones, with more epochs or images"
        )
    return f"look at them; correct them, or leave them out: data.exclude={exclude}" if count else None


def write_label_errors(
    folder: Path,
    inspection: LabelInspection,
    digits: Digits,
    rows: np.ndarray,
    probabilities: np.ndarray,
    verdict: LabelErrors,
    already: Sequence[str],
) -> None:
    """Write result.json and, if labels were judged, labels.csv (all images, ranked), labels.png, exclude.txt.

    rows: int64 (N,), the images of `digits` that were judged. probabilities: float (N, L, K), theirs.
    already: names that are left out now; they stay in the list.
    """
    write_json(folder / RESULT, to_plain(inspection))
    if inspection.estimated_errors is None:
        return
    order = verdict.ranked()
    given = [as_text(digits.labels[row]) for row in rows]
    predicted = [as_text(classes) for classes in probabilities.argmax(-1)]
    write_csv(
        folder / LABELS,
        ("rank", "index", "name", "label", "suggested", "margin", "likely_error"),
        _ranked(digits, rows, order, given, predicted, verdict),
    )
    count = int(verdict.suspicious.sum())
    below = [
        f"{given[i] or '-'} > {predicted[i] or '-'} {verdict.margin[i]:+.2f}" for i in order[:SHOWN].tolist()
    ]
    draw_sheet(
        folder / LABELS_SHEET,
        _label_blocks(digits.images[rows[order[:SHOWN]]], below, count),
        _zoom(digits.images),
        columns=8,
    )
    likely = [digits.names[int(rows[i])] for i in order[:count]]
    head = "# likely label errors, the most likely first, for data.exclude=FILE; look at labels.png first"
    _write_list(folder / EXCLUDE, head, likely, already)


def _label_blocks(images: np.ndarray, below: Sequence[str], count: int) -> list[Block]:
    """The likely label errors, and apart from them the images that follow in the ranking.

    images: uint8 (N, C, H, W), the first of the ranking. below: N texts. count: of all likely errors.
    """
    shown = min(count, len(images))
    errors = f"{count:,} likely label errors" + (f", the first {shown}" if shown < count else "")
    rest = f"not suspected: the next {len(images) - shown} in the ranking, for comparison"
    blocks = [Block(f"{errors}: label > prediction, margin", images[:shown], below[:shown], [WRONG] * shown)]
    if shown < len(images):
        blocks.append(Block(rest, images[shown:], below[shown:]))
    return blocks


def _ranked(
    digits: Digits,
    rows: np.ndarray,
    order: np.ndarray,
    given: list[str],
    predicted: list[str],
    verdict: LabelErrors,
) -> Iterator[dict[str, Any]]:
    for rank, i in enumerate(order.tolist(), start=1):
        yield {
            "rank": rank,
            "index": int(rows[i]),
            "name": digits.names[int(rows[i])],
            "label": given[i],
            "suggested": predicted[i],
            "margin": f"{verdict.margin[i]:.6g}",
            "likely_error": int(verdict.suspicious[i]),
        }
